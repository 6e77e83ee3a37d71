"""What an HDF5 file of examples says of itself, in attributes."""

import json
from typing import Any

import h5py
import numpy as np

from pipeline import crash
from pipeline import hdf5 as files
from pipeline.data.encoding import Encoding, from_json

OWN = "caviar_"  # attributes that describe the file, not the data
LAYOUT = "caviar_layout"
ENCODING = "caviar_encoding"  # of a table that `convert` read
PARTS = "parts"  # the layout of `python -m pipeline convert`: train/inputs, train/labels, validation/inputs...
MOST_CLASSES = 100_000  # named in a file
LONGEST = 10_000  # letters: what is longer is no description
_OF_HDF5 = ("DIMENSION_LIST", "CLASS", "NAME", "REFERENCE_LIST")


def written(value: Any) -> str | int | float:
    """A value as an attribute: text and numbers as they are, anything else as JSON; `read` gives it back."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _like_json(value)):
        return value
    return json.dumps(value)


def in_parts(item: h5py.HLObject) -> bool:
    """Whether `convert` wrote this file."""
    return bool(item.attrs.get(LAYOUT) == PARTS)


def read(item: h5py.HLObject) -> dict[str, Any]:
    """The attributes of a group or dataset that are numbers, text or short lists of them; of a file that `convert`
    wrote, as they were."""
    found = {}
    decode = isinstance(item, h5py.File) and in_parts(item)
    for key in item.attrs:
        if key in (files.DIGEST, *_OF_HDF5) or key.startswith(OWN):
            continue
        crash.reading()
        try:
            value = item.attrs[key]
        except (OSError, TypeError, ValueError):
            continue
        value = _plain(np.asarray(text(value) if isinstance(value, bytes | str) else value))
        if value is None:
            continue
        if key == "class_names":
            found[key] = names(value)
        elif decode or len(str(value)) < LONGEST:
            found[key] = _parsed(value) if decode and isinstance(value, str) and _like_json(value) else value
    return found


def encoding(file: h5py.File) -> Encoding | None:
    """Which columns of a table the inputs were, in a file that `convert` wrote of one."""
    return from_json(_parsed(text(file.attrs[ENCODING]))) if ENCODING in file.attrs else None


def of_examples(file: h5py.File, *datasets: h5py.Dataset) -> dict[str, Any]:
    """What a file and its inputs say, but for class names; `labels.NAME` is what its labels say, if there are any, and
    `file.NAME` what the file says of a name of which the inputs say something else."""
    said = [{k: v for k, v in read(i).items() if k != "class_names"} for i in (file, *datasets)]
    whole, own, theirs = [*said, {}][:3]

    def name(key: str, value: Any) -> str:
        return key if json.dumps(own.get(key, value)) == json.dumps(value) else f"file.{key}"  # NaN is not NaN, else

    found = {name(key, value): value for key, value in whole.items()}
    return found | own | {f"labels.{key}": value for key, value in theirs.items()}


def class_names(file: h5py.File, *datasets: h5py.Dataset) -> tuple[str, ...] | None:
    """What the labels mean, as the file, one of the datasets or a dataset `list_classes` says."""
    found = next((names for item in (file, *datasets) if (names := read(item).get("class_names"))), None)
    listed = listed_classes(file)
    return tuple(map(text, listed[()].tolist())) if found is None and listed is not None else found


def listed_classes(file: h5py.File) -> h5py.Dataset | None:
    """The dataset that names the classes, as in the course's files."""
    listed = file.get("list_classes")
    known = isinstance(listed, h5py.Dataset) and listed.ndim == 1 and 0 < listed.size <= MOST_CLASSES
    return listed if known else None


def names(value: Any) -> tuple[str, ...] | None:
    """Class names as a list or as its JSON."""
    value = _parsed(value) if isinstance(value, str) else value
    return tuple(map(text, value)) if isinstance(value, list) and value else None


def text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _plain(value: np.ndarray) -> Any:
    """Numbers, a text or a list of texts; None for anything else, which could not be recorded."""
    if value.dtype.kind in "biuf":
        return value.tolist()
    if value.dtype.kind not in "OSU" or value.ndim > 1 or not all(isinstance(v, bytes | str) for v in value.flat):
        return None
    return [text(v) for v in value.tolist()] if value.ndim else text(value.item())


def _like_json(value: str) -> bool:
    return value[:1] in ("[", "{", '"') or value == "null"


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None
