"""Locks between processes."""

import fcntl
from pathlib import Path
from typing import TextIO


def exclusive(path: Path, *, wait: bool) -> TextIO:
    """A file that only this process holds until it is closed; it is made if need be, and its content stays.

    wait: for another process that holds it; else BlockingIOError is raised if one does.
    """
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        file.close()
        raise
    return file
