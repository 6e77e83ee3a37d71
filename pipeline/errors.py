"""The user's mistakes, and the line that helps them."""

import contextlib
import difflib
import errno
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TypeGuard


class InputError(Exception):
    """The user's input is wrong. The message is one or two lines: received, allowed, nearest.

    `run.py` and `python -m pipeline` print it without a traceback and exit with status 2.
    """


_PACKED = {  # how compressed files begin -> what unpacks them
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ\0": "unxz",
    b"\x28\xb5\x2f\xfd": "unzstd",
}


def check_file(path: Path) -> None:
    """Raises InputError unless there is a file at `path`, and one that is not compressed."""
    if not path.is_file():
        kind = "it is a folder, not a file" if path.is_dir() else "it is no regular file"
        raise InputError(f"{path}: {kind if path.exists() else 'there is no such file'}.")
    with contextlib.suppress(OSError), path.open("rb") as file:  # what can't be read is told of by whoever does
        begin = file.read(6)
        for magic, command in _PACKED.items():
            if begin.startswith(magic):
                raise InputError(f"{path}: it is compressed; unpack it first: {command} {shlex.quote(str(path))}")


def first_line(error: Exception) -> str:
    """The line of an error's message that says what is wrong, mostly the first; the kind of the error if it has none.

    TensorFlow puts "in user code:" and a traceback in front of it, Keras which layer was called, in bold letters.
    """
    lines = [line.strip() for line in re.sub(r"\x1b\[[\d;]*m", "", str(error)).splitlines() if line.strip()]
    if lines and lines[0] == "in user code:":
        raised = [match[1] for line in lines if (match := re.match(r"(?:\w+\.)*\w*(?:Error|Exception): (.+)", line))]
        lines = raised[-1:] or lines[-1:]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        lines = lines[1:]
    return lines[0] if lines else type(error).__name__


def in_one_line(error: Exception) -> str:
    """The kind of an error that is not the user's, and how its message begins."""
    return f"{type(error).__name__}: {first_line(error)}" if str(error).strip() else type(error).__name__


def reason_of(error: Exception) -> tuple[str, bool]:
    """One line that says why a trial failed, and whether its config is to blame."""
    if isinstance(error, InputError):
        return str(error), True
    if out_of_memory(error):
        return "out of memory; try a smaller train.batch_size or model", False
    if name_too_long(error):
        return f"this is too long for the name of a file: {error.filename}", True
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename or ''}".rstrip(": "), False
    return in_one_line(error), False


def lacked(error: Exception) -> str | None:
    """`disk` or `memory` if there was too little of it, which is nobody's mistake and may pass."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "disk"
    return "memory" if out_of_memory(error) else None


def out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def name_too_long(error: Exception) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG


def nearest(word: str, allowed: Iterable[str]) -> str:
    """` Did you mean 'adam'?`, or an empty string when nothing allowed is close to `word`.

    A dotted key is looked for in its own section first, then by its last part anywhere: `train.learning_rate`
    finds `optimizer.learning_rate`.
    """
    names = list(allowed)
    section, _, last = word.rpartition(".")
    siblings = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == section}
    anywhere = {name.rpartition(".")[2]: name for name in names}
    for candidates, spelling, cutoff in (
        (siblings, last, 0.6),
        (anywhere, last, 0.8),
        ({name: name for name in names}, word, 0.85),
    ):
        lowered = {name.lower(): full for name, full in candidates.items()}
        if matches := difflib.get_close_matches(spelling.lower(), lowered, n=1, cutoff=cutoff):
            return f" Did you mean '{lowered[matches[0]]}'?"
    return ""


def first_of(names: Iterable[str]) -> str:
    """The first ten names in one line, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")


def one_of(what: str, got: object, allowed: Iterable[object]) -> InputError:
    """The error for a name that is not among `allowed`."""
    names = [str(name) for name in allowed]
    return InputError(f"{what}={got} is not known. Allowed: {', '.join(names)}.{nearest(str(got), names)}")
