"""Arrays of any shape, fitted to what a model takes."""

import h5py
import numpy as np
import pytest

from pipeline.cli.sources.arrays import fit
from pipeline.errors import InputError
from pipeline.evaluation import outputs
from tests.cli.conftest import Counting

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
        result = fit("INPUT", array, example, "float32")[:]
        assert (result.shape, str(result.dtype)) == (fitted, "float32")
        np.testing.assert_array_equal(result.ravel(), array.ravel())


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0.5, 300, -1, 254.9], "uint8", "float32"),
        ([0.0, 255, 7, 1], "uint8", "uint8"),
        ([0.0, 256, 7, 1], "uint8", "float32"),
        ([-32768.0, 3], "int16", "int16"),
        ([True, False], "uint8", "uint8"),
        ([1, 70_000], "float16", "float32"),  # Caviar's models compute with float32, whatever their data were
        ([0.1, 1e300], "float64", "float64"),
    ],
)
def test_no_value_changes(values, dtype, expected):
    fitted = fit("INPUT", np.array([values]), (len(values),), dtype)[:]
    assert fitted.dtype == expected
    np.testing.assert_array_equal(fitted[0], np.array(values, expected))


@pytest.mark.parametrize(
    ("values", "dtype", "warned"),
    [
        ([0, 0.5, 1], "uint8", True),
        ([0, 0.5, 1.5], "uint8", False),
        ([-0.5, 0.5, 1], "int16", False),
        ([0, 1, 1], "uint8", False),
        ([0, 0.5, 1], "float32", False),
    ],
)
def test_fractions_for_a_model_of_whole_numbers_are_warned_of(capsys, values, dtype, warned):
    fit("INPUT", np.tile(values, (3000, 1)), (3,), dtype)
    err = capsys.readouterr().err
    assert ("fractions within 0 to 1, the model learned from whole numbers" in err) == warned
    assert len(err.splitlines()) == warned


def test_examples_that_are_not_finite_are_counted_in_every_block():
    values = np.zeros((5000, 2))
    values[[1500, 4999], 1] = np.nan, 1e39
    with pytest.raises(InputError, match=r"INPUT: 2 of 5000 examples have .* for float32; the first is example 1500\."):
        fit("INPUT", values, (2,), "uint8")


@pytest.mark.parametrize("example", [(4, 4, 1), (16,)])
def test_rows_of_a_file_are_read_as_they_are_asked_for(tmp_path, example):
    values = np.arange(5000 * 16, dtype=np.int32).reshape(5000, 4, 4) % 251
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = values
    rows = Counting(tmp_path / "x.h5", "x", 5000)
    fitted = fit("INPUT", rows, example, "uint8")
    assert len(fitted) == 5000
    np.testing.assert_array_equal(fitted[4000:4010], values[4000:4010].reshape(10, *example))
    np.testing.assert_array_equal(outputs(lambda batch: batch, fitted), values.reshape(5000, *example))  # of a model
    assert max(rows.lengths) == 1024
