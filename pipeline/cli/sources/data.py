"""Examples with labels in any file that holds them, and in data sets by name, for a look at them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.cli.sources.files import readable
from pipeline.data import attributes as descriptions
from pipeline.data.splits import Splits
from pipeline.data.stored import Rows, Stored
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
        if inputs.dtype.kind not in "biuf" or not inputs.size:
            continue
        values = labels.asstr()[()] if h5py.check_string_dtype(labels.dtype) else labels[()]
        rows = Stored(path, key, np.arange(len(inputs)))
        parts.append(
            Part(key.removesuffix("/inputs"), rows, np.asarray(values).reshape(-1), str(inputs.dtype), _storage(inputs))
        )
        class_names = class_names or descriptions.class_names(file, labels)
    order = {name: i for i, name in enumerate(("train", "val", "test"))}
    parts.sort(key=lambda part: next((i for name, i in order.items() if name in part.name.lower()), -1))
    return Data(parts, class_names, descriptions.read(file)) if parts else None


def of_archive(path: Path) -> Data:
    """The pairs of an .npz file. Raises InputError if it has none."""
    with readable(path), np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
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
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv, parquet

    with readable(path):
        table = (csv.read_csv if path.suffix.lower() == ".csv" else parquet.read_table)(path)
        names = table.column_names
        if label is not None and label not in names:
            raise one_of("--labels", label, names)
        label = label or next((name for name in names if name.lower() in LABEL_COLUMNS), None)
        columns, numbers = [], {}
        for name, column in zip(names, table.columns):
            known = column.drop_null()
            about = {"name": name, "type": str(column.type), "missing": column.null_count}
            if (
                pa.types.is_boolean(column.type)
                or pa.types.is_integer(column.type)
                or pa.types.is_floating(column.type)
            ):
                values = known.cast(pa.float64(), safe=False).to_numpy()
                about["values"] = f"{values.min():.6g} to {values.max():.6g}" if len(values) else "none"
                numbers[name] = column.cast(pa.float64(), safe=False).to_numpy()
            else:
                distinct = pc.unique(known).slice(0, 6).to_pylist()
                more = pc.count_distinct(known).as_py() - len(distinct)
                about["values"] = ", ".join(map(str, distinct)) + (f" and {more} more" if more else "")
            columns.append(about | ({"labels": True} if name == label else {}))
        labels = (
            np.array([], object)
            if label is None
            else np.array(["(missing)" if v is None else v for v in table[label].to_pylist()])
        )
    features = tuple(name for name in numbers if name != label)
    inputs = np.stack([numbers[name] for name in features], 1) if features and table.num_rows else None
    return Data([Part("examples", inputs, labels)] if label else [], columns=columns, features=features)


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
