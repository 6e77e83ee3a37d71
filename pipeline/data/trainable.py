"""What examples must be to be trained on: numbers that are finite, a label for each, no more of them than fit."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline import memory as machine
from pipeline.data.checked import cached_check
from pipeline.data.examples import Examples
from pipeline.data.precision import check_precision
from pipeline.data.rows import InMemory, Rows, sample
from pipeline.data.stream.stored import Stored, as_read
from pipeline.errors import InputError

IN_MEMORY_SHARE = 1 / 16  # of the memory: every worker holds the data, and TensorFlow a copy of it


def trainable(examples: Examples) -> Examples:
    """The examples as they are trained on, once all of them have been looked at; rows that stay in a file are looked
    at once for each state of the file.

    Raises InputError unless there is a label for each, and every number is finite.
    """
    inputs, labels, kind = examples.inputs, examples.labels(), examples.inputs.dtype.kind
    other = None if kind in "biuf" else "text" if kind in "SU" else str(inputs.dtype)
    n = check_pair(examples.where, (examples.key, inputs.shape, other), (examples.label_key, labels.shape))
    targets = labels.reshape(n)
    if inputs.streamed:
        where, key = examples.where, examples.key
        digest = cached_check(Path(where), key, lambda: digest_of(inputs, where, key))
        if isinstance(inputs, Stored) and np.dtype(examples.dtype) != inputs.dtype:
            stored = inputs.as_stored()
            cached_check(Path(where), f"{key}:precision", lambda: check_precision(where, key, sample(stored, 2**25)))
        return replace(examples, targets=targets, digest=digest)
    with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite
        values = inputs.load().astype(as_read(inputs.dtype), copy=False)
    check_finite(examples.where, examples.key, values)
    check_precision(examples.where, examples.key, inputs.load())
    return replace(examples, inputs=InMemory(values), targets=targets, dtype=examples.dtype or str(inputs.dtype))


def digest_of(rows: Rows, where: str, key: str) -> str:
    """Reads all once: what can't be read, or is no number, is found before training. Returns a hash of the numbers as
    they are read, whatever chunks they lie in."""
    digest, at = hashlib.sha256(), 0
    for block in rows.blocks():
        check_finite(where, key, block, at)
        digest.update(block.data)
        at += len(block)
    return digest.hexdigest()


def memory_budget() -> float:
    """Bytes of data that are held in memory unless the user says otherwise."""
    return IN_MEMORY_SHARE * machine.total()


def check_memory(where: str, nbytes: int, memory: str, source: str) -> None:
    """Raises InputError if data of a source that can't be streamed is too large to be held by every worker, unless
    `dataset.memory` is `always`."""
    hint = (
        f"Write it to an HDF5 file: `python -m pipeline convert dataset={source} ... dataset.memory=always FILE.h5`, "
        "and train with dataset=hdf5 dataset.file=FILE.h5."
    )
    if memory == "never":
        raise InputError(f"dataset.memory=never: dataset={source} is held in memory, HDF5 files are not.\n{hint}")
    if memory == "auto" and nbytes > memory_budget():
        raise InputError(
            f"{where}: its examples take {nbytes / 2**30:,.1f} GB, more than a sixteenth of the memory "
            f"({machine.total() / 2**30:,.1f} GB).\n{hint}"
        )


def check_pair(where: str, inputs: tuple[str, tuple[int, ...], str | None], labels: tuple[str, tuple[int, ...]]) -> int:
    """The number of examples. inputs: their key, shape, and what they are if no numbers; labels: key and shape.

    Raises InputError unless inputs are numbers [n, ...] and labels [n], n > 0.
    """
    (key, shape, other), (label_key, label_shape) = inputs, labels
    for name, sizes in ((key, shape), (label_key, label_shape)):
        if not sizes or 0 in sizes:
            raise InputError(f"{where}: {name} is empty." if sizes else f"{where}: {name} is a single value, no rows.")
    if other:
        raise InputError(f"{where}: {key} holds {other}, not numbers; name the key of the inputs.")
    n = shape[0]
    if len(shape) < 2:
        raise InputError(
            f"{where}: {key} has the shape {shape}; inputs are [n, ...], a row an example: store one number a row as "
            f"({n}, 1)."
        )
    if (tuple(d for d in label_shape if d != 1) or (1,)) != (n,):
        hint = "one-hot labels: store the number of the class instead" if len(label_shape) > 1 else "a label a row"
        raise InputError(
            f"{where}: {label_key} has the shape {label_shape}, but {key} has {n} rows; wanted are {n} labels ({hint})."
        )
    return n


def check_finite(where: str, key: str, rows: np.ndarray, first: int = 0) -> None:
    """Raises InputError for values of `rows`, which begin with row `first`, that are not finite."""
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        bad = ~np.isfinite(rows).reshape(len(rows), -1).all(1)
        raise InputError(
            f"{where}: {key} has values that are not finite as {rows.dtype}, first in row "
            f"{first + int(bad.argmax())}; remove or replace such rows."
        )
