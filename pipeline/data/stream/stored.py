"""Examples that stay in their HDF5 file and are read when they are asked for."""

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.data.checked import stamp
from pipeline.data.rows import Span
from pipeline.data.stream.chunks import GzippedChunks, opened
from pipeline.errors import InputError, first_line

BLOCK_BYTES = 2**21  # read at once, at least: smaller reads cost more than they bring
THREADS = 4  # which read side by side: they gunzip, and wait for a disk


def as_read(dtype: np.dtype) -> np.dtype:
    """What numbers of a file become in memory: the small kinds stay, for images of bytes are a quarter as large as
    floats; the rest is float32, which is what models compute with."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    small = (dtype.kind in "iu" and dtype.itemsize <= 2) or dtype == np.float16
    return dtype.newbyteorder("=") if small else np.dtype(np.float32)


class Stored:
    """Rows of a dataset in an HDF5 file (see data/rows.py).

    rows: their numbers in the file, ascending. The file is opened by the process that reads, when it first does: HDF5
    handles survive neither fork nor pickling. Reading raises InputError once the file is not the one that was checked.
    """

    streamed = True

    def __init__(self, path: Path, key: str, rows: np.ndarray) -> None:
        self.path, self.key, self.rows = path, key, rows
        self._stamp = stamp(path)
        self._dataset: h5py.Dataset | GzippedChunks | None = None
        dataset = self._opened()
        self.shape = (len(rows), *dataset.shape[1:])
        self.dtype = as_read(dataset.dtype)
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        self.failure: InputError | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def starts(self) -> np.ndarray:
        """Of blocks of whole chunks, of at least BLOCK_BYTES in the file."""
        dataset = self._opened()
        chunk, row = (dataset.chunks or (1,))[0], max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:])))
        size = chunk * max(1, -(-BLOCK_BYTES // (row * chunk)))
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
        spans = self.spans
        for i in range(0, len(spans), THREADS):
            yield from _pool().map(lambda span: self.read(*span), spans[i : i + THREADS])

    def gather(
        self, spans: Sequence[Span], places: np.ndarray | None = None, into: np.ndarray | None = None
    ) -> np.ndarray:
        """Block by block: between the first and the last of scattered rows may lie a whole file."""
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
        if stop <= start:
            return np.empty((0, *self.shape[1:]), self.dtype)
        rows = self.rows[start:stop]
        first, last = int(rows[0]), int(rows[-1]) + 1
        try:
            if stamp(self.path) != self._stamp:
                raise InputError(f"{self.path}: the file changed after training on it began; start again.")
            data = np.asarray(self._opened()[first:last])
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
        """Each block that has some of them is read once."""
        distinct, places = np.unique(rows, return_inverse=True)
        block_of, spans = np.searchsorted(self.starts, distinct, "right") - 1, self.spans
        taken = [self.read(*spans[i])[distinct[block_of == i] - spans[i][0]] for i in np.unique(block_of)]
        return np.concatenate(taken)[places].reshape(*rows.shape, *self.shape[1:])

    def select(self, rows: np.ndarray | slice) -> "Stored":
        return Stored(self.path, self.key, self.rows[rows])

    def load(self) -> np.ndarray:
        return self.gather(self.spans)

    def _opened(self) -> h5py.Dataset | GzippedChunks:
        if self._dataset is None:
            try:
                self._dataset = opened(self.path, self.key)
            except (OSError, KeyError, RuntimeError) as error:
                raise InputError(f"{self.path}: {self.key} can't be opened ({first_line(error)}).") from None
        return self._dataset

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dataset": None}


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads of this process that read, whatever file it is."""
    return ThreadPoolExecutor(THREADS, "rows")
