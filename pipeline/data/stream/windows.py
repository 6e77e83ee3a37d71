"""The order in which examples in a file are read and shuffled: by blocks, and through a buffer."""

from dataclasses import dataclass

import numpy as np

from pipeline.data.rows import Rows, Span

MIXED_BLOCKS = 16  # in a window, if they are no larger than that: what is side by side in the file ends far apart


@dataclass(frozen=True, eq=False)
class Windows:
    """An epoch over `n` rows: blocks of rows that lie side by side in the file, in an order of their own each epoch;
    windows of `size` rows, each filled with the next blocks; and all rows of a window shuffled.

    A window of all rows is a full shuffle. One of k blocks mixes what k places of the file hold, which is why a file
    sorted by class still gives mixed batches. Everything is a pure function of (seed, epoch).
    """

    n: int
    starts: np.ndarray  # where blocks begin, ascending from 0
    size: int  # rows of a window
    seed: int

    @classmethod
    def of(cls, inputs: Rows, batch_size: int, seed: int, mixed: bool = True) -> "Windows":
        """Windows of whole batches; of a block at least, or of several that are to be mixed."""
        n = len(inputs)
        row = max(1, inputs.nbytes // n)
        block = -(-n // len(inputs.starts)) * row
        sizes = inputs.sizes
        nbytes = min(max(sizes.window, (MIXED_BLOCKS if mixed else 1) * block), sizes.largest_window)
        return cls(n, inputs.starts, max(1, nbytes // (row * batch_size)) * batch_size, seed)

    def __len__(self) -> int:
        return -(-self.n // self.size)

    def spans(self, window: int, epoch: int | None = None) -> list[Span]:
        """The rows that a window reads, as spans in the order of the epoch's blocks, or that of the file."""
        starts, stops = self.starts, np.append(self.starts[1:], self.n)
        if epoch is not None and len(self) > 1:
            blocks = np.random.default_rng((self.seed, epoch)).permutation(len(starts))
            starts, stops = starts[blocks], stops[blocks]
        ends = np.cumsum(stops - starts)  # places in the epoch's order
        begins = ends - (stops - starts)
        low = window * self.size
        high = low + self.rows(window)
        spans = []
        for i in range(int(np.searchsorted(ends, low, "right")), int(np.searchsorted(begins, high, "left"))):
            start = starts[i] + max(0, low - begins[i])  # a block at a window's edge is cut
            spans.append((int(start), int(stops[i] - max(0, ends[i] - high))))
        return spans

    def rows(self, window: int) -> int:
        """How many a window has."""
        return min(self.size, self.n - window * self.size)

    def shuffle(self, epoch: int, window: int) -> np.ndarray:
        """At which place of the window each of its rows ends."""
        return np.random.default_rng((self.seed, epoch, window)).permutation(self.rows(window))
