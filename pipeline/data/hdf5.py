"""Examples in HDF5 files, of any size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline import hdf5 as files
from pipeline import memory as machine
from pipeline.data import attributes as descriptions
from pipeline.data.checked import once
from pipeline.data.splits import Split, Splits, divided
from pipeline.data.stored import Stored
from pipeline.errors import InputError, nearest

IN_MEMORY_SHARE = 1 / 16  # of the memory: every worker holds the data, and TensorFlow a copy of it
Place = Mapping[str, str | None]  # file, inputs, labels of a part; None: as those of the training part


@dataclass
class Table:
    """A pair of datasets: inputs [n, *shape] in the file at `path` under `key`, their labels [n], as the file has
    them, what the labels mean and what else the file says."""

    path: Path
    key: str
    labels: np.ndarray
    class_names: tuple[str, ...] | None
    attributes: dict[str, Any]
    n: int


def hdf5(
    *,
    file: str,
    inputs: str | None,
    labels: str | None,
    validation: Place,
    test: Place,
    validation_fraction: float,
    test_fraction: float,
    memory: str,
    seed: int,
) -> Splits:
    """Inputs [n, *shape] and labels [n] under two keys of a file; rows are read when they are wanted.

    inputs, labels: the keys; without them `inputs` and `labels`, or in a file that `python -m pipeline convert` wrote
    the training, validation and test part that it has.
    validation, test: where a part has a place of its own (another file, other keys); one that has none is split off
    the training part by seed, `validation_fraction` or `test_fraction` of it. Integer inputs are kept as they are
    stored: the model brings every channel to mean 0 and variance 1.
    memory: `always` holds all examples in memory, shuffled as a whole; `never` reads them again in every epoch, in
    blocks; `auto` holds as many parts, small ones first, as take no more than a sixteenth of the memory.
    Raises InputError with the file, the key and what to do for whatever can't be trained on.
    """
    with files.opened(Path(file)) as opened:
        in_parts = inputs is None and labels is None and descriptions.in_parts(opened)
    given: dict[str, Place] = {"train": {}, "validation": validation, "test": test}
    if in_parts:
        own = {
            name: _table(place, {"file": file, "inputs": f"{name}/inputs", "labels": f"{name}/labels"})
            for name, place in given.items()
        }
    else:
        whole = {"file": file, "inputs": inputs or "inputs", "labels": labels or "labels"}
        own = {name: _table(place, whole) for name, place in given.items() if name == "train" or any(place.values())}
    fractions = {"validation": validation_fraction, "test": test_fraction}
    fractions = {name: fraction for name, fraction in fractions.items() if name not in own}
    names = _class_names(own)
    numbers = {name: _numbered(table, names) for name, table in own.items()}
    index = {name: np.arange(table.n) for name, table in own.items()}
    if fractions:
        index |= divided(numbers["train"], len(names), fractions, seed)
    parts = {}
    for name in ("train", "validation", "test"):
        owner = name if name in own else "train"
        rows = np.sort(index[name])
        parts[name] = Split(Stored(own[owner].path, own[owner].key, rows), numbers[owner][rows])
    _check_shapes(parts)
    attributes = {key: value for table in own.values() for key, value in table.attributes.items()}
    room = {"always": math.inf, "never": 0.0, "auto": IN_MEMORY_SHARE * machine.total()}[memory]
    for name, split in sorted(parts.items(), key=lambda item: item[1].nbytes):  # what is read most often comes last
        room -= split.nbytes
        if room >= 0 and isinstance(split.inputs, Stored):
            parts[name] = Split(split.inputs.load(), split.labels)
    return Splits(**parts, class_names=names, attributes=attributes)


def _table(place: Place, other: Place) -> Table:
    """A part's inputs and labels, checked but for the labels' values."""
    found = {key: place.get(key) or other.get(key) for key in ("file", "inputs", "labels")}
    path, key, label_key = Path(str(found["file"])), str(found["inputs"]), str(found["labels"])
    with files.opened(path) as file:
        if files.DIGEST in file.attrs:
            once(path, files.DIGEST, lambda: files.check(path))
        inputs, label_set = _dataset(file, path, key, "inputs"), _dataset(file, path, label_key, "labels")
        n = len(inputs)
        if inputs.dtype.kind not in "biuf":
            raise InputError(f"{path}: {key} holds {_kind(inputs)}, not numbers; name the key of the inputs.")
        if inputs.ndim < 2:
            raise InputError(
                f"{path}: {key} has the shape {inputs.shape}; inputs are [n, ...], a row an example: store one "
                f"number a row as ({n}, 1)."
            )
        shape = tuple(d for d in label_set.shape if d != 1) or (1,)
        if shape != (n,):
            hint = "one-hot labels: store the number of the class instead" if label_set.ndim > 1 else "a label a row"
            raise InputError(
                f"{path}: {label_key} has the shape {label_set.shape}, but {key} has {n} rows; wanted are {n} labels "
                f"({hint})."
            )
        labels = label_set.asstr()[()] if h5py.check_string_dtype(label_set.dtype) else label_set[()]
        attributes = {**descriptions.read(file), **descriptions.read(inputs)}
        attributes.pop("class_names", None)
        names = descriptions.class_names(file, label_set)
        once(path, key, lambda: _check_rows(Stored(path, key, np.arange(n))))
    return Table(path, key, np.asarray(labels).reshape(n), names, attributes, n)


def _dataset(file: h5py.File, path: Path, key: str, what: str) -> h5py.Dataset:
    """A dataset that holds all the rows it claims."""
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    if key.strip("/") not in names:
        listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") or "none"
        raise InputError(
            f"{path}: there is no dataset {key!r} for the {what}. Datasets: {listed}.{nearest(key, names)}"
        )
    dataset = file[key]
    if dataset.shape is None or not dataset.shape or not dataset.size:
        raise InputError(f"{path}: {key} is empty.")
    if dataset.chunks:
        wanted = int(np.prod([-(-n // size) for n, size in zip(dataset.shape, dataset.chunks)], dtype=object))
        held = dataset.id.get_num_chunks()
        if held < wanted:
            raise InputError(f"{path}: {key} has {held} of its {wanted} chunks: it was not written to its end.")
    elif (held := dataset.id.get_storage_size()) < dataset.nbytes:
        raise InputError(f"{path}: {key} has {held} of its {dataset.nbytes} bytes: it was not written to its end.")
    return dataset


def _kind(dataset: h5py.Dataset) -> str:
    return "text" if h5py.check_string_dtype(dataset.dtype) else str(dataset.dtype)


def _check_rows(rows: Stored) -> None:
    """Reads all once: what can't be read, or is no number, is found before training."""
    at = 0
    for block in rows:
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            bad = ~np.isfinite(block).reshape(len(block), -1).all(1)
            raise InputError(
                f"{rows.path}: {rows.key} has values that are not finite, first in row {at + int(bad.argmax())}; "
                "remove or replace such rows."
            )
        at += len(block)


