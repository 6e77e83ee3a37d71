"""INPUT on the command line: a file, or part of a data set."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cli.sources import datasets, files
from pipeline.data.stream.stored import Rows, Stored
from pipeline.errors import InputError, one_of

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """inputs: numbers, in the shape they were found, those of a large file still in it; labels: [n] or None; first: the
    number of the first example; class_names: what the labels mean, where that is known."""

    title: str
    inputs: Rows
    labels: np.ndarray | None = None
    first: int = 0
    class_names: tuple[str, ...] | None = None


def for_predict(text: str, model: Path, description: datasets.Description) -> Examples:
    path, key = _file(text)
    if path.suffix.lower() in (".npy", ".csv", *files.HDF5):
        key = key or files.default_part(path)
        return Examples(_title(path, key), files.read_inputs(path, key))
    return _part(text, model, description, "FILE.npy, FILE.csv, FILE.h5, FILE.h5:KEY")


def for_evaluate(text: str | None, model: Path, description: datasets.Description) -> Examples:
    """Examples with labels; None means the test split of the data set that the model was trained on."""
    if text is None:
        text = f"{datasets.recorded_name(model, description)}:test"
    path, key = _file(text)
    if path.suffix.lower() in (".npz", *files.HDF5):
        key = key or files.default_part(path)
        inputs, labels, class_names = files.read_labelled(path, key)
        return Examples(_title(path, key), inputs, labels, class_names=class_names)
    return _part(text, model, description, "FILE.npz or FILE.h5 with 'x' and 'y', FILE.h5:PART")


def _title(path: Path, key: str | None) -> str:
    return f"{path}:{key}" if key else str(path)


def _file(text: str) -> tuple[Path, str | None]:
    """FILE.h5:KEY as file and key; a file that is really called so wins."""
    keyed = re.fullmatch(r"(.+\.(?:h5|hdf5)):(.+)", text, re.IGNORECASE)
    if keyed and not Path(text).exists():
        return Path(keyed[1]), keyed[2]
    return Path(text), None


def _part(text: str, model: Path, description: datasets.Description, forms: str) -> Examples:
    """The examples that `digits:test`, `digits:test[17]` or `digits:test[10:20]` name."""
    match = re.fullmatch(r"([\w\-]+):(\w+)(?:\[([^\[\]]*)\])?", text)
    if not match:
        raise InputError(
            f"INPUT={text} is not understood. It is {forms}, or a part of a data set: DATASET:SPLIT, DATASET:SPLIT[i] "
            f"or DATASET:SPLIT[a:b].\nData sets: {', '.join(datasets.names())}. Splits: {', '.join(SPLITS)}."
        )
    name, split_name, index = match.groups()
    if name not in datasets.names():
        raise one_of("dataset", name, datasets.names())
    if split_name not in SPLITS:
        raise one_of("split", split_name, SPLITS)
    splits = datasets.load(name, model, description)
    split = getattr(splits, split_name)
    chosen = _range(text, index, len(split))
    rows = split.inputs
    inputs = Stored(rows.path, rows.key, rows.rows[chosen]) if isinstance(rows, Stored) else rows[chosen]
    return Examples(text, inputs, split.labels[chosen], chosen.start, splits.class_names)


def _range(text: str, index: str | None, n: int) -> slice:
    """The examples that the brackets name, of `n`. Negative numbers count from the end, as in Python; but an end
    outside is an error."""
    if index is None:
        return slice(0, n)
    match = re.fullmatch(r"(-?\d+)|(-?\d+)?:(-?\d+)?", index.strip())
    if not match:
        raise InputError(f"{text}: [{index}] is not understood. Write [i] or [a:b] with whole numbers.")
    single, start, stop = (None if word is None else int(word) for word in match.groups())
    if single is not None:
        start, stop = single, single + 1 or None  # [-1] is the last one, and -1 + 1 would be the first
    first = 0 if start is None else start + n * (start < 0)
    end = n if stop is None else stop + n * (stop < 0)
    if not 0 <= first < end <= n:
        raise InputError(f"{text}: [{index}] is out of range; this split has the examples 0 to {n - 1}.")
    return slice(first, end)
