"""Examples in HDF5 files, of any size."""

import contextlib
import hashlib
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from pipeline import hdf5 as files
from pipeline.data import attributes as descriptions
from pipeline.data import parts
from pipeline.data.checked import once
from pipeline.data.probe import opened, probe
from pipeline.data.splits import Splits
from pipeline.data.stream.stored import Stored
from pipeline.errors import InputError, first_of, nearest


def hdf5(
    *,
    file: str,
    inputs: str | None,
    labels: str | None,
    validation: parts.Place | None,
    test: parts.Place | None,
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
    known: dict[str, parts.Place] = {}
    if not file:
        raise InputError("dataset.file is not given; name the file of the examples, dataset.file=PATH.")
    with opened(Path(file)) as source:
        if inputs is None and labels is None and descriptions.in_parts(source):
            known = {n: {"inputs": f"{n}/inputs", "labels": f"{n}/labels"} for n in ("validation", "test")}
            inputs, labels = "train/inputs", "train/labels"
    inputs, labels = "inputs" if inputs is None else inputs, "labels" if labels is None else labels
    place = {"file": file, "inputs": inputs, "labels": labels}
    own = parts.located(part_at, place, {"validation": validation, "test": test}, known)
    splits = parts.divide(own, {"validation": validation_fraction, "test": test_fraction}, seed)
    room = {"always": math.inf, "never": 0.0, "auto": parts.room()}[memory]
    held = dict(splits.parts)
    for name, split in sorted(held.items(), key=lambda item: item[1].nbytes):  # what is read most often comes last
        room -= split.nbytes
        if room >= 0 and isinstance(split.inputs, Stored):
            held[name] = replace(split, inputs=split.inputs.load())
    return Splits(**held, class_names=splits.class_names, attributes=splits.attributes)


def part_at(place: parts.Place) -> parts.Part:
    """What lies at a place, checked but for the labels' values."""
    path, key, label_key = Path(str(place["file"])), str(place["inputs"]), str(place["labels"])
    with opened(path) as file:
        inputs, label_set = _dataset(file, path, key, "inputs"), _dataset(file, path, label_key, "labels")
        if (kind := kind_of(label_set)) not in ("numbers", "text"):
            raise InputError(f"{path}: {label_key} holds {kind}; labels are whole numbers from 0, or text.")
        if (kind := kind_of(inputs)) == "numbers":
            check_whole(inputs, path, key)
        check_whole(label_set, path, label_key)
        other = None if kind == "numbers" else kind
        n = parts.check_pair(str(path), (key, inputs.shape, other), (label_key, label_set.shape))
        texts = [name for name in (label_key, "list_classes") if _is_long_text(file.get(name))]
        if texts:
            once(path, f"probe of {texts}", lambda: probe(path, *texts))
        if files.DIGEST in file.attrs:
            once(path, files.DIGEST, lambda: files.check(path))
        labels = read_labels(label_set, path, label_key)
        attributes = descriptions.of_examples(file, inputs, label_set)
        names = descriptions.class_names(file, inputs, label_set)
        whole = inputs.dtype.kind != "f"
        digest = once(path, key, lambda: _check_rows(Stored(path, key, np.arange(n))))
    take = partial(Stored, path, key)
    return parts.Part(str(path), key, label_key, take, labels.reshape(n), names, attributes, whole, digest)


def _is_long_text(item: h5py.HLObject | None) -> bool:
    """Whether it is text of any length, which lies in a heap of the file."""
    found = h5py.check_string_dtype(item.dtype) if isinstance(item, h5py.Dataset) else None
    return found is not None and found.length is None


def _dataset(file: h5py.File, path: Path, key: str, what: str) -> h5py.Dataset:
    """The dataset of rows under a key."""
    found = None
    if ".." not in key.split("/"):
        with contextlib.suppress(KeyError, RuntimeError, ValueError):  # links to nowhere, or to themselves; a null byte
            found = file[key or "/"]
    if not isinstance(found, h5py.Dataset):
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        hint = (
            f"name one of these: {first_of(names)}.{nearest(key, names)}"
            if names
            else "the file has no datasets at all."
        )
        wrong = (
            f"{key!r} is a {type(found).__name__.lower()}, not a dataset"
            if key and found
            else f"there is no dataset {key!r}"
        )
        raise InputError(f"{path}: {wrong} for the {what}; {hint}")
    if found.shape is None or not found.size:
        raise InputError(f"{path}: {key} is empty; write the {what} into it, or name another key.")
    if not found.shape:
        raise InputError(f"{path}: {key} is a single value; {what} are rows, one an example. Name another key.")
    return found


def check_whole(dataset: h5py.Dataset, path: Path, key: str) -> None:
    """Raises InputError if a dataset has not all the rows it claims, without reading them."""
    if dataset.chunks:
        wanted = math.prod(-(-n // size) for n, size in zip(dataset.shape, dataset.chunks, strict=True))
        held, unit = dataset.id.get_num_chunks(), "chunks"
    else:
        wanted, unit = math.prod(dataset.shape) * dataset.id.get_type().get_size(), "bytes"
        held = min(dataset.id.get_storage_size(), path.stat().st_size)  # what a damaged file says may be anything
    if held < wanted:
        raise InputError(
            f"{path}: {key} has {held} of its {wanted} {unit}: it was not written to its end. Write it again."
        )


def kind_of(dataset: h5py.Dataset) -> str:
    """What it holds, for a person."""
    dtype = dataset.dtype
    if h5py.check_string_dtype(dtype):
        return "text"
    if h5py.check_ref_dtype(dtype):
        return "references"
    if h5py.check_vlen_dtype(dtype):
        return "lists, each of its own length"
    if dtype.names or dtype.subdtype:
        return "records"
    return "numbers" if dtype.kind in "biuf" else str(dtype)


def read_labels(dataset: h5py.Dataset, path: Path, key: str) -> np.ndarray:
    """All of them, numbers or text. Raises InputError for text that is not UTF-8."""
    try:  # written by NumPy, UTF-8 claims to be ASCII
        return np.asarray(dataset.asstr("utf-8", "strict")[()] if kind_of(dataset) == "text" else dataset[()])
    except UnicodeDecodeError:
        raise InputError(f"{path}: {key} holds text that is not UTF-8; store the numbers of the classes.") from None


def _check_rows(rows: Stored) -> str:
    """Reads all once: what can't be read, or is no number, is found before training. Returns a hash of the numbers as
    they are read, whatever chunks they lie in."""
    digest, at = hashlib.sha256(), 0
    for block in rows:
        parts.check_finite(str(rows.path), rows.key, block, at)
        digest.update(block.data)
        at += len(block)
    return digest.hexdigest()
