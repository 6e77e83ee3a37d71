"""Which process writes a run, so that whoever comes later can tell that it is gone."""

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path

TAG = "process"  # of a run in the tracking store


def mark() -> str:
    """What tells this process from any other, on whatever machine."""
    pid = os.getpid()
    return json.dumps({"pid": pid, "started": _started(pid), "boot": _boot(), "host": _host()})


def is_gone(mark: str) -> bool:
    """Whether the process that made a mark has ended; False where that can't be known, as of another machine's."""
    try:
        fields = json.loads(mark)
        pid, started, boot, host = int(fields["pid"]), fields["started"], fields["boot"], fields["host"]
    except (ValueError, KeyError, TypeError):
        return False
    if host != _host():
        return False
    if boot != _boot():
        return True
    now = _started(pid)
    return now is None or (bool(now) and bool(started) and now != started)


def _started(pid: int) -> str | None:
    """When a process began, which tells it from a later one of the same number; None if there is none, and empty where
    that can't be known."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass  # another user's, whom /proc may hide
    stat = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()  # its name, in brackets, may contain anything
    if stat:
        return None if stat[0] in "ZX" else stat[19]  # ended, but not yet taken note of by who started it
    with contextlib.suppress(OSError):  # no Linux
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(
            command, env={**os.environ, "LC_ALL": "C", "TZ": "UTC"}, capture_output=True, text=True
        ).stdout.strip()
    return ""


def _boot() -> str:
    """What a restart of the machine changes; empty where times of processes are told by the calendar."""
    return _text("/proc/sys/kernel/random/boot_id")


def _host() -> str:
    """The machine, and of a container the numbers of its processes, which are its own."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return " ".join(filter(None, (socket.gethostname(), _text("/etc/machine-id"), namespace)))


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
