"""Inputs alone, as NumPy saves an array."""

from pathlib import Path

import numpy as np

from pipeline.data.examples import Examples
from pipeline.data.formats.reader import reader
from pipeline.data.rows import InMemory
from pipeline.errors import InputError, check_file, first_line


@reader(".npy", labelled=False)
def read(path: Path) -> Examples:
    """The array in a file. One of Python objects is not read: that could run any code."""
    check_file(path)
    try:
        array = np.load(path, allow_pickle=False)
    except MemoryError:
        raise InputError(f"{path}: its content does not fit in memory.") from None
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"{path}: can't be read as .npy ({reason}).") from None
    if not isinstance(array, np.ndarray):  # another kind of file, under this name
        raise InputError(f"{path}: holds {type(array).__name__}, not numbers.")
    return Examples(str(path), InMemory(array))
