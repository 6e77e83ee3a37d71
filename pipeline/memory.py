"""How much memory this process may count on, and whether the machine has run out of it."""

import contextlib
import os
import resource
from pathlib import Path


def oom_kills() -> int | None:
    """How many processes the kernel has killed for want of memory, since it began; None if it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def total() -> float:
    """Bytes: of the machine, or of the container or the limit (ulimit) that this process lives in."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError):  # not in a container, or in one without a limit
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    limits += [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS)]
    return float(min(limit for limit in limits if limit != resource.RLIM_INFINITY))
