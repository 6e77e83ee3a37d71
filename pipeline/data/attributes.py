"""What an HDF5 file of examples says of itself, in attributes."""

import contextlib
import json
from typing import Any

import h5py
import numpy as np

from pipeline import crash, hdf5, hdf5_contents
from pipeline.data.encoding import Encoding, from_json
from pipeline.errors import InputError

OWN = "caviar_"  # attributes that describe the file, not the data
LAYOUT = "caviar_layout"
ENCODING = "caviar_encoding"  # of a table that `convert` read
PARTS = "parts"  # the layout of `python -m pipeline convert`: train/inputs, train/labels, validation/inputs...
CLASS_NAMES = "class_names"
MOST_CLASSES = 100_000  # named in a file
MOST_BYTES = 2**24  # of their names
LONGEST = 10_000  # letters: what is longer is no description
_OF_HDF5 = ("DIMENSION_LIST", "CLASS", "NAME", "REFERENCE_LIST")


def as_attribute(value: object) -> str | int | float:
    """A value as an attribute: text and numbers as they are, anything else as JSON; `of_examples` gives it back."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _like_json(value)):
        return value
    return json.dumps(value)


def is_converted(item: h5py.HLObject) -> bool:
    """Whether `convert` wrote this file."""
    return bool(item.attrs.get(LAYOUT) == PARTS)


def of_examples(file: h5py.File, inputs: h5py.Dataset, labels: h5py.Dataset | None) -> dict[str, object]:
    """What a file and its inputs say, but for class names; `labels.NAME` is what its labels say, if there are any, and
    `file.NAME` what the file says of a name of which the inputs say something else."""
    of_inputs, of_labels = _described(inputs), {} if labels is None else _described(labels)

    def name(key: str, value: object) -> str:
        same = json.dumps(of_inputs.get(key, value)) == json.dumps(value)  # as texts: NaN is not NaN
        return key if same else f"file.{key}"

    of_file = {name(key, value): value for key, value in _described(file).items()}
    return of_file | of_inputs | {f"labels.{key}": value for key, value in of_labels.items()}


def _described(item: h5py.HLObject) -> dict[str, object]:
    """The attributes of a group or dataset that are numbers, text or short lists of them; of a file that `convert`
    wrote, as they were."""
    description: dict[str, object] = {}
    decode = isinstance(item, h5py.File) and is_converted(item)
    for key in item.attrs:
        if key in (hdf5.DIGEST, CLASS_NAMES, *_OF_HDF5) or key.startswith(OWN):
            continue
        value = _plain(item, key)
        if decode and isinstance(value, str) and _like_json(value):
            description[key] = _parsed(value)
        elif value is not None and (decode or len(str(value)) < LONGEST):
            description[key] = value
    return description


def encoding(file: h5py.File) -> Encoding | None:
    """Which columns of a table the inputs were, in a file that `convert` wrote of one."""
    return from_json(_parsed(_text(file.attrs[ENCODING]))) if ENCODING in file.attrs else None


def class_names(file: h5py.File, inputs: h5py.Dataset, labels: h5py.Dataset | None) -> tuple[str, ...] | None:
    """What the labels mean, as the file or one of the datasets says; else as a dataset `list_classes` does, which the
    course's files have."""
    for item in (file, inputs, labels):
        if item is not None and CLASS_NAMES in item.attrs and (known := names(_plain(item, CLASS_NAMES))):
            return known
    with contextlib.suppress(InputError):  # it lies in another file
        listed = hdf5_contents.at(file, "list_classes")
        if isinstance(listed, h5py.Dataset) and listed.ndim == 1 and 0 < listed.size <= MOST_CLASSES:
            hdf5_contents.check_own(listed)
            return tuple(map(_text, listed[()].tolist())) if listed.nbytes <= MOST_BYTES else None
    return None


def named_by_type(labels: h5py.Dataset | None, targets: np.ndarray | None) -> tuple[str, ...] | None:
    """What the labels mean if their type has a name for each number from 0 that there is."""
    numbers = {} if labels is None else enumerated(labels)
    if targets is None or not numbers or set(numbers) != set(range(len(numbers))):
        return None
    return tuple(numbers[i] for i in range(len(numbers))) if set(np.unique(targets).tolist()) <= set(numbers) else None


def enumerated(labels: h5py.Dataset) -> dict[int, str]:
    """The names that the type of a dataset has for its numbers, by these."""
    return {number: name for name, number in (h5py.check_enum_dtype(labels.dtype) or {}).items()}


def names(value: Any) -> tuple[str, ...] | None:
    """Class names as a list or as its JSON."""
    value = _parsed(value) if isinstance(value, str) else value
    return tuple(map(_text, value)) if isinstance(value, list) and value else None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _plain(item: h5py.HLObject, key: str) -> Any:
    """An attribute that is numbers, a text or a list of texts; None for anything else, which could not be recorded."""
    crash.reading()
    try:
        value = item.attrs[key]
    except (OSError, TypeError, ValueError):
        return None
    array = np.asarray(_text(value) if isinstance(value, bytes | str) else value)
    if array.dtype.kind in "biuf":
        return array.tolist()
    if array.dtype.kind not in "OSU" or array.ndim > 1 or not all(isinstance(v, bytes | str) for v in array.flat):
        return None
    return [_text(v) for v in array.tolist()] if array.ndim else _text(array.item())


def _like_json(value: str) -> bool:
    return value[:1] in ("[", "{", '"') or value == "null"


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None
