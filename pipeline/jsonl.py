"""Append-only files of JSON lines that survive a crash: the ledger and every trial's event log."""

import contextlib
import errno
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import InputError


def finite(value: object) -> object:
    """JSON has no NaN or infinity; a reader in another language would stop at Python's. They become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _record(line: bytes) -> Any:
    """The object that a whole line holds; None for anything else."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _lines(path: Path) -> Iterator[tuple[bytes, Any]]:
    """The lines of `path` with their objects, up to a tail that a crash left torn."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines, start=1):
        record = _record(line)
        if record is not None:
            yield line, record
        elif any(_record(later) is not None for later in lines[number:]):
            # A crash tears the end only. Cutting here would lose what stands whole behind it.
            raise InputError(f"{path}: line {number} is damaged, but lines follow it. Mend or delete that line.")
        else:
            return


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of `path`, oldest first, without a tail that a crash left torn.

    Raises InputError, naming the line, if one in the middle is no JSON object.
    """
    return (record for _, record in _lines(path))


class JsonLines:
    """Appends objects, a line each; opening it cuts off a tail that a crash left torn.

    durable: fsync after every append, unless it says that it can wait for the next. The ledger wants that; an epoch's
    event does not, because the trial's state is older than its last event in any case.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        whole = sum(len(line) for line, _ in _lines(path))
        self._file = path.open("ab", buffering=0)
        self._file.truncate(whole)
        self._durable = durable

    def append(self, *records: Mapping[str, object], waits: bool = False) -> None:
        # One write for all of them: a crash leaves a prefix, never lines of two appends mixed.
        data = b"".join(json.dumps(finite(record)).encode() + b"\n" for record in records)
        with blaming(Path(self._file.name)):
            before = self._file.seek(0, os.SEEK_END)
            # On a full disk, half a line would hide all that comes after it.
            if os.write(self._file.fileno(), data) != len(data):
                self._file.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._durable and not waits:
                os.fsync(self._file.fileno())

    def sync(self) -> None:
        """Makes durable what waited for that."""
        with blaming(Path(self._file.name)):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Replaces `path` by `chunks` so that a crash leaves the old file or the new one, whole."""
    temporary = beside(path)
    try:
        with blaming(path):
            with temporary.open("wb") as file:
                file.writelines(chunks)
            commit(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path, suffix: str = "") -> Path:
    """The temporary path for what is to be moved to `path`."""
    return path.with_name(f".{path.name.removesuffix(suffix)}.{os.getpid()}{suffix}")


def remove_temporary(folder: Path) -> None:
    """Removes what killed processes left of it in `folder`, in which no other process writes now."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\.(\.hydra|state|model|leaderboard\.csv|best\.yaml|report\.html)\.\d+(\.h5)?", path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def blaming(path: Path) -> Iterator[None]:
    """An error of the system within it, as of a full disk, says which file it is about."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def commit(temporary: Path, path: Path) -> None:
    """Moves a complete file into place, its content and then the move made durable."""
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
