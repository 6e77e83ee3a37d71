"""Remembering which files were read through, and what was found, since reading a large one takes minutes."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from pipeline import cache
from pipeline.data.stream.stored import stamp
from pipeline.jsonl import write_atomically

REMEMBERED = 1000  # files
T = TypeVar("T", bound=str | None)  # what JSON gives back as it was


def once(path: Path, what: str, check: Callable[[], T]) -> T:
    """What `check` returns; without calling it if it passed before and the file is the same. What it raises is not
    remembered."""
    key, now = f"{path.resolve()}:{what}", list(stamp(path))
    before = _read().get(key)
    if isinstance(before, dict) and before.get("stamp") == now and "found" in before:
        return cast(T, before["found"])
    found = check()
    known = _read()
    known.pop(key, None)
    known[key] = {"stamp": now, "found": found}
    kept = dict(list(known.items())[-REMEMBERED:])
    with contextlib.suppress(OSError):  # a machine without a place for it checks again next time
        cache.file("checked.json").parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache.file("checked.json"), [json.dumps(kept).encode()])
    return found


def _read() -> dict[str, Any]:
    try:
        found = json.loads(cache.file("checked.json").read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
