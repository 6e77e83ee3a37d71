"""Examples with labels in any file that holds them, and in data sets by name, for a look at them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.data import attributes as descriptions
from pipeline.data.formats import columns, npz, tables
from pipeline.data.formats.hdf5 import check_whole, kind_of, read_labels
from pipeline.data.splits import Splits
from pipeline.data.stream.stored import Rows, Stored
from pipeline.errors import InputError, one_of

ARCHIVES, TABLES = (".npz",), (".csv", ".parquet")
INPUTS = re.compile(r"(?<![a-z])(inputs|images|data|x)(?![a-z])", re.IGNORECASE)
LABELS = ("labels", "label", "y", "targets", "target")  # how labels are called beside inputs, and columns of them
LABEL_COLUMNS = (*LABELS, "class")


@dataclass(frozen=True)
class Part:
    """Examples that belong together: inputs [n, *shape] if there are any that are numbers, labels [n], numbers or
    text; storage: how the file keeps the inputs."""

    name: str
    inputs: Rows | None
    labels: np.ndarray
    dtype: str = ""
    storage: str = ""


@dataclass(frozen=True)
class Data:
    parts: list[Part]
    class_names: tuple[str, ...] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    columns: list[dict[str, Any]] = field(default_factory=list)  # of a table
    features: tuple[str, ...] = ()  # names of the columns that the inputs are


def of_splits(splits: Splits) -> Data:
    parts = []
    for name, split in splits.parts.items():
        stored = isinstance(split.inputs, Stored)
        parts.append(
            Part(name, split.inputs, split.labels, str(split.inputs.dtype), "in a file" if stored else "in memory")
        )
    return Data(parts, splits.class_names, splits.attributes)


def of_hdf5(path: Path, file: h5py.File) -> Data | None:
    """Every pair of inputs and labels in an HDF5 file, by their names and lengths; None if there is no pair."""
    found: dict[str, h5py.Dataset] = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    parts, class_names = [], None
    for key, label_key in _pairs({name: item.shape for name, item in found.items()}):
        inputs, labels = found[key], found[label_key]
        if kind_of(inputs) != "numbers" or kind_of(labels) not in ("numbers", "text") or not inputs.size:
            continue
        check_whole(labels, path, label_key)
        values = read_labels(labels, path, label_key)
        rows = Stored(path, key, np.arange(len(inputs)))
        parts.append(Part(key.removesuffix("/inputs"), rows, values.reshape(-1), str(inputs.dtype), _storage(inputs)))
        class_names = class_names or descriptions.class_names(file, labels)
    order = {name: i for i, name in enumerate(("train", "val", "test"))}
    parts.sort(key=lambda part: next((i for name, i in order.items() if name in part.name.lower()), -1))
    return Data(parts, class_names, descriptions.read(file)) if parts else None


def of_archive(path: Path) -> Data:
    """The pairs of an .npz file. Raises InputError if it has none."""
    arrays = npz.arrays(path, {name: name for name in npz.names(path)})
    pairs = _pairs({name: array.shape for name, array in arrays.items()})
    parts = [
        Part(x, arrays[x], arrays[y].reshape(-1), str(arrays[x].dtype), "")
        for x, y in pairs
        if arrays[x].dtype.kind in "biuf"
    ]
    if not parts:
        listed = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise InputError(f"{path}: no inputs with labels beside them, such as x and y; it holds {listed}.")
    return Data(parts, descriptions.names(arrays["class_names"].tolist()) if "class_names" in arrays else None)


def of_table(path: Path, label: str | None) -> Data:
    """A .csv or .parquet file, every column with its type and values; `label`: the column of labels, by default one
    that is called so."""
    table = (tables.read_csv if path.suffix.lower() == ".csv" else tables.read_parquet)(path)
    names = table.column_names
    if label is not None and label not in names:
        raise one_of("--labels", label, names)
    label = label or next((name for name in names if name.lower() in LABEL_COLUMNS), None)
    about = [_column(name, table[name]) | ({"labels": True} if name == label else {}) for name in names]
    inputs = {name: columns.numbers(table[name]) for name in names if name != label and _is_number(table[name])}
    rows = np.stack([*inputs.values()], 1) if inputs and table.num_rows else None
    parts = []
    if label is not None:
        parts.append(Part("examples", rows, _labels(table[label])))
    return Data(parts, columns=about, features=tuple(inputs))


def _is_number(values: Any) -> bool:
    return columns.kind(values.type) in ("number", "bool")


def _column(name: str, values: Any) -> dict[str, Any]:
    """What a column of a table holds, for a person."""
    import pyarrow as pa

    known = values.drop_null()
    if _is_number(values):
        found = columns.numbers(known)
        shown = f"{found.min():.6g} to {found.max():.6g}" if len(found) else "none"
    else:
        try:
            distinct = known.unique().to_pylist()
            more = f" and {len(distinct) - 6} more" if len(distinct) > 6 else ""
            shown = ", ".join(map(str, distinct[:6])) + more
        except pa.ArrowNotImplementedError:  # lists and records, which pyarrow does not compare
            shown = "neither numbers nor text"
    return {"name": name, "type": str(values.type), "missing": values.null_count, "values": shown}


def _labels(values: Any) -> np.ndarray:
    """A column as labels [n]: numbers if it has no other and lacks none, else text, as training calls the classes."""
    if columns.kind(values.type) == "number" and not values.null_count:
        found = values.to_numpy()
        return found if found.dtype.kind in "iuf" else columns.numbers(values)
    return np.array([_text(value) for value in values.to_pylist()], str)


def _text(value: Any) -> str:
    if value is None:
        return columns.MISSING
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pairs(shapes: Mapping[str, tuple[int, ...] | None]) -> Iterable[tuple[str, str]]:
    """(inputs, labels): the names differ in one word, and there is a label for every row."""
    by_name = {name.lower(): name for name in shapes}
    for name, shape in shapes.items():
        last = list(INPUTS.finditer(name))[-1:]
        for match, word in ((match, word) for match in last for word in LABELS):
            label = by_name.get((name[: match.start()] + word + name[match.end() :]).lower())
            wanted = shapes[label] if label else None
            if (
                shape
                and len(shape) > 1
                and wanted
                and [d for d in wanted if d != 1] == [d for d in shape[:1] if d != 1]
            ):
                assert label is not None
                yield name, label
                break


def _storage(dataset: h5py.Dataset) -> str:
    if not dataset.chunks:
        return "contiguous"
    filters = [dataset.compression or "not compressed", "shuffled" if dataset.shuffle else ""]
    kept = f"{dataset.id.get_storage_size() / max(1, dataset.nbytes):.0%}"
    return ", ".join(filter(None, (*filters, f"{kept} of its size, chunks of {' x '.join(map(str, dataset.chunks))}")))
