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
        values = block.reshape(len(block), *self._example)
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, which fit() finds
            if _whole(self._dtype) and np.array_equal(cast := values.astype(self._dtype), values):
                return cast
            return values.astype(_float(self._dtype), copy=False)


def fit(title: str, inputs: np.ndarray | Rows, shape: Shape, dtype: str) -> Fitted:
    """`inputs` as [n, *shape] for a model whose inputs are `dtype`; a single example may lack the batch axis. Every
    value is looked at, a block at a time.

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
    bad: list[int] = []
    low, high, fractions = np.inf, -np.inf, False
    for start in range(0, len(fitted), BLOCK):
        block = fitted[start : start + BLOCK]
        bad += (start + np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))).tolist()
        if _whole(dtype):
            low, high = min(low, block.min()), max(high, block.max())
            fractions = fractions or (block.dtype.kind == "f" and bool((block != np.floor(block)).any()))
    if bad:
        raise InputError(
            f"{title}: {len(bad)} of {len(fitted)} examples have values that are NaN, infinite or too large for "
            f"{_float(dtype)}; the first is example {bad[0]}."
        )
    if fractions and low >= 0 and high <= 1:
        warn(
            f"{title}: its values are fractions within 0 to 1, the model learned from whole numbers ({dtype}); "
            "if these are scaled, undo that."
        )
    return fitted


def _whole(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))


def _float(dtype: str) -> str:
    """What numbers become that stay floating-point numbers."""
    return "float64" if dtype == "float64" else "float32"


def _shaped(title: str, rows: Rows, shape: Shape) -> tuple[Rows, tuple[int, ...]]:
    """Rows, one an example, and the shape that each is to have."""
    rows = rows if rows.shape else InMemory(rows.load()[None])
    fixed = tuple(length for length in shape if length is not None)
    for fits in (_agrees, _reshapes):
        for example in (rows.shape[1:], rows.shape):
            if fits(example, shape):
                single = len(example) == len(rows.shape)
                return InMemory(rows.load()[None]) if single else rows, example if fits is _agrees else fixed
    raise InputError(
        f"{title}: its shape is {size(rows.shape)}, which does not fit this model: "
        f"an example is {size(shape)}, n examples are n x {size(shape)}."
    )


def _agrees(example: tuple[int, ...], shape: Shape) -> bool:
    return len(example) == len(shape) and all(want in (None, got) for got, want in zip(example, shape))


def _reshapes(example: tuple[int, ...], shape: Shape) -> bool:
    if None in shape or math.prod(example) != math.prod(length or 0 for length in shape):
        return False
    flat = len(example) == 1 or len(shape) == 1
    return flat or [length for length in example if length != 1] == [length for length in shape if length != 1]
