"""Remembering which files were read through and found good, since reading a large one takes minutes."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from pipeline import cache
from pipeline.data.stored import stamp
from pipeline.jsonl import write_atomically

REMEMBERED = 1000  # files


def once(path: Path, what: str, check: Callable[[], None]) -> None:
    """Calls `check` unless it passed before and the file is the same. What it raises is not remembered."""
    key, now = f"{path.resolve()}:{what}", list(stamp(path))
    if _read().get(key) == now:
        return
    check()
    known = _read()
    known.pop(key, None)
    known[key] = now
    kept = dict(list(known.items())[-REMEMBERED:])
    with contextlib.suppress(OSError):  # a machine without a place for it checks again next time
        cache.file("checked.json").parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache.file("checked.json"), [json.dumps(kept).encode()])


def _read() -> dict[str, list[int]]:
    try:
        found = json.loads(cache.file("checked.json").read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
