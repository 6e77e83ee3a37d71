"""Strings, tables and JSON for the terminal, made from what files say."""

import json
import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import layout

Shape = tuple[int | None, ...]  # of one example; None: any length


def clean(value: Any) -> str:
    """`value` as text on one line. A file from elsewhere may hold escape sequences that move the terminal's cursor
    or worse: what can't be printed becomes U+FFFD."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value))


def size(shape: Iterable[int | None]) -> str:
    """`8 x 8 x 1`; `any` for a length that the model leaves open, `scalar` for no axis at all."""
    return " x ".join("any" if length is None else str(length) for length in shape) or "scalar"


def warn(message: str) -> None:
    print(f"warning: {clean(message)}", file=sys.stderr)


def print_error(message: object) -> None:
    """A line or two on stderr, which may quote a file from elsewhere."""
    for line in str(message).splitlines():
        print(clean(line), file=sys.stderr)


def show(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str, words: int) -> None:
    """Prints a table; the first `words` columns are text and stand on the left, the others numbers on the right.

    On a terminal it is as wide as that, and columns that are the same in all rows are said once, with the title.
    """
    cells = [list(map(clean, row)) for row in rows]
    columns: list[layout.Column]
    columns = [(clean(heading), [row[i] for row in cells]) for i, heading in enumerate(headings)]
    left = {name for name, _ in columns[:words]}
    # A pipe has no width; rich would squeeze the table into 80 columns.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100_000)
    title = clean(title)
    if sys.stdout.isatty():
        columns, same = layout.split_same(columns, kept=[columns[0][0]])
        said = ", ".join(f"{name} {cell}" for name, cell in same.items() if cell)
        title = layout.wrapped(f"{title}; all with {said}" if said else title, console.width)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    n_words = sum(name in left for name, _ in columns)
    if sys.stdout.isatty():
        columns = layout.fitted(columns, console.width - 2, console.width)
    for i, (name, _) in enumerate(columns):
        table.add_column(Text(name), justify="left" if i < n_words else "right", overflow="fold")
    for texts in zip(*(column for _, column in columns), strict=True):
        table.add_row(*map(Text, texts))
    console.print(Text(title, style="bold"))
    console.print(table)


def print_fact(name: str, value: Any) -> None:
    line = f"{name:<17} {clean(value)}"
    print(layout.wrapped(line, shutil.get_terminal_size().columns) if sys.stdout.isatty() else line)


def brief(value: Any, longest: int = 60) -> str:
    """The beginning of what would be longer."""
    text = clean(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def in_words(value: Any) -> str:
    """`a 1, b 2` for a dict, `1, 2` for a list."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_words(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        more = f", ... ({len(value)} in all)" if len(value) > 20 else ""
        return ", ".join(map(in_words, value[:20])) + more
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    print(json.dumps(portable(value), indent=2, allow_nan=False))


def portable(value: Any) -> Any:
    """`value` with what JSON lacks replaced: a dataclass becomes what its to_json() gives or an object of its fields,
    without those that are None by default and now; arrays become lists, NaN and infinity null, the rest text."""
    if hasattr(value, "to_json"):
        return portable(value.to_json())
    if is_dataclass(value):
        items = ((field, getattr(value, field.name)) for field in fields(value))
        # `class` is a word of Python: the field is called class_.
        return {f.name.rstrip("_"): portable(v) for f, v in items if not (v is None and f.default is None)}
    if isinstance(value, dict):
        return {str(key): portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return portable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
