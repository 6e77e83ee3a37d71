"""How much memory this process may count on."""

import contextlib
import os
import resource
from pathlib import Path


def total() -> float:
    """Bytes: of the machine, or of the container or the limit (ulimit) that this process lives in."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError):  # not in a container, or in one without a limit
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    limits += [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS)]
    return float(min(limit for limit in limits if limit != resource.RLIM_INFINITY))
