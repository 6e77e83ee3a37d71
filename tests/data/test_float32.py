"""What float32 can't tell apart is refused, not trained on as a constant."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.data.formats.hdf5 import hdf5
from pipeline.data.formats.npz import npz
from pipeline.data.formats.tables import csv
from pipeline.data.precision import loss
from pipeline.errors import InputError

N = 150
ROWS = np.arange(N)
SECONDS = 1_700_000_000 + 30 * ROWS


@pytest.mark.parametrize(
    "values",
    [
        SECONDS,
        SECONDS.astype(np.float64),
        SECONDS * 1_000_000_000,
        1_234_567_890_123 + ROWS,
        2**60 + ROWS,
        np.uint64(2**63) + ROWS.astype(np.uint64),
        1e6 + ROWS * 1e-4,
        1 + ROWS * 1e-9,
        -(10**9) - ROWS,
    ],
)
def test_what_float32_makes_a_constant(values):
    lost = loss(np.stack([values * 0, values], axis=1))
    assert lost.feature == 1
    assert np.unique(values.astype(np.float32)).size < N / 2


@pytest.mark.parametrize(
    "values",
    [
        ROWS / 3,
        ROWS * 10**15,  # large, and far apart
        SECONDS * 0 + 1_700_000_001,  # constant
        0.1 + 0.2 * (ROWS >= 0) + 1e-17 * ROWS,  # constant, but for what computing it left
        1_700_000_000 + 86_400 * ROWS,
        20200101 + 100 * (ROWS % 12) + ROWS % 28,  # dates, off by a day at most
        2**24 + 2 * ROWS,  # exact
        SECONDS.astype(np.float32),  # lost before
        (ROWS % 2).astype(bool),
        np.array([1e300, *ROWS[1:]]),  # refused as too large
    ],
)
def test_what_float32_tells_apart(values):
    assert loss(values[:, None]) is None


def test_channels_of_images_are_features():
    images = np.random.default_rng(0).random((20, 4, 4, 3))
    assert loss(images) is None
    images[..., 2] += 1e7
    assert loss(images).feature == 2


LABELS = ["cat", "dog"] * (N // 2)
COMMON = {"validation_fraction": 0.2, "test_fraction": 0.2, "memory": "auto", "seed": 0}
TABLE = COMMON | {"label": "label", "drop": [], "categorical": [], "missing": "error"}


def test_in_tables(tmp_path):
    table = pa.table({"time": SECONDS, "b": ROWS, "label": LABELS})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    table.to_pandas().to_csv(tmp_path / "t.csv", index=False)
    for name in ("t.parquet", "t.csv"):
        with pytest.raises(
            InputError, match=r"t\.(csv|parquet): the column 'time' goes from 1700000000 to 1700004470"
        ) as e:
            csv(file=str(tmp_path / name), **TABLE)
        assert "off by up to 64; subtract 1700000000 from it in the file, or leave it out (dataset.drop=[time])" in str(
            e.value
        )
    earlier = table.set_column(0, "time", pa.array(SECONDS - 1_700_000_000))
    pyarrow.parquet.write_table(earlier, tmp_path / "t.parquet")
    splits = csv(file=str(tmp_path / "t.parquet"), **TABLE)
    values = np.concatenate([part.inputs.load()[:, 0] for part in splits.parts.values()])
    assert sorted(values) == (30 * ROWS).tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_in_arrays(tmp_path, write, dtype):
    values = np.stack([ROWS, SECONDS], axis=1).astype(dtype)
    np.savez(tmp_path / "t.npz", x=values, y=ROWS % 2)
    path = write("t.h5", inputs=values, labels=ROWS % 2)
    places = {"validation": None, "test": None}
    for read, name, keys in ((npz, "t.npz", ("x", "y")), (hdf5, path.name, (None, None))):
        with pytest.raises(InputError, match=r"feature 2 of 2 in (x|inputs) goes from 1700000000 to 1700004470, where"):
            read(file=str(tmp_path / name), inputs=keys[0], labels=keys[1], **places, **COMMON)
    values[:, 1] -= dtype(1_700_000_000)
    np.savez(tmp_path / "t.npz", x=values, y=ROWS % 2)
    splits = npz(file=str(tmp_path / "t.npz"), inputs="x", labels="y", **places, **COMMON)
    assert sorted(splits.train.inputs.load()[:, 0] * 30) == sorted(splits.train.inputs.load()[:, 1])
