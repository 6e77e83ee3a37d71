"""Examples that stay in their HDF5 file and are read when they are asked for."""

import math
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

from pipeline.data.checked import stamp
from pipeline.data.rows import DEFAULT_SIZES, Sizes, Span
from pipeline.data.stream.chunks import GzippedChunks, opened
from pipeline.errors import InputError, first_line

THREADS = 4  # which read side by side: they gunzip, and wait for a disk


def as_read(dtype: np.dtype) -> np.dtype:
    """What numbers of a file become in memory: the small kinds stay, for images of bytes are a quarter as large as
    floats; the rest is float32, which is what models compute with."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    small = (dtype.kind in "iu" and dtype.itemsize <= 2) or dtype == np.float16
    return dtype.newbyteorder("=") if small else np.dtype(np.float32)


class Stored:
    """Rows [n, *shape] of a dataset in an HDF5 file. Slices of them are arrays.

    rows: their numbers in the file, ascending. The file is opened by the process that reads, when it first does: HDF5
    handles survive neither fork nor pickling. Reading raises InputError once the file is not the one that was checked.
    """

    streamed = True  # read again in every epoch
    failure: InputError | None = None  # why the last reading failed: tf.data passes on no more than its text

    def __init__(self, path: Path, key: str, rows: np.ndarray, sizes: Sizes = DEFAULT_SIZES) -> None:
        self.path, self.key, self.rows, self.sizes = path, key, rows, sizes
        self._stamp = stamp(path)
        dataset = self._dataset
        self.shape = (len(rows), *dataset.shape[1:])
        self.dtype = as_read(dataset.dtype)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize  # of all of them in memory

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where blocks of rows begin that are best read at once, ascending from 0: of whole chunks, of at least
        `sizes.block` in the file."""
        dataset = self._dataset
        chunk, row = (dataset.chunks or (1,))[0], max(1, dataset.dtype.itemsize * math.prod(dataset.shape[1:]))
        size = chunk * max(1, -(-self.sizes.block // (row * chunk)))
        return np.unique(np.searchsorted(self.rows, np.arange(0, len(dataset), size)))[: len(self)]

    @property
    def spans(self) -> list[Span]:
        """The blocks, (start, stop) each."""
        return list(pairwise([*self.starts.tolist(), len(self)]))

    def __getitem__(self, span: slice) -> np.ndarray:
        start, stop, step = span.indices(len(self))
        if step != 1:
            raise IndexError("rows in a file are read in their order")
        return self.gather([(start, stop)])

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows in order, block by block, anew each time."""
        spans = self.spans
        for i in range(0, len(spans), THREADS):
            yield from _pool().map(lambda span: self.read(*span), spans[i : i + THREADS])

    def gather(
        self, spans: Sequence[Span], places: np.ndarray | None = None, into: np.ndarray | None = None
    ) -> np.ndarray:
        """The rows of several spans, one after another; or row i at places[i]. into: an array for them.

        Block by block: between the first and the last of scattered rows may lie a whole file.
        """
        pieces = [piece for span in spans for piece in self._cut(*span)]
        ends = np.cumsum([stop - start for start, stop in pieces], dtype=int).tolist()
        gathered = np.empty((ends[-1] if ends else 0, *self.shape[1:]), self.dtype) if into is None else into

        def fill(thread: int) -> None:
            for end, (start, stop) in list(zip(ends, pieces))[thread::THREADS]:
                at = slice(end - (stop - start), end)
                gathered[at if places is None else places[at]] = self.read(start, stop)

        list(_pool().map(fill, range(THREADS)))
        return gathered

    def _cut(self, start: int, stop: int) -> list[Span]:
        """A span as spans that lie in a block each."""
        first, last = np.searchsorted(self.starts, start, "right"), np.searchsorted(self.starts, stop)
        return list(pairwise([start, *self.starts[first:last].tolist(), stop])) if start < stop else []

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start..stop-1 of these, [stop - start, *shape], at once with all that lie between them in the file."""
        if stop <= start:  # the last block, where the file goes on after the last of these rows
            return np.empty((0, *self.shape[1:]), self.dtype)
        rows = self.rows[start:stop]
        first, last = int(rows[0]), int(rows[-1]) + 1
        try:
            if stamp(self.path) != self._stamp:
                raise InputError(f"{self.path}: the file changed after training on it began; start again.")
            data = np.asarray(self._dataset[first:last])
        except InputError as error:
            self.failure = error
            raise
        except (OSError, ArithmeticError, LookupError, RuntimeError, ValueError, zlib.error) as error:
            place = f"rows {first} to {last - 1} of {self.key}"
            self.failure = InputError(f"{self.path}: {place} can't be read ({first_line(error)}). Use another copy.")
            raise self.failure from None
        data = data if last - first == len(rows) else data[rows - first]
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which the check of a file finds
            return np.ascontiguousarray(data, self.dtype)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """These of the rows, in any order, [*rows.shape, *shape]. Each block that has some of them is read once."""
        distinct, places = np.unique(rows, return_inverse=True)
        return self.select(distinct).load()[places.reshape(rows.shape)]

    def select(self, rows: np.ndarray | slice) -> "Stored":
        """Some of them, ascending, which stay in the file."""
        return Stored(self.path, self.key, self.rows[rows], self.sizes)

    def as_stored(self) -> "Stored":
        """The same rows as numbers of the kind that the file has."""
        rows = self.select(slice(None))
        rows.dtype = self._dataset.dtype.newbyteorder("=")
        rows.nbytes = math.prod(rows.shape) * rows.dtype.itemsize
        return rows

    def load(self) -> np.ndarray:
        """All of them, as an array."""
        return self.gather(self.spans)

    @cached_property
    def _dataset(self) -> h5py.Dataset | GzippedChunks:
        try:
            return opened(self.path, self.key)
        except (OSError, KeyError, RuntimeError) as error:
            raise InputError(f"{self.path}: {self.key} can't be opened ({first_line(error)}).") from None

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_dataset"}


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads of this process that read, whatever file it is."""
    return ThreadPoolExecutor(THREADS, "rows")
