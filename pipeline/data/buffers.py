"""Memory that is read into again and again."""

import math
import sys
import threading

import numpy as np

ALIGNMENT = 64  # bytes, at which TensorFlow wants an array to begin: it copies any other


class Buffers:
    """Arrays of at most `nbytes` bytes, in memory that is used again once nothing refers to it: to be given fresh
    memory by the system costs about as much as to fill it from a file in the page cache.

    Whoever holds an array, a view of it or a tensor that shares its memory also holds a reference to the array that
    owns the memory, so the number of references says whether it is free. As many are made as are in use at once.
    """

    def __init__(self, nbytes: int) -> None:
        self._size, self._owners, self._lock = nbytes + ALIGNMENT, list[np.ndarray](), threading.Lock()

    def __len__(self) -> int:
        return len(self._owners)

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """One that nobody else has, its content whatever it was."""
        with self._lock:
            free = (i for i in range(len(self)) if sys.getrefcount(self._owners[i]) == 2)  # the list, and this call
            if (i := next(free, None)) is None:
                self._owners.append(np.empty(self._size, np.uint8))
                i = -1
            start = -self._owners[i].ctypes.data % ALIGNMENT
            return self._owners[i][start : start + math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
