"""Rows of examples, wherever they are held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pipeline.errors import InputError

SAMPLE_BYTES = 2**27  # from which statistics of more examples are taken
RUNS = 128  # of rows, in such a sample: enough that data sorted by class have all of them in it


Span = tuple[int, int]  # rows start..stop-1


@dataclass(frozen=True)
class Sizes:
    """Bytes of examples that are read, and mixed, together."""

    block: int = 2**21  # read at once, at least: smaller reads cost more than they bring
    window: int = 2**25  # in memory at once, and shuffled among themselves; up to eight such are held
    largest_window: int = 2**27  # where a window of several blocks would be larger


DEFAULT_SIZES = Sizes()


@runtime_checkable
class Rows(Protocol):
    """Examples [n, *shape], one after another. Slices of them are arrays."""

    shape: tuple[int, ...]  # (n, *shape)
    dtype: np.dtype
    nbytes: int  # of all of them in memory
    streamed: bool  # whether they stay in their file, and are read again in every epoch
    failure: InputError | None  # why the last reading failed: tf.data passes on no more than its text
    sizes: Sizes  # of what is read, and mixed, together

    @property
    def starts(self) -> np.ndarray:
        """Where blocks of rows begin that are best read at once, ascending from 0."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, span: slice) -> np.ndarray: ...

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows in order, block by block, anew each time."""
        ...

    def take(self, rows: np.ndarray) -> np.ndarray:
        """These of the rows, in any order, [*rows.shape, *shape]."""
        ...

    def gather(
        self, spans: Sequence[Span], places: np.ndarray | None = None, into: np.ndarray | None = None
    ) -> np.ndarray:
        """The rows of several spans, one after another; or row i at places[i]. into: an array for them."""
        ...

    def select(self, rows: np.ndarray | slice) -> "Rows":
        """Some of them, ascending; those of a file stay in it."""
        ...

    def load(self) -> np.ndarray:
        """All of them, as an array."""
        ...


class InMemory:
    """The rows of an array [n, *shape]."""

    streamed = False
    failure: InputError | None = None
    sizes = DEFAULT_SIZES
    starts = np.zeros(1, int)  # one block

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape, self.dtype, self.nbytes = array.shape, array.dtype, array.nbytes

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, span: slice) -> np.ndarray:
        return self.array[span]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.array, dtype, copy=copy)

    def blocks(self) -> Iterator[np.ndarray]:
        yield self.array

    def take(self, rows: np.ndarray) -> np.ndarray:
        return np.take(self.array, rows, axis=0)

    def gather(
        self, spans: Sequence[Span], places: np.ndarray | None = None, into: np.ndarray | None = None
    ) -> np.ndarray:
        rows = np.concatenate([np.arange(*span) for span in spans])
        return np.take(self.array, rows if places is None else rows[np.argsort(places)], axis=0, out=into)

    def select(self, rows: np.ndarray | slice) -> "InMemory":
        return InMemory(self.array[rows])

    def load(self) -> np.ndarray:
        return self.array


def as_rows(inputs: np.ndarray | Rows) -> Rows:
    """An array as rows. What is neither is left to whoever checks it."""
    return InMemory(inputs) if isinstance(inputs, np.ndarray) else inputs


def sample(rows: Rows, nbytes: int = SAMPLE_BYTES) -> np.ndarray:
    """Runs of rows spread evenly over all, `nbytes` together (at least a row); all rows if they are no more. Which
    ones follows from their number and size alone, so that rows in memory and in a file have the same sample."""
    n = len(rows)
    if rows.nbytes <= nbytes:
        return rows.load()
    kept = max(1, n * nbytes // rows.nbytes)
    runs = min(RUNS, kept)
    return rows.gather([(i * n // runs, i * n // runs + kept // runs) for i in range(runs)])
