"""The user's cache: for what is known about this machine, and belongs to no project."""

import os
from pathlib import Path


def file(name: str) -> Path:
    """A file there; its folder may not exist yet."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "caviar" / name
