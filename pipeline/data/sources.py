"""Data sets by config, kept in memory as long as they are small: trials mostly share them."""

import json
from collections import OrderedDict
from typing import Any

import numpy as np

from pipeline.data.rows import InMemory, Rows
from pipeline.data.splits import Split, Splits, check_labels
from pipeline.data.trainable import check_finite
from pipeline.errors import InputError
from pipeline.schema import Config
from pipeline.targets import call, takes

KEPT_BYTES = 2**30

_splits: OrderedDict[str, Splits] = OrderedDict()


def load_splits(config: Config, *, check: bool = False) -> Splits:
    """The data set of a config, split by its seed; the same object for the same config. check: as make_splits() does,
    if it is loaded now; workers train on what the parent has checked."""
    key = json.dumps([config.dataset.plain(), config.seed], sort_keys=True)
    if key not in _splits:
        splits = make_splits(config) if check else _called(config)
        while _splits and sum(s.nbytes for s in _splits.values()) + splits.nbytes > KEPT_BYTES:
            _splits.popitem(last=False)
        _splits[key] = splits
    _splits.move_to_end(key)
    return _splits[key]


def forget() -> None:
    """Frees the data that are kept."""
    _splits.clear()


def make_splits(config: Config) -> Splits:
    """The data set of a config, split by its seed, and checked, for anybody may have written the function.

    Raises InputError unless it returns Splits with numbers as inputs [n, *shape], finite ones where they are held in
    memory, of one shape in all parts, and whole numbers as labels [n], each of a class if there are classes.
    """
    target = config.dataset.target
    splits = _called(config)
    if not isinstance(splits, Splits):
        raise InputError(
            f"{target} returns {_kind(splits)}; a data set is Splits, which pipeline.data.splits.stratified makes."
        )
    names = splits.class_names
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{target}: class_names={names!r} must be a tuple of texts, a name for each class.")
    for name, split in splits.parts.items():
        _check_split(f"{target}: {name}", split, splits)
    return splits


def _called(config: Config) -> Any:
    """What the data set's function returns. It may take the map of formats; what it read decides, not the map. One
    that normalises by itself is told, too, whether to."""
    offered = {"formats": config.formats, "normalize": config.dataset.normalize}
    own = {name: value for name, value in offered.items() if value is not None and takes(config.dataset, name)}
    return call("dataset", config.dataset, seed=config.seed, **own)


def _check_split(where: str, split: Split, splits: Splits) -> None:
    if not isinstance(split, Split):
        raise InputError(f"{where} is {_kind(split)}, not a Split of inputs and labels.")
    inputs, labels = split.inputs, split.labels
    if not isinstance(inputs, Rows) or not isinstance(labels, np.ndarray):
        raise InputError(f"{where}: inputs are {_kind(inputs)}, labels {_kind(labels)}; wanted are arrays of NumPy.")
    dtype, shape = inputs.dtype, inputs.shape
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or len(shape) < 2 or 0 in shape:
        received = f"inputs are {dtype} of the shape {shape}"
        raise InputError(f"{where}: {received}; wanted are numbers [n, ...], a row an example.")
    if shape[1:] != splits.input_shape:
        received = f"examples are of {shape[1:]}, those to train on of {splits.input_shape}"
        raise InputError(f"{where}: {received}; give them the same shape.")
    check_labels(where, labels, len(inputs), splits.class_names)
    if not inputs.streamed:  # what is in a file was checked when it was opened
        check_finite(where, "inputs", inputs.load())


def _kind(value: Any) -> str:
    return f"a {type(value.array if isinstance(value, InMemory) else value).__name__}"
