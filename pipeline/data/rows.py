"""Rows of examples, wherever they are held."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.data.stream.stored import Span, Stored
from pipeline.errors import InputError

SAMPLE_BYTES = 2**27  # from which statistics of more examples are taken
RUNS = 128  # of rows, in such a sample: enough that data sorted by class have all of them in it


class InMemory:
    """The rows of an array [n, *shape]."""

    streamed = False
    failure: InputError | None = None

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

    def gather(self, spans: Sequence[Span]) -> np.ndarray:
        return np.concatenate([self.array[start:stop] for start, stop in spans])

    def select(self, rows: np.ndarray | slice) -> "InMemory":
        return InMemory(self.array[rows])

    def load(self) -> np.ndarray:
        return self.array


Rows = InMemory | Stored  # Stored says what each method is for


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
