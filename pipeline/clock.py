"""When this command began, its imports included: what a sweep's budget counts from."""

import os
import time
from pathlib import Path

LONGEST_IMPORT = 60.0  # seconds; a process older than that, a notebook's, has done something else before

_began: float | None = None


def begin() -> None:
    """A command begins; where its process was started for it, it began with that."""
    global _began
    age = _age_of_process()
    _began = time.time() - (age if age < LONGEST_IMPORT else 0.0)


def began() -> float:
    """In seconds since 1970."""
    if _began is None:
        begin()
    assert _began is not None
    return _began


def _age_of_process() -> float:
    """Seconds since this process was started; 0 where the system does not say."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError, IndexError, ValueError):
        return 0.0
