"""Memory that is read into again and again."""

import math
from collections import deque

import numpy as np

ALIGNMENT = 64  # bytes, at which TensorFlow wants an array to begin: it copies any other
IDLE = 3  # blocks of memory kept that nobody uses: as many as a reader lets go of before it asks for one


class Buffers:
    """Arrays in memory that is used again once nothing refers to it: to be given fresh memory by the system costs
    about as much as to fill it from a file in the page cache."""

    def __init__(self) -> None:
        self.idle: deque[np.ndarray] = deque(maxlen=IDLE)  # of more, the oldest is let go

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """One that nobody else has, its content whatever it was."""
        nbytes = math.prod(shape) * dtype.itemsize + ALIGNMENT
        try:
            memory = self.idle.pop()
        except IndexError:
            memory = np.empty(nbytes, np.uint8)
        if len(memory) < nbytes:
            memory = np.empty(nbytes, np.uint8)
        return np.asarray(_Lease(memory, self.idle, shape, dtype))


class _Lease:
    """What owns the memory of an array: whoever holds the array, a view of it or a tensor that shares its memory also
    holds this, so that its end says that the memory is idle."""

    def __init__(self, memory: np.ndarray, idle: deque[np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._memory, self._idle = memory, idle
        address = -(-memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str, "data": (address, False)}

    def __del__(self) -> None:
        self._idle.append(self._memory)


# Of the whole process: TensorFlow may hold a data set that nobody reads any more, and must not hold memory by it.
BUFFERS = Buffers()
