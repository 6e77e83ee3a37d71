"""HDF5 files of examples that say which they are, and machines with little memory."""

import os

import h5py
import numpy as np
import pytest

from pipeline.data.rows import Sizes
from pipeline.data.stream.stored import Stored

N, SHAPE = 1000, (5, 3)
FORMATS = {
    "contiguous": {},
    "chunked": {"chunks": (64, *SHAPE)},
    "gzip": {"chunks": (64, *SHAPE), "compression": "gzip"},
    "gzip, shuffled bytes": {"chunks": (64, *SHAPE), "compression": "gzip", "shuffle": True},
    "gzip, parts of rows": {"chunks": (64, 2, 3), "compression": "gzip"},
    "lzf": {"chunks": (64, *SHAPE), "compression": "lzf"},
}

BLOCKS = Sizes(block=1000)  # of a chunk or two, so that a thousand small rows have many of them
# Of a seventh of the file, some four blocks: most places of an epoch are in a window that is not the first.
WINDOWS = Sizes(block=1000, window=4500, largest_window=4500)


def stored(path, rows=None, sizes=BLOCKS):
    """Rows of the inputs of a file, all of them unless some are named."""
    return Stored(path, "inputs", np.arange(N) if rows is None else rows, sizes)


def order(windows, epoch):
    """All rows in the order of an epoch, [n]."""
    parts = []
    for window in range(len(windows)):
        rows = np.concatenate([np.arange(*span) for span in windows.spans(window, epoch)])
        part = np.empty(windows.rows(window), np.int64)
        part[windows.shuffle(epoch, window)] = rows
        parts.append(part)
    return np.concatenate(parts)


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


@pytest.fixture
def machine(monkeypatch):
    """Makes the system say that the machine has so many bytes of memory."""

    def machine(nbytes):
        memory, real = {"SC_PHYS_PAGES": nbytes, "SC_PAGE_SIZE": 1}, os.sysconf
        monkeypatch.setattr(os, "sysconf", lambda name: memory[name] if name in memory else real(name))

    return machine
