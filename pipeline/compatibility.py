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
# A sampler as `sweep.strategy` named it.
SAMPLERS = {"random": "pipeline.search.samplers.random.Random", "grid": "pipeline.search.samplers.grid.Grid"}
# A key that the config no longer has -> what to write in its place.
GONE = {"sweep.strategy": "A file of conf/sweep says how a sweep draws: sweep=grid, sweep=random."}
# Keys that came later, by group -> the value that a config without one has.
ADDED: dict[str, dict[str, Any]] = {
    "train": {"metrics": []},
    "heads": {
        "softmax": "pipeline.heads.softmax.Softmax",
        "sigmoid": "pipeline.heads.sigmoid.Sigmoid",
        "cost": "pipeline.heads.cost.Cost",
    },
    "metrics": {"loss": "pipeline.heads.metrics.Loss", "accuracy": "pipeline.heads.metrics.Accuracy"},
}
_FIRST = {now: first for first, now in MOVED.items()}


def current(record: Any) -> Any:
    """A record of any version, with the names and keys that targets and samplers have now."""
    return _with_sampler(_renamed(record, MOVED))


def original(record: Any) -> Any:
    """A record with the names that targets had at first: what a hash of it was made of then."""
    return _renamed(record, _FIRST)


def _with_sampler(record: Any) -> Any:
    """Of a config's `sweep` and of what a ledger says of it, which had a `strategy`."""
    if not isinstance(record, dict):
        return record
    record = {key: _with_sampler(value) for key, value in record.items()}
    if {"strategy", "points", "metric", "direction"} <= record.keys():
        name = record.pop("strategy")
        points = {"points": record["points"]} if name == "grid" else {}
        record["sampler"] = {"_target_": SAMPLERS[name], **points}
    return record


def completed(config: Any) -> dict[str, Any]:
    """A whole config of any version, with all keys that there are now."""
    added = {group: {**keys, **config.get(group, {})} for group, keys in ADDED.items()}
    return {key: current(value) for key, value in {**config, **added}.items()}


def reduced(config: dict[str, Any]) -> dict[str, Any]:
    """A config, or some of its groups, without the keys that came later and have the value that they had before: two
    versions then compare, and what is hashed of one that uses nothing new is what it was."""
    result = dict(config)
    for group, keys in ADDED.items():
        if group in config:
            result[group] = {k: v for k, v in config[group].items() if k not in keys or v != keys[k]}
            if not result[group]:
                del result[group]
    return result


def _renamed(record: Any, names: dict[str, str]) -> Any:
    if isinstance(record, dict):
        return {
            key: names.get(value, value) if key == "_target_" and isinstance(value, str) else _renamed(value, names)
            for key, value in record.items()
        }
    return record
