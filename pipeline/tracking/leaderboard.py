"""The result of a sweep as a table: leaderboard.csv and what the terminal shows."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from pipeline.jsonl import write_atomically
from pipeline.overrides import to_text
from pipeline.tracking.display import number, short


def write(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Writes `rows`, best first, as CSV; lists and booleans as Hydra reads them, so that a cell can be pasted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(c) is None else _cell(row[c]) for c in columns])
    write_atomically(path, [text.getvalue().encode()])


def _cell(value: Any) -> str:
    return to_text(value) if isinstance(value, bool | list) else str(value)


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str], metric: str, best: int = 10) -> Table:
    """The best rows for the terminal, keys without their group where that is clear."""
    shortened = [c.rsplit(".", 1)[-1] for c in columns]
    result = Table(title=f"the best {min(best, len(rows))} of {len(rows)} trials", title_justify="left")
    for column, name in zip(columns, shortened, strict=True):
        result.add_column(name if shortened.count(name) == 1 else column, justify="right")
    for row in rows[:best]:
        result.add_row(*[number(row.get(c)) if c == metric else short(row.get(c, "")) for c in columns])
    return result
