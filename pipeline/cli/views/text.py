"""Strings, tables and JSON for the terminal, made from what files say."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text


def clean(value: Any) -> str:
    """`value` as text on one line. A file from elsewhere may hold escape sequences that move the terminal's cursor
    or worse: what can't be printed becomes U+FFFD."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value))


def size(shape: Iterable[int | None]) -> str:
    """`8 x 8 x 1`; `any` for a length that the model leaves open, `scalar` for no axis at all."""
    return " x ".join("any" if length is None else str(length) for length in shape) or "scalar"


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def show(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, text: int = 1) -> None:
    """Prints a table; the first `text` columns are words and stand on the left, the others numbers on the right."""
    table = Table(title=title and Text(title), title_justify="left", title_style="bold")
    for i, heading in enumerate(headings):
        table.add_column(Text(clean(heading)), justify="left" if i < text else "right")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    console = Console(highlight=False)
    # A pipe has no width; rich would squeeze the table into 80 columns.
    console.print(table, width=None if console.is_terminal else 10_000, crop=False)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    print(json.dumps(_portable(value), indent=2, allow_nan=False))


def _portable(value: Any) -> Any:
    """`value` with what JSON lacks replaced: arrays become lists, NaN and infinity null, the rest text."""
    if isinstance(value, dict):
        return {str(key): _portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _portable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
