"""The coefficients of a quadratic cost as data, for model=quadratic."""

import numpy as np

from pipeline.data.rows import InMemory
from pipeline.data.splits import Split, Splits
from pipeline.errors import InputError
from pipeline.limits import Number


def quadratic(*, coefficients: list[float], examples: int, seed: int) -> Splits:
    """`examples` equal rows (a, b, c) of J(W) = a W^2 + b W + c to train on, and one each to validate and test.

    Every batch then has the same cost, so that a step is one of plain gradient descent. There are no classes; labels
    are 0. Nothing is drawn, so `seed` changes nothing. Raises InputError unless there are three numbers and a > 0.
    """
    rules = (Number(0, open="low"), Number(), Number())
    shaped = isinstance(coefficients, list | tuple) and len(coefficients) == len(rules)
    if not shaped or not all(rule.accepts(value) for rule, value in zip(rules, coefficients, strict=True)):
        raise InputError(
            f"dataset.coefficients={coefficients} must be three numbers [a, b, c] with a above 0, a list: "
            "otherwise a W^2 + b W + c has no minimum."
        )
    row = np.array([coefficients], np.float32)
    parts = (Split(InMemory(row.repeat(n, 0)), np.zeros(n, np.int32)) for n in (examples, 1, 1))
    return Splits(next(parts), next(parts), next(parts), class_names=())
