"""Arrays of any shape, fitted to what a model takes."""

import numpy as np
import pytest

from pipeline.cli.sources.arrays import fit
from pipeline.errors import InputError

SHAPES = [  # found, example of the model, fitted
    ((8, 8, 1), (8, 8, 1), (1, 8, 8, 1)),
    ((5, 8, 8, 1), (8, 8, 1), (5, 8, 8, 1)),
    ((64,), (8, 8, 1), (1, 8, 8, 1)),
    ((5, 64), (8, 8, 1), (5, 8, 8, 1)),
    ((8, 8), (8, 8, 1), (1, 8, 8, 1)),
    ((5, 8, 8), (8, 8, 1), (5, 8, 8, 1)),
    ((5, 1, 8, 8), (8, 8, 1), (5, 8, 8, 1)),
    ((5, 8, 8), (64,), (5, 64)),
    ((5,), (1,), (5, 1)),
    ((2, 2), (2,), (2, 2)),
    ((5, 7), (None,), (5, 7)),
    ((5, 3, 8, 8), (8, 8, 3), None),  # channels first: reshaping would scramble them
    ((5, 63), (8, 8, 1), None),
    ((), (2,), None),
    ((4,), (2,), None),
    ((0, 2), (2,), None),
    ((5, 7, 1), (None,), None),
]


@pytest.mark.parametrize(("found", "example", "fitted"), SHAPES)
def test_shapes(found, example, fitted):
    array = np.arange(np.prod(found, dtype=int), dtype=np.float64).reshape(found)
    if fitted is None:
        with pytest.raises(InputError, match=r"INPUT: (its shape is .* example is|there is no example)"):
            fit("INPUT", array, example, "float32")
    else:
        result = fit("INPUT", array, example, "float32")
        assert (result.shape, str(result.dtype)) == (fitted, "float32")
        np.testing.assert_array_equal(result.ravel(), array.ravel())
