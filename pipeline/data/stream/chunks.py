"""Rows read from where HDF5 says that they lie in a file, beside HDF5: it holds one lock for all its threads."""

import math
import os
import threading
import zlib
from functools import cached_property, lru_cache
from pathlib import Path

import h5py
import numpy as np

PLACE = np.dtype([("offset", np.int64), ("size", np.int64), ("left_out", np.uint32)])  # bytes, and a mask of filters
_ASKING = threading.Lock()
# What may stand between the numbers and their file: HDF5's filters, in their order.
_READ: tuple[list[int], ...] = ([], [h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE])


def opened(path: Path, key: str) -> "h5py.Dataset | Chunks":
    """A dataset of a file, open for reading: slices of it are arrays."""
    dataset = h5py.File(path, "r")[key]
    return Chunks(path, dataset) if _readable(path, dataset) else dataset


class Chunks:
    """The rows of a dataset whose numbers lie in its file as they are, or gzipped, in chunks of whole rows.

    Several threads read and gunzip side by side. Slices raise OSError or zlib.error where the file is damaged.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        self._path, self._dataset = path, dataset  # which keeps the file open
        self._file = dataset.file.id.get_vfd_handle()
        self.shape, self.dtype, self.chunks = dataset.shape, dataset.dtype, dataset.chunks
        self._filters = _filters(dataset)
        self._rows = (self.chunks or self.shape)[0]  # of a chunk
        self._row = self.dtype.itemsize * math.prod(self.shape[1:])  # bytes

    def __len__(self) -> int:
        return self.shape[0]

    @cached_property
    def _places(self) -> np.ndarray:
        """Of the chunks, in their order; a dataset without any is one chunk."""
        if not self.chunks:
            return np.array([(self._dataset.id.get_offset(), self._rows * self._row, 0)], PLACE)
        found = self._path.stat()
        with _ASKING:  # one thread asks, the others then know
            return _places(self._path, self._dataset.name, (found.st_ino, found.st_size, found.st_mtime_ns))

    def __getitem__(self, span: slice) -> np.ndarray:
        """Rows start..stop-1."""
        first, last, step = span.indices(len(self))
        if step != 1:
            raise IndexError("rows in a file are read in their order")
        found = np.empty((max(0, last - first), *self.shape[1:]), self.dtype)
        for chunk in range(first // self._rows, -(-last // self._rows)):
            begin = chunk * self._rows
            start, stop = max(first, begin), min(last, begin + self._rows)
            self._fill(found[start - first : stop - first], chunk, start - begin)
        return found

    def _fill(self, part: np.ndarray, chunk: int, skipped: int) -> None:
        """Reads a chunk's rows from the `skipped`-th on."""
        offset, size, left_out = self._places[chunk].item()
        whole = self._rows * self._row
        gzipped = bool(self._filters) and not left_out >> len(self._filters) - 1 & 1  # gzip is the last of them
        if not gzipped and size != whole:
            raise OSError(f"chunk {chunk} has {size} bytes instead of {whole}")
        if not self._filters:
            self._read(part.reshape(-1).view(np.uint8), offset + skipped * self._row)
        elif size == whole and (chunk + 1) * self._rows > len(self):
            # HDF5 may keep the last chunk as it is where rows are missing from it, and does not tell.
            start = chunk * self._rows + skipped
            part[:] = self._dataset[start : start + len(part)]
        else:
            # Gzip makes nothing twice as large, whatever a damaged file says.
            data = np.empty(min(size, 2 * whole + 64), np.uint8)
            self._read(data, offset)
            data = _inflated(data, whole) if gzipped else data
            if len(self._filters) == 2 and not left_out & 1:  # HDF5's shuffle: the first bytes of all numbers, then...
                data = np.ascontiguousarray(data.reshape(self.dtype.itemsize, -1).T)
            rows = data.reshape(-1).view(self.dtype).reshape(self._rows, *self.shape[1:])
            part[:] = rows[skipped : skipped + len(part)]

    def _read(self, data: np.ndarray, offset: int) -> None:
        left = data.data
        while left:
            n = os.preadv(self._file, [left], offset)  # of 2 GiB at most
            if not n:
                raise OSError("the file ends before them")
            left, offset = left[n:], offset + n


def _filters(dataset: h5py.Dataset) -> list[int]:
    settings = dataset.id.get_create_plist()
    return [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]


def _readable(path: Path, dataset: h5py.Dataset) -> bool:
    """Whether all its numbers are in this very file, with nothing but gzip, or HDF5's shuffle and gzip, between them
    and chunks of whole rows."""
    plain = h5py.h5t.py_create(dataset.dtype, logical=True).equal(dataset.id.get_type())
    here = Path(dataset.file.filename) == path and dataset.file.driver == "sec2"  # and not where a link leads
    if dataset.dtype.hasobject or not plain or not here:
        return False
    if dataset.chunks:
        whole = dataset.chunks[1:] == dataset.shape[1:]
        written = whole and dataset.id.get_num_chunks() == -(-len(dataset) // dataset.chunks[0])
        return written and _filters(dataset) in _READ
    # An array that was never written has no place, although one may be told.
    written = dataset.id.get_storage_size() == dataset.dtype.itemsize * math.prod(dataset.shape)
    return written and dataset.id.get_offset() is not None


@lru_cache(maxsize=8)
def _places(path: Path, key: str, stamp: tuple[int, ...]) -> np.ndarray:
    """Of all chunks of a dataset in a file of this stamp: to ask takes 3 seconds for a million, and its parts ask one
    by one. Raises OSError if they are not where chunks can be."""
    with h5py.File(path, "r") as file:
        dataset = file[key]
        rows = dataset.chunks[0]
        found = np.zeros(-(-len(dataset) // rows), PLACE)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            number, rest = divmod(chunk.chunk_offset[0], rows)
            inside = not rest and not any(chunk.chunk_offset[1:]) and 0 <= number < len(found)
            if not inside or found[number]["size"] or not chunk.size:
                raise OSError(f"its list of chunks is damaged: one is said to begin at {chunk.chunk_offset}")
            found[number] = (chunk.byte_offset, chunk.size, chunk.filter_mask)

        dataset.id.chunk_iter(note)
    if not found["size"].all():
        raise OSError(f"chunk {int(np.argmin(found['size']))} was never written")
    return found


def _inflated(raw: np.ndarray, size: int) -> np.ndarray:
    """What was deflated to `raw`, no more of it than is wanted: a megabyte may unpack to a gigabyte. Raises zlib.error
    unless it is of `size` bytes."""
    stream = zlib.decompressobj()
    data = stream.decompress(raw.data, size + 1)
    if len(data) != size or not stream.eof:
        raise zlib.error(f"a chunk unpacks to {'more' if len(data) > size else 'less'} than its {size} bytes")
    return np.frombuffer(data, np.uint8)
