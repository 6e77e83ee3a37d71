"""Examples in HDF5 files, of any size."""

import contextlib
import math
from pathlib import Path

import h5py
import numpy as np

from pipeline import crash, hdf5_contents
from pipeline import hdf5 as files
from pipeline import memory as machine
from pipeline.data import attributes, parts
from pipeline.data.checked import cached_check
from pipeline.data.examples import Examples
from pipeline.data.formats import naming
from pipeline.data.formats.reader import reader
from pipeline.data.splits import Splits
from pipeline.data.stream.stored import Stored
from pipeline.data.trainable import check_pair, trainable
from pipeline.errors import InputError, first_of, nearest, one_of
from pipeline.hdf5 import opened

LABEL_KINDS = ("numbers", "text")


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
    if not file:
        raise InputError("dataset.file is not given; name the file of the examples, dataset.file=PATH.")
    known = {}
    if inputs is None and labels is None:
        with opened(Path(file), references=True) as content:
            known = _pairs(content) if attributes.is_converted(content) else {}
    train = known.get("train", {"inputs": "inputs" if inputs is None else inputs})
    place = {"file": file, "labels": "labels" if labels is None else labels, **train}

    def at(place: parts.Place) -> Examples:
        return trainable(read(Path(place["file"]), inputs=str(place["inputs"]), labels=str(place["labels"])))

    own = parts.located(at, place, {"validation": validation, "test": test}, known)
    splits = parts.divide(own, {"validation": validation_fraction, "test": test_fraction}, seed)
    return parts.held(splits, memory)


def in_parts(path: Path) -> dict[str, dict[str, str]]:
    """The pairs of inputs and labels in a file, by their names and shapes."""
    with opened(path, references=True) as file:
        return _pairs(file)


def _pairs(file: h5py.File) -> dict[str, dict[str, str]]:
    datasets = _datasets(file)
    pairs = {
        inputs.removesuffix("/inputs"): {"inputs": inputs, "labels": labels}
        for inputs, labels in naming.pairs({name: item.shape or () for name, item in datasets.items()})
        if datasets[inputs].size and kind_of(datasets[inputs]) == "numbers" and kind_of(datasets[labels]) in LABEL_KINDS
    }
    return naming.ordered(pairs)


