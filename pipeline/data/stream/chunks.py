"""Gzipped chunks of HDF5 datasets, unpacked beside HDF5: it holds one lock for all its threads while it unpacks."""

import math
import zlib
from pathlib import Path

import h5py
import numpy as np
from h5py._objects import phil  # h5py's lock, which its read_direct_chunk does not take

from pipeline.data.checked import cached_check

GZIP, SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE


def opened(path: Path, key: str) -> "h5py.Dataset | GzippedChunks":
    """A dataset of a file, open for reading: slices of it are arrays. Raises OSError for a damaged list of chunks."""
    dataset = h5py.File(path, "r")[key]
    if _gzipped(dataset):
        return GzippedChunks(dataset)
    if dataset.chunks:
        cached_check(path, f"chunks of {key}", lambda: _check_list(dataset))
    return dataset


class GzippedChunks:
    """The rows of a dataset in gzipped chunks of whole rows.

    Several threads unpack side by side, each chunk to its size and no further. Slices raise OSError, RuntimeError or
    zlib.error where the file is damaged.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset  # which keeps the file open
        self.shape, self.dtype, self.chunks = dataset.shape, dataset.dtype, dataset.chunks
        self._filters = _filters(dataset)
        self._nbytes = self.dtype.itemsize * math.prod(self.chunks)  # of a chunk, unpacked

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, span: slice) -> np.ndarray:
        """Rows start..stop-1."""
        first, last, step = span.indices(len(self))
        if step != 1:
            raise IndexError("rows in a file are read in their order")
        rows: np.ndarray = np.empty((max(0, last - first), *self.shape[1:]), self.dtype)
        for chunk in range(first - first % self.chunks[0], last, self.chunks[0]):
            start, stop = max(first, chunk), min(last, chunk + self.chunks[0])
            rows[start - first : stop - first] = self._read(chunk)[start - chunk : stop - chunk]
        return rows

    def _read(self, start: int) -> np.ndarray:
        """The chunk that begins with row `start`."""
        raw = np.empty(2 * self._nbytes + 64, np.uint8)  # gzip makes nothing twice as large, whatever a file says
        try:
            with phil:
                left_out, data = self._dataset.id.read_direct_chunk((start, *[0] * (len(self.shape) - 1)), out=raw)
        except ValueError:  # it is larger than that
            raise zlib.error(f"a chunk unpacks to more than its {self._nbytes} bytes") from None
        if len(data) == self._nbytes and start + self.chunks[0] > len(self):
            # HDF5 may keep the last chunk as it is where rows are missing from it, and does not tell.
            return np.asarray(self._dataset[start:])
        if not left_out >> len(self._filters) - 1 & 1:  # gzip is the last of the filters
            data = _inflated(data, self._nbytes)
        numbers = np.frombuffer(data, np.uint8)
        if len(numbers) != self._nbytes:
            raise OSError(f"the chunk of row {start} has {len(numbers)} bytes instead of {self._nbytes}")
        if len(self._filters) == 2 and not left_out & 1:  # HDF5's shuffle: the first bytes of all numbers, then...
            numbers = np.ascontiguousarray(numbers.reshape(self.dtype.itemsize, -1).T)
        chunk: np.ndarray = numbers.reshape(-1).view(self.dtype).reshape(self.chunks)
        return chunk


def _filters(dataset: h5py.Dataset) -> list[int]:
    """What stands between the numbers and their chunks."""
    settings = dataset.id.get_create_plist()
    return [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]


def _gzipped(dataset: h5py.Dataset) -> bool:
    """Whether it lies in chunks of whole rows, all written, with nothing but gzip, or HDF5's shuffle and gzip, between
    them and the numbers. Not those without filters: of such a chunk read_direct_chunk reads as many bytes as a damaged
    list says, however little room there is."""
    if not dataset.chunks or dataset.chunks[1:] != dataset.shape[1:] or dataset.dtype.hasobject:
        return False
    plain = h5py.h5t.py_create(dataset.dtype, logical=True).equal(dataset.id.get_type())
    written = dataset.id.get_num_chunks() == -(-len(dataset) // dataset.chunks[0])
    return plain and written and _filters(dataset) in ([GZIP], [SHUFFLE, GZIP])


def _check_list(dataset: h5py.Dataset) -> None:
    """Raises OSError unless each chunk that the file lists is one of the dataset's, and listed once with
    its size: HDF5 gives zeros for one that it does not find. A million take 3 seconds."""
    shape, sizes = dataset.shape, dataset.chunks
    nbytes = None if _filters(dataset) else dataset.id.get_type().get_size() * math.prod(sizes)  # of a chunk
    listed = np.zeros([-(-n // size) for n, size in zip(shape, sizes, strict=True)], bool)

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        inside = all(at % size == 0 and at < n for at, size, n in zip(chunk.chunk_offset, sizes, shape, strict=True))
        place = tuple(at // size for at, size in zip(chunk.chunk_offset, sizes, strict=True))
        if not inside or not chunk.size or listed[place]:
            raise OSError(f"its list of chunks is damaged: one is said to begin at {chunk.chunk_offset}")
        if chunk.size != (nbytes or chunk.size):
            raise OSError(f"the chunk at {chunk.chunk_offset} has {chunk.size} bytes instead of {nbytes}")
        listed[place] = True

    dataset.id.chunk_iter(note)


def _inflated(raw: memoryview, size: int) -> bytes:
    """What was deflated to `raw`, no more of it than is wanted: a megabyte may unpack to a gigabyte. Raises zlib.error
    unless it is of `size` bytes."""
    stream = zlib.decompressobj()
    data = stream.decompress(raw, size + 1)
    if len(data) != size or not stream.eof:
        raise zlib.error(f"a chunk unpacks to {'more' if len(data) > size else 'less'} than its {size} bytes")
    return data
