"""How much memory this process may count on."""

import contextlib
import os
import resource
from pathlib import Path


def total() -> float:
    """Bytes: of the machine, or of the container or the limit (ulimit) that this process lives in."""
    found = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):
        found = min(found, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        limit = resource.getrlimit(kind)[0]
        found = min(found, limit) if limit != resource.RLIM_INFINITY else found
    return found