@reader(".h5", ".hdf5", parts=in_parts)
def read(
    path: Path,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    key: str | None = None,
    labelled: bool = True,
    survey: bool = False,
) -> Examples:
    """What lies under two keys of a file, as far as can be said without reading its rows, which stay in it.

    key: the group in which inputs and labels lie that have the usual names; or the inputs, if no labels are needed.
    """
    with opened(path, references=True) as file:
        if inputs is None:
            inputs, labels = _usual(file, path, key, labelled)
        rows = _dataset(file, path, inputs, "inputs")
        beside = None if labels is None else _dataset(file, path, labels, "labels")
        if beside is not None and (kind := kind_of(beside)) not in LABEL_KINDS:
            raise InputError(f"{path}: {labels} holds {kind}; labels are whole numbers from 0, or text.")
        if (kind := kind_of(rows)) == "numbers" and not survey:
            check_whole(rows, path, inputs)
        targets = None
        if beside is not None and labels is not None:
            check_whole(beside, path, labels)
            n = check_pair(str(path), (inputs, rows.shape, None if kind == "numbers" else kind), (labels, beside.shape))
            _check_number(beside, path, labels, 2**25 if survey else int(machine.total()) // 32)
            targets = read_labels(beside, path, labels).reshape(n)
        elif kind != "numbers":
            raise InputError(f"{path}: {inputs} holds {kind}, not numbers.")
        if files.DIGEST in file.attrs and not survey:
            cached_check(path, files.DIGEST, lambda: files.check(path))
        return Examples(
            str(path),
            Stored(path, inputs, np.arange(len(rows))),
            targets,
            attributes.class_names(file, rows, beside) or attributes.named_by_type(beside, targets),
            attributes.encoding(file),
            attributes=attributes.of_examples(file, rows, beside),
            key=inputs,
            label_key=labels or "labels",
            dtype=str(rows.dtype),
            storage=_storage(rows),
        )


def _usual(file: h5py.File, path: Path, key: str | None, labelled: bool) -> tuple[str, str | None]:
    """The keys of inputs and labels that have the usual names, in the group `key`; without `labelled` of inputs."""
    if not labelled:
        shapes = {name: item.shape or () for name, item in _datasets(file).items()}
        return naming.unlabelled(path, key, shapes, "datasets"), None
    group = hdf5_contents.at(file, key or "/")
    if not isinstance(group, h5py.Group):
        groups = [name for name, item in hdf5_contents.objects(file) if isinstance(item, h5py.Group)]
        raise one_of(f"{path}: part", key, [name for name in groups if "/" not in name])
    names = {name for name in _datasets(group) if "/" not in name}
    usual = [name for pair in naming.LABELLED for name in pair]
    names |= {name for name in usual if isinstance(hdf5_contents.at(group, name), h5py.Dataset)}  # also by links
    prefix = "" if key is None else f"{key.strip('/')}/"
    inputs, labels = naming.labelled(f"{path}:{key}" if key else str(path), names)
    return prefix + inputs, prefix + labels


def _datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """All of a file or a group, by their names."""
    return {name: item for name, item in hdf5_contents.objects(group) if isinstance(item, h5py.Dataset)}


def _dataset(file: h5py.File, path: Path, key: str, what: str) -> h5py.Dataset:
    """The dataset of rows under a key."""
    item = None
    if ".." not in key.split("/"):
        with contextlib.suppress(ValueError):  # a null byte
            item = hdf5_contents.at(file, key)
    if not isinstance(item, h5py.Dataset):
        names = list(_datasets(file))
        hint = f"name one of these: {first_of(names)}.{nearest(key, names)}"
        if key in ("inputs", "labels") and (words := naming.keys_for(_pairs(file))):  # as none was named
            hint = f"name one of these: {first_of(names)}. Give {words}"
        problem = f"there is no dataset {key!r}"
        if key and item:
            problem = f"{key!r} is a {type(item).__name__.lower()}, not a dataset"
        raise InputError(f"{path}: {problem} for the {what}; {hint if names else 'the file has no datasets at all.'}")
    hdf5_contents.check_own(item)
    hdf5_contents.check_chunks(item)
    if not item.size:  # nor has a dataset without a shape
        raise InputError(f"{path}: {key} is empty; write the {what} into it, or name another key.")
    if not item.shape:
        raise InputError(f"{path}: {key} is a single value; {what} are rows, one an example. Name another key.")
    return item


def _check_number(labels: h5py.Dataset, path: Path, key: str, most: int) -> None:
    """Raises InputError for labels that would fill the memory: texts take more of it."""
    most = most // 8 if kind_of(labels) == "text" else most
    if labels.size > most:
        raise InputError(f"{path}: {key} has {labels.size:,} labels, which are not read: {most:,} at most fit.")


def check_whole(dataset: h5py.Dataset, path: Path, key: str) -> None:
    """Raises InputError if a dataset has not all the rows it claims, without reading them."""
    crash.reading()  # what may take a while is a list of a million chunks
    if dataset.chunks:
        whole = math.prod(-(-n // size) for n, size in zip(dataset.shape, dataset.chunks, strict=True))
        held, unit = dataset.id.get_num_chunks(), "chunks"
    else:
        whole, unit = math.prod(dataset.shape) * dataset.id.get_type().get_size(), "bytes"
        held = min(dataset.id.get_storage_size(), path.stat().st_size)  # what a damaged file says may be anything
    if held < whole:
        raise InputError(
            f"{path}: {key} has {held} of its {whole} {unit}: it was not written to its end. Write it again."
        )


def kind_of(dataset: h5py.Dataset) -> str:
    """What it holds, for a person."""
    try:
        dtype = dataset.dtype
    except TypeError:  # times, and whatever else NumPy has not
        return "values of a type that can't be read"
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
        rows = dataset.asstr("utf-8", "strict") if kind_of(dataset) == "text" else dataset
        labels = np.concatenate([np.atleast_1d(rows[block]) for block in hdf5_contents.blocks(dataset)])
    except UnicodeDecodeError:
        raise InputError(f"{path}: {key} holds text that is not UTF-8; store the numbers of the classes.") from None
    names = attributes.enumerated(dataset)
    if names and set(names) != set(range(len(names))) and set(np.unique(labels).tolist()) <= set(names):
        return np.array([names[value] for value in labels.tolist()], object)
    return labels


def _storage(dataset: h5py.Dataset) -> str:
    """How the file keeps it, for a person."""
    if not dataset.chunks:
        return "contiguous"
    filters = [dataset.compression or "not compressed", *(["shuffled"] if dataset.shuffle else [])]
    kept = f"{dataset.id.get_storage_size() / max(1, dataset.nbytes):.0%} of its size"
    return ", ".join([*filters, kept, f"chunks of {' x '.join(map(str, dataset.chunks))}"])
