"""Remembering which files were read through, and what was found, since reading a large one takes minutes."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from pipeline import cache
from pipeline.jsonl import write_atomically

REMEMBERED = 1000  # files
Stamp = tuple[int, int, int]
T = TypeVar("T", bound=str | None)  # what JSON gives back as it was


def stamp(path: Path) -> Stamp:
    """What changes whenever a file does."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def cached_check(path: Path, what: str, check: Callable[[], T]) -> T:
    """What `check` returns; without calling it if it passed before and the file is the same. What it raises is not
    remembered."""
    key, now = f"{path.resolve()}:{what}", list(stamp(path))
    with contextlib.suppress(KeyError, TypeError):
        before = _entries()[key]
        if before["stamp"] == now:
            return cast(T, before["found"])
    result = check()
    entries = _entries()
    entries.pop(key, None)
    entries[key] = {"stamp": now, "found": result}
    newest = dict(list(entries.items())[-REMEMBERED:])
    with contextlib.suppress(OSError):  # a machine without a place for it checks again next time
        cache.file("checked.json").parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache.file("checked.json"), [json.dumps(newest).encode()])
    return result


def _entries() -> dict[str, Any]:
    """What was remembered, the oldest first."""
    with contextlib.suppress(OSError, ValueError):
        entries = json.loads(cache.file("checked.json").read_text())
        if isinstance(entries, dict):
            return entries
    return {}
