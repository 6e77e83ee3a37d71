"""Rows read from where HDF5 says that they lie in a file, beside HDF5: it holds one lock for all its threads."""

import math
import os
import zlib
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

Place = tuple[int, int, int]  # byte offset, bytes, a mask of the filters that were left out
MISSING: Place = (-1, 0, 0)


def opened(path: Path, key: str) -> "h5py.Dataset | Chunks":
    """A dataset of a file, open for reading: slices of it are arrays."""
    dataset = h5py.File(path, "r")[key]
    return Chunks(path, dataset) if _readable(dataset) else dataset


class Chunks:
    """The rows of a dataset whose numbers lie in its file as they are, or gzipped, in chunks of whole rows.

    Several threads read and gunzip side by side. Slices raise OSError or zlib.error where the file is damaged.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        self._dataset, self._file = dataset, path.open("rb", buffering=0)
        self.shape, self.dtype, self.chunks = dataset.shape, dataset.dtype, dataset.chunks
        self._gzipped, self._shuffled = dataset.compression == "gzip", dataset.shuffle
        self._rows = (self.chunks or self.shape)[0]  # of a chunk
        self._row = self.dtype.itemsize * math.prod(self.shape[1:])  # bytes

    def __len__(self) -> int:
        return self.shape[0]

    @cached_property
    def _places(self) -> list[Place]:
        """Of the chunks, in their order; a dataset without any is one chunk."""
        if not self.chunks:
            return [(self._dataset.id.get_offset(), self._dataset.id.get_storage_size(), 0)]
        found = [MISSING] * -(-len(self) // self._rows)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            found[chunk.chunk_offset[0] // self._rows] = (chunk.byte_offset, chunk.size, chunk.filter_mask)

        self._dataset.id.chunk_iter(note)
        if MISSING in found:
            raise OSError(f"chunk {found.index(MISSING)} was never written")
        return found

    def __getitem__(self, span: slice) -> np.ndarray:
        """Rows start..stop-1."""
        first, last, _ = span.indices(len(self))
        found = np.empty((last - first, *self.shape[1:]), self.dtype)
        for chunk in range(first // self._rows, -(-last // self._rows)):
            begin = chunk * self._rows
            start, stop = max(first, begin), min(last, begin + self._rows)
            part = found[start - first : stop - first]
            offset, size, mask = self._places[chunk]
            if mask:
                part[:] = self._dataset[start:stop]
            elif self._gzipped:
                part[:] = self._unpacked(offset, size)[start - begin : stop - begin]
            else:
                self._fill(part, offset + (start - begin) * self._row)
        return found

    def _fill(self, part: np.ndarray, offset: int) -> None:
        left = part.reshape(-1).view(np.uint8).data
        while left:
            n = os.preadv(self._file.fileno(), [left], offset)  # of 2 GiB at most
            if not n:
                raise OSError("the file ends before them")
            left, offset = left[n:], offset + n

    def _unpacked(self, offset: int, size: int) -> np.ndarray:
        """The rows of a gzipped chunk."""
        wanted = self._row * self._rows
        # Gzip makes nothing twice as large, whatever a damaged file says.
        data = _inflated(os.pread(self._file.fileno(), min(size, 2 * wanted + 64), offset), wanted)
        if self._shuffled:  # HDF5's filter: the first bytes of all numbers, then the second ones...
            data = np.frombuffer(data, np.uint8).reshape(self.dtype.itemsize, -1).T.tobytes()
        return np.frombuffer(data, self.dtype).reshape(self._rows, *self.shape[1:])


def _readable(dataset: h5py.Dataset) -> bool:
    """Whether nothing but gzip, or HDF5's shuffle and gzip, stands between chunks of whole rows and their numbers."""
    filters = set(dataset._filters)
    if not h5py.h5t.py_create(dataset.dtype, logical=True).equal(dataset.id.get_type()):
        return False
    if dataset.chunks:
        whole = dataset.chunks[1:] == dataset.shape[1:]
        return whole and (not filters or ("gzip" in filters and filters <= {"gzip", "shuffle"}))
    # An array that was never written has no place, although one may be told.
    written = dataset.id.get_storage_size() == dataset.dtype.itemsize * math.prod(dataset.shape)
    return written and dataset.id.get_offset() is not None


def _inflated(raw: bytes, size: int) -> bytes:
    """What was deflated to `raw`, no more of it than is wanted: a megabyte may unpack to a gigabyte. Raises zlib.error
    unless it is of `size` bytes."""
    stream = zlib.decompressobj()
    data = stream.decompress(raw, size + 1)
    if len(data) != size or not stream.eof:
        raise zlib.error(f"a chunk unpacks to {'more' if len(data) > size else 'less'} than its {size} bytes")
    return data
