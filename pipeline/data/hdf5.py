"""Examples in HDF5 files, of any size."""

import math
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from pipeline import hdf5 as files
from pipeline.data import attributes as descriptions
from pipeline.data import parts
from pipeline.data.checked import once
from pipeline.data.splits import Split, Splits
from pipeline.data.stored import Stored
from pipeline.errors import InputError, nearest


def hdf5(
    *,
    file: str,
    inputs: str | None,
    labels: str | None,
    validation: parts.Place,
    test: parts.Place,
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
    others: dict[str, parts.Place] = {"validation": validation, "test": test}
    with files.opened(Path(file)) as opened:
        if inputs is None and labels is None and descriptions.in_parts(opened):
            inputs, labels = "train/inputs", "train/labels"
            others = {name: _under(name, place) for name, place in others.items()}
    own = parts.located(_part, {"file": file, "inputs": inputs or "inputs", "labels": labels or "labels"}, others)
    splits = parts.divide(own, {"validation": validation_fraction, "test": test_fraction}, seed)
    room = {"always": math.inf, "never": 0.0, "auto": parts.room()}[memory]
    held = dict(splits.parts)
    for name, split in sorted(held.items(), key=lambda item: item[1].nbytes):  # what is read most often comes last
        room -= split.nbytes
        if room >= 0 and isinstance(split.inputs, Stored):
            held[name] = Split(split.inputs.load(), split.labels)
    return Splits(**held, class_names=splits.class_names, attributes=splits.attributes)


def _under(name: str, place: parts.Place) -> parts.Place:
    """Where `python -m pipeline convert` writes a part, unless the user names another place."""
    named = {key: value for key, value in place.items() if value}
    return {"inputs": f"{name}/inputs", "labels": f"{name}/labels", **named}


def _part(place: parts.Place) -> parts.Part:
    """What lies at a place, checked but for the labels' values."""
    path, key, label_key = Path(str(place["file"])), str(place["inputs"]), str(place["labels"])
    with files.opened(path) as file:
        if files.DIGEST in file.attrs:
            once(path, files.DIGEST, lambda: files.check(path))
        inputs, label_set = _dataset(file, path, key, "inputs"), _dataset(file, path, label_key, "labels")
        n = parts.check_pair(str(path), (key, inputs.shape, _no_numbers(inputs)), (label_key, label_set.shape))
        labels = label_set.asstr()[()] if h5py.check_string_dtype(label_set.dtype) else label_set[()]
        attributes = {**descriptions.read(file), **descriptions.read(inputs)}
        attributes.pop("class_names", None)
        names = descriptions.class_names(file, label_set)
        once(path, key, lambda: _check_rows(Stored(path, key, np.arange(n))))
    take = partial(Stored, path, key)
    return parts.Part(str(path), key, label_key, take, np.asarray(labels).reshape(n), names, attributes)


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


def _no_numbers(dataset: h5py.Dataset) -> str | None:
    """What a dataset holds if it holds no numbers."""
    if h5py.check_string_dtype(dataset.dtype):
        return "text"
    return None if dataset.dtype.kind in "biuf" else str(dataset.dtype)


def _check_rows(rows: Stored) -> None:
    """Reads all once: what can't be read, or is no number, is found before training."""
    at = 0
    for block in rows:
        parts.check_finite(str(rows.path), rows.key, block, at)
        at += len(block)
