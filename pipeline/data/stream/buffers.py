"""Memory that is read into again and again."""

import math
import sys
import threading

import numpy as np

ALIGNMENT = 64  # bytes, at which TensorFlow wants an array to begin: it copies any other
IDLE = 3  # arrays kept that nobody uses: as many as a reader lets go of before it asks for one


class Buffers:
    """Arrays in memory that is used again once nothing refers to it: to be given fresh memory by the system costs
    about as much as to fill it from a file in the page cache.

    Whoever holds an array, a view of it or a tensor that shares its memory also holds a reference to the array that
    owns the memory, so the number of references says whether it is free. Whenever one is asked for, all that are idle
    but IDLE of them are let go.
    """

    def __init__(self) -> None:
        self._owners, self._lock = list[np.ndarray](), threading.Lock()

    def __len__(self) -> int:
        return len(self._owners)

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """One that nobody else has, its content whatever it was."""
        nbytes = math.prod(shape) * dtype.itemsize
        with self._lock:
            owner = self._free(nbytes + ALIGNMENT)
            start = -owner.ctypes.data % ALIGNMENT
            return owner[start : start + nbytes].view(dtype).reshape(shape)

    def _free(self, nbytes: int) -> np.ndarray:
        """The smallest that suffices; of the others that are idle, the oldest are let go."""
        idle = [i for i in range(len(self)) if sys.getrefcount(self._owners[i]) == 2]  # the list, and this call
        fits = [i for i in idle if len(self._owners[i]) >= nbytes]
        chosen = min(fits, key=lambda i: len(self._owners[i]), default=None)
        owner = np.empty(nbytes, np.uint8) if chosen is None else self._owners[chosen]
        spare = [i for i in idle if i != chosen]
        gone = {chosen, *spare[: max(0, len(spare) - IDLE)]}
        self._owners = [kept for i, kept in enumerate(self._owners) if i not in gone] + [owner]  # last used, last
        return owner


# Of the whole process: TensorFlow may hold a data set that nobody reads any more, and must not hold memory by it.
BUFFERS = Buffers()
