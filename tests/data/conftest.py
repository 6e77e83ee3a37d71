"""HDF5 files of examples that say which they are."""

import h5py
import numpy as np
import pytest

N, SHAPE = 1000, (5, 3)
FORMATS = {
    "contiguous": {},
    "chunked": {"chunks": (64, *SHAPE)},
    "gzip": {"chunks": (64, *SHAPE), "compression": "gzip"},
    "gzip, shuffled bytes": {"chunks": (64, *SHAPE), "compression": "gzip", "shuffle": True},
    "gzip, parts of rows": {"chunks": (64, 2, 3), "compression": "gzip"},
    "lzf": {"chunks": (64, *SHAPE), "compression": "lzf"},
}


def examples(n=N, dtype=np.int16):
    """inputs [n, *SHAPE], the first number of each is its own; labels [n] of four classes."""
    inputs = np.arange(n)[:, None, None] + 7 * np.arange(np.prod(SHAPE)).reshape(SHAPE)
    return inputs.astype(dtype), np.arange(n) % 4


@pytest.fixture
def write(tmp_path):
    """Writes datasets, each an array or (array, settings of h5py), into a file; returns its path."""

    def write(name="data.h5", attributes=None, **datasets):
        with h5py.File(tmp_path / name, "w") as file:
            for key, value in datasets.items():
                array, settings = value if isinstance(value, tuple) else (value, {})
                file.create_dataset(key, data=array, **settings)
            file.attrs.update(attributes or {})
        return tmp_path / name

    return write


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a chunk or two, so that a thousand small rows have many of them."""
    monkeypatch.setattr("pipeline.data.stream.stored.BLOCK_BYTES", 1000)
