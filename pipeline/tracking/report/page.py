"""report.html of one sweep or several: a file by itself, with its style, its scripts and its numbers inside."""

import html
import re
import time
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from pipeline.tracking.report.data import SweepReport
from pipeline.tracking.report.packing import to_json

# In this order: each uses what stands before it.
SCRIPTS = (
    "elements",
    "sweeps",
    "selection",
    "colors",
    "plot",
    "curves",
    "scatter",
    "parallel",
    "progress",
    "stages",
    "lineage",
    "arms",
    "cost",
    "table",
    "importance",
    "replicates",
    "winner",
    "compare",
    "main",
)


@cache
def _part(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def render(sweeps: Sequence[SweepReport]) -> str:
    """The page of one sweep, or that which compares several."""
    made = time.strftime("%Y-%m-%d %H:%M")
    parts = {
        "title": html.escape(_printable(", ".join(sweep.name for sweep in sweeps))),
        "style": _part("style.css"),
        "data": to_json(sweeps, made),
        "script": "\n".join(_part(f"{name}.js") for name in SCRIPTS),
    }
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], _part("page.html"))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
