"""Fitting arrays from anywhere to what a model takes."""

import math

import numpy as np

from pipeline.cli.views.text import Shape, size, warn
from pipeline.data.rows import InMemory, Rows, as_rows
from pipeline.errors import InputError

BLOCK = 1024  # examples that are looked at together


class Fitted:
    """Examples as a model takes them: it has a length, and slices are arrays [n, *example], read and cast when they
    are asked for. dtype: the model's."""

    def __init__(self, rows: Rows, example: tuple[int, ...], dtype: str) -> None:
        self._rows, self._example, self._dtype = rows, example, dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, span: slice) -> np.ndarray:
        block = self._rows[span]
        return _cast(block.reshape(len(block), *self._example), self._dtype)


def fit(title: str, inputs: np.ndarray | Rows, shape: Shape, dtype: str) -> Fitted:
    """`inputs` as [n, *shape] for a model whose inputs are `dtype`; a single example may lack the batch axis.

    Values become an integer `dtype` only where every one survives it, else float32: what Caviar's models compute with,
    whatever their data were. Examples of another shape are reshaped if they have as many elements and are flat, or
    differ in axes of length 1 only: for anything else, such as (3, 8, 8) for (8, 8, 3), reshaping would scramble them.
    A None in `shape` stands for any length, and is never reshaped to. Raises InputError for other shapes, and for
    values that are not finite. Warns of fractions within 0..1 where the model learned from whole numbers.
    """
    rows, example = _shaped(title, as_rows(inputs), shape)
    if 0 in (len(rows), *example):
        raise InputError(f"{title}: there is no example in it.")
    fitted = Fitted(rows, example, dtype)
    _check(title, fitted, dtype)
    return fitted


def _cast(values: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, which `_check` finds
        if _whole(dtype) and np.array_equal(cast := values.astype(dtype), values):
            return cast
        return values.astype(np.float64 if dtype == "float64" else np.float32, copy=False)


def _whole(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))


def _check(title: str, fitted: Fitted, dtype: str) -> None:
    """Looks at every value, a block at a time."""
    bad: list[int] = []
    low, high, fractions = np.inf, -np.inf, False
    for start in range(0, len(fitted), BLOCK):
        block = fitted[start : start + BLOCK]
        bad += (start + np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))).tolist()
        if _whole(dtype):
            low, high = min(low, block.min()), max(high, block.max())
            fractions = fractions or (block.dtype.kind == "f" and bool((block != np.floor(block)).any()))
    if bad:
        kept = "float64" if dtype == "float64" else "float32"
        raise InputError(
            f"{title}: {len(bad)} of {len(fitted)} examples have values that are NaN, infinite or too large for "
            f"{kept}; the first is example {bad[0]}."
        )
    if fractions and low >= 0 and high <= 1:
        warn(
            f"{title}: its values are fractions within 0 to 1, the model learned from whole numbers ({dtype}); "
            "if these are scaled, undo that."
        )


def _shaped(title: str, rows: Rows, shape: Shape) -> tuple[Rows, tuple[int, ...]]:
    """Rows, one an example, and the shape that each is to have."""
    rows = rows if rows.shape else InMemory(rows.load()[None])
    if _agree(rows.shape[1:], shape):
        return rows, rows.shape[1:]
    if _agree(rows.shape, shape):
        return InMemory(rows.load()[None]), rows.shape
    known = tuple(length for length in shape if length is not None)
    if len(known) == len(shape):
        if _same_elements(rows.shape[1:], known):
            return rows, known
        if _same_elements(rows.shape, known):
            return InMemory(rows.load()[None]), known
    raise InputError(
        f"{title}: its shape is {size(rows.shape)}, which does not fit this model: "
        f"an example is {size(shape)}, n examples are n x {size(shape)}."
    )


def _same_elements(example: tuple[int, ...], known: tuple[int, ...]) -> bool:
    return math.prod(example) == math.prod(known) and _same_but_for_ones(example, known)


def _agree(example: tuple[int, ...], shape: Shape) -> bool:
    return len(example) == len(shape) and all(want in (None, got) for got, want in zip(example, shape))


def _same_but_for_ones(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    flat = len(a) == 1 or len(b) == 1
    return flat or [length for length in a if length != 1] == [length for length in b if length != 1]
