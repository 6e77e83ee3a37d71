"""Fitting arrays from anywhere to what a model takes."""

import math

import numpy as np

from pipeline.cli.views.text import size
from pipeline.errors import InputError

Shape = tuple[int | None, ...]


def fit(title: str, inputs: np.ndarray, shape: Shape, dtype: str) -> np.ndarray:
    """`inputs` as [n, *shape] of `dtype`; a single example may lack the batch axis.

    Examples of another shape are reshaped if they have as many elements and are flat, or differ in axes of length 1
    only: for anything else, such as (3, 8, 8) for (8, 8, 3), reshaping would scramble them. A None in `shape`
    stands for any length, and is never reshaped to. Raises InputError for other shapes, and for values that are
    not finite in `dtype`.
    """
    array = _shaped(title, np.atleast_1d(inputs), shape)
    if not array.size:
        raise InputError(f"{title}: there is no example in it.")
    with np.errstate(over="ignore", invalid="ignore"):
        array = array.astype(dtype)
    bad = ~np.isfinite(array.reshape(len(array), -1).astype(np.float64)).all(axis=1)
    if bad.any():
        raise InputError(
            f"{title}: {bad.sum()} of {len(array)} examples have values that are NaN, infinite or too large for "
            f"{dtype}; the first is example {bad.argmax()}."
        )
    return array


def _shaped(title: str, array: np.ndarray, shape: Shape) -> np.ndarray:
    if _agree(array.shape[1:], shape):
        return array
    if _agree(array.shape, shape):
        return array[None]
    known = tuple(length for length in shape if length is not None)
    if len(known) == len(shape):
        for n, example in ((len(array), array.shape[1:]), (1, array.shape)):
            if math.prod(example) == math.prod(known) and _same_but_for_ones(example, known):
                return array.reshape(n, *known)
    raise InputError(
        f"{title}: its shape is {size(array.shape)}, which does not fit this model: "
        f"an example is {size(shape)}, n examples are n x {size(shape)}."
    )


def _agree(example: tuple[int, ...], shape: Shape) -> bool:
    return len(example) == len(shape) and all(want in (None, got) for got, want in zip(example, shape))


def _same_but_for_ones(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    flat = len(a) == 1 or len(b) == 1
    return flat or [length for length in a if length != 1] == [length for length in b if length != 1]


def labels(title: str, found: np.ndarray, n: int, n_classes: int) -> np.ndarray:
    """Labels as int64 [n], from [n] or [n, 1]. Raises InputError unless each is one of 0..n_classes-1."""
    if found.shape not in ((n,), (n, 1)):
        raise InputError(f"{title}: {n} inputs need {n} labels, one number each; their shape is {size(found.shape)}.")
    found = found.reshape(n)
    bad = ~((found >= 0) & (found < n_classes) & (found == np.floor(found)))
    if bad.any():
        raise InputError(
            f"{title}: the label of example {bad.argmax()} is {found[bad.argmax()]}; this model's {n_classes} classes "
            f"have the labels 0 to {n_classes - 1}."
        )
    return found.astype(np.int64)
