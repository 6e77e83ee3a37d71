"""Why a worker died: the exception that it did not catch, what it wrote last, or the signal that killed it."""

import re
import resource
import signal
import sys
from dataclasses import dataclass

from pipeline import memory

# What TensorFlow, absl and Python's loggers write that ends nothing: at its start TensorFlow complains of every GPU
# library that it looks for in vain.
_LOGGED = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "  # 2026-11-01 10:00:00.123456: E file.cc:152] failed call to cuInit
    r"|[IWE]\d{4} \d\d:\d\d:\d+\.\d+ "  # E0000 00:00:1732800000.123456    4711 file.cc:8310] ...
    r"|(DEBUG|INFO|WARNING|ERROR)\b"  # WARNING:tensorflow: ...
    r"|\S+:\d+: \w*Warning: "  # warnings.warn()
    r"|To enable the following instructions: "  # the second line of what it says of each processor
    r"|Exception ignored in"
    r"|\s"  # what belongs to the line above
)
_FATAL = re.compile(r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: F |F\d{4} \d\d:\d\d:\d+\.\d+ +\d+ )\S+\] (.+)")
_TRACEBACK = "Traceback (most recent call last):"
_MEMORY = "; try fewer executor.workers, or a smaller train.batch_size or model"


@dataclass(frozen=True)
class Death:
    reason: str
    of_memory: bool = False  # because there was too little


def death_of(code: int, written: str, oom_kills: int | None) -> Death:
    """Of a worker that ended with `code`, as subprocess has it, and wrote this to stderr. oom_kills: how many processes
    the kernel had killed for want of memory when the worker began; None: it does not say."""
    last = reason_in(written)
    if code >= 0:
        why = f"exited with status {code}: {last or 'it wrote no reason, as code that calls exit() does'}"
        return Death(f"its worker process {why}", last is not None and last.startswith("MemoryError"))
    how = f"its worker process was killed by {signal.Signals(-code).name}"
    if -code == signal.SIGABRT and last:
        return Death(f"{how}: {last}", "bad_alloc" in last)
    if -code != signal.SIGKILL:
        return Death(how)
    kills = memory.oom_kills()
    if kills is not None and oom_kills is not None and kills > oom_kills:
        return Death(f"{how} (the system ran out of memory{_MEMORY})", True)
    # Of all children that have ended: no less than this one's.
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if most > memory.total() / 2:
        size = f"{most / 2**30:.1f} of {memory.total() / 2**30:.1f} GiB"
        return Death(f"{how} (probably for want of memory: a worker had {size}{_MEMORY})", True)
    return Death(f"{how} ({'often the answer to' if kills is None else 'the system reports no'} lack of memory)")


def reason_in(written: str) -> str | None:
    """The line that says why a process ended: of its last traceback, of a failed check of TensorFlow's, or the last one
    that is no log's."""
    lines = [line for line in written.splitlines() if line.strip()]
    if _TRACEBACK in lines:
        after = lines[len(lines) - lines[::-1].index(_TRACEBACK) :]
        return next((line for line in after if not line[0].isspace()), None)
    if fatal := [match[1] for line in lines if (match := _FATAL.match(line))]:
        return fatal[-1]
    return next((line for line in reversed(lines) if not _LOGGED.match(line)), None)
