"""What earlier versions wrote, as this one reads it: the one place that knows of both."""

from typing import Any

# A target as it was first written -> as it is called now.
MOVED = {
    "pipeline.data.digits.digits": "pipeline.data.sets.digits.digits",
    "pipeline.data.planar.blobs": "pipeline.data.sets.planar.blobs",
    "pipeline.data.planar.spirals": "pipeline.data.sets.planar.spirals",
    "pipeline.data.quadratic.quadratic": "pipeline.data.sets.quadratic.quadratic",
    "pipeline.data.signs.signs": "pipeline.data.sets.signs.signs",
    "pipeline.data.keras_sets.mnist": "pipeline.data.sets.keras_sets.mnist",
    "pipeline.data.keras_sets.fashion_mnist": "pipeline.data.sets.keras_sets.fashion_mnist",
    "pipeline.data.keras_sets.cifar10": "pipeline.data.sets.keras_sets.cifar10",
    "pipeline.data.hdf5.hdf5": "pipeline.data.formats.hdf5.hdf5",
    "pipeline.data.npz.npz": "pipeline.data.formats.npz.npz",
    "pipeline.data.tables.csv": "pipeline.data.formats.tables.csv",
    "pipeline.data.tables.parquet": "pipeline.data.formats.tables.parquet",
    "pipeline.data.images.images": "pipeline.data.formats.images.images",
}
_FIRST = {now: first for first, now in MOVED.items()}


def current(record: Any) -> Any:
    """A record of any version, with the names that targets have now."""
    return _renamed(record, MOVED)


def original(record: Any) -> Any:
    """A record with the names that targets had at first: what a hash of it was made of then."""
    return _renamed(record, _FIRST)


def _renamed(record: Any, names: dict[str, str]) -> Any:
    if isinstance(record, dict):
        return {
            key: names.get(value, value) if key == "_target_" and isinstance(value, str) else _renamed(value, names)
            for key, value in record.items()
        }
    return record