def _class_names(own: Mapping[str, Table]) -> tuple[str, ...]:
    """As the training file says; else the texts that its labels are, sorted; else their numbers."""
    table = own["train"]
    if table.class_names:
        return table.class_names
    if table.labels.dtype.kind in "OUS":
        return tuple(sorted(set(table.labels.tolist())))
    numbers = [_whole(t) for t in own.values()]
    return tuple(map(str, range(max(int(n.max()) for n in numbers) + 1)))


def _numbered(table: Table, names: tuple[str, ...]) -> np.ndarray:
    """The labels as numbers of `names`, int32 [n]."""
    if table.labels.dtype.kind in "OUS":
        numbers = {name: i for i, name in enumerate(names)}
        if unknown := sorted(set(table.labels.tolist()) - set(names)):
            raise InputError(f"{table.path}: the label {unknown[0]!r} is none of the classes {', '.join(names[:10])}.")
        return np.array([numbers[label] for label in table.labels.tolist()], np.int32)
    labels = _whole(table)
    if (high := int(labels.max())) >= len(names):
        raise InputError(
            f"{table.path}: the label {high} is out of range: the {len(names)} classes have the numbers 0 to "
            f"{len(names) - 1}."
        )
    return labels.astype(np.int32)


def _whole(table: Table) -> np.ndarray:
    labels = table.labels
    if labels.dtype.kind not in "biuf":
        raise InputError(f"{table.path}: its labels are {labels.dtype}; wanted are whole numbers or text.")
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise InputError(f"{table.path}: its labels are not all whole numbers; number the classes from 0.")
    if (low := int(labels.min())) < 0:
        raise InputError(f"{table.path}: the label {low} is out of range; number the classes from 0.")
    return labels


def _check_shapes(parts: Mapping[str, Split]) -> None:
    train = parts["train"].inputs
    for name, split in parts.items():
        if split.inputs.shape[1:] != train.shape[1:]:
            assert isinstance(split.inputs, Stored)
            raise InputError(
                f"{split.inputs.path}: {split.inputs.key} ({name}) has examples of {split.inputs.shape[1:]}, those to "
                f"train on are {train.shape[1:]}."
            )
