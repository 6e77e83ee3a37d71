"""What the death of a process says of the file that it read.

HDF5 crashes on some damaged files, and goes round and round on others: one in 250 files with a flipped bit. No error
can be caught then. So files of strangers are opened by processes whose end costs nothing: a worker, or the child of a
command. Such a process notes which file it reads, for its parent to blame.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SILENT_SECONDS = float(os.environ.get("CAVIAR_SILENT_SECONDS", 60))  # for one object, from however slow a disk
_DAMAGED = "it is damaged. Use another copy."
VERDICTS: dict[int, str] = {
    signal.SIGALRM: f"HDF5 reads its structure without end; {_DAMAGED}",
    **dict.fromkeys(
        (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL),
        f"HDF5 crashes on its structure; {_DAMAGED}",
    ),
}
_note: int | None = None  # the descriptor of what the parent reads, in a disposable process
_seconds = SILENT_SECONDS
_files: list[Path] = []  # that are being read, the last one within the others


def make_disposable(note: int, seconds: float = SILENT_SECONDS) -> None:
    """Lets this process be ended by SIGALRM once it hangs in a file. note: the descriptor of a file for its name."""
    global _note, _seconds
    _note, _seconds = note, seconds


@contextlib.contextmanager
def watched(path: Path) -> Iterator[None]:
    """While a file is read; reading() must be called at least every SILENT_SECONDS."""
    _files.append(path)
    try:
        _note_file()
        yield
    finally:
        _files.remove(path)
        _note_file()


def _note_file() -> None:
    """Writes down which file is being read, and gives it its time."""
    if _note is not None:
        with contextlib.suppress(OSError):  # the disk is full: no file is blamed
            os.pwrite(_note, b"".join(map(os.fsencode, _files[-1:])) + b"\0", 0)
        signal.setitimer(signal.ITIMER_REAL, _seconds if _files else 0)


def reading() -> None:
    """Reading goes on: the process has as many seconds again for what comes next."""
    if _files and _note is not None:
        signal.setitimer(signal.ITIMER_REAL, _seconds)


def verdict(note: BinaryIO, number: int) -> str | None:
    """Which file a signal has ended a process for, and why; None if there is none to blame."""
    file = os.fsdecode(os.pread(note.fileno(), 2**16, 0).partition(b"\0")[0])
    reason = VERDICTS.get(number)
    return f"{file}: {reason}" if file and reason else None


def killed_by(number: int) -> str:
    """What a signal did to a process, in words."""
    name = signal.Signals(number).name
    return f"killed by {name}" + (" (often the system's answer to memory running out)" if name == "SIGKILL" else "")
