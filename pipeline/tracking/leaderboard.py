"""The result of a sweep as a table: leaderboard.csv and what the terminal shows.

keys: of the parameters, a column each; metric: the sweep's.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from pipeline.jsonl import write_atomically
from pipeline.overrides import to_text
from pipeline.records import Trial
from pipeline.tracking.display import number, short

COLUMNS = ["trial", "status", "stage"]  # before the metric
BEST = 10  # trials that the terminal shows
LONGEST_HEADING = 9  # letters in a line: longer names are folded behind a '_'


@dataclass(frozen=True)
class Row:
    """A trial with what is known of it."""

    trial: Trial
    metrics: Mapping[str, float | None]  # of its best epoch; of a trial that has not ended, among those measured so far
    epochs: int  # that it has trained
    seconds: float  # that they took

    def cells(self, metric: str, keys: Sequence[str]) -> list[object]:
        params, status = self.trial.params, self.trial.shown_status
        ties = [] if metric == "val_loss" else [self.metrics.get("val_loss")]
        return [
            self.trial.number,
            status,
            self.trial.stage,
            self.metrics.get(metric),
            *(to_text(None) if params.get(key, "") is None else params.get(key, "") for key in keys),
            *ties,
            self.epochs,
            round(self.seconds, 3),
        ]


def headings(metric: str, keys: Sequence[str]) -> list[str]:
    """Behind the parameters what decides between equals, and what a trial has cost."""
    return [*COLUMNS, metric, *keys, *([] if metric == "val_loss" else ["val_loss"]), "epochs", "seconds"]


def write(path: Path, rows: Sequence[Row], metric: str, keys: Sequence[str]) -> None:
    """Writes trials, best first, as CSV; lists, booleans and null as Hydra reads them, so that a cell can be pasted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(headings(metric, keys))
    for row in rows:
        cells = row.cells(metric, keys)
        writer.writerow([to_text(cell) if isinstance(cell, bool | list) else cell for cell in cells])
    write_atomically(path, [text.getvalue().encode()])


def table(rows: Sequence[Row], metric: str, keys: Sequence[str], width: int) -> tuple[str, Table]:
    """The best trials for a terminal of `width` letters, with a line above: keys without their group where that is
    clear, what is the same in all rows said once, and the last columns left out where there is no room for them."""
    names = headings(metric, keys)
    shortened = [name.rsplit(".", 1)[-1] for name in names]
    names = [last if shortened.count(last) == 1 else name for name, last in zip(names, shortened, strict=True)]
    best = [row.cells(metric, keys) for row in rows[:BEST]]
    texts = [[_text(*pair, metric) for pair in zip(names, cells, strict=True)] for cells in best]
    columns = dict(zip(names, zip(*texts, strict=True), strict=True))
    title = f"the best {len(texts)} of {len(rows)} trials"
    same = {name: cells[0] for name, cells in columns.items() if len(texts) > 1 and len(set(cells)) == 1}
    same.pop(metric, None)  # whose being equal is worth seeing
    title += (
        f", all with {', '.join(f'{name} {cell}' for name, cell in same.items() if cell)}" if any(same.values()) else ""
    )
    shown = {_folded(name): cells for name, cells in columns.items() if name not in same}
    left_out: list[str] = []
    while len(shown) > 2 and _width(shown) > width:
        left_out.insert(0, shown.popitem()[0].replace("\n", ""))
    title += f"; leaderboard.csv also has {', '.join(left_out)}" if left_out else ""
    result = Table(show_edge=False, pad_edge=False)
    for name in shown:
        result.add_column(name, justify="right", no_wrap=True)
    for cells in zip(*shown.values(), strict=True):
        result.add_row(*map(Text, cells))  # no markup read into them
    return title, result


def _text(name: str, cell: Any, metric: str) -> str:
    if name == metric or cell is None:
        return number(cell)
    return f"{cell:.1f}" if name == "seconds" else short(cell)


def _folded(name: str) -> str:
    """A heading in lines of a few letters."""
    lines = [""]
    for part in re.findall(r"[^_.]+[_.]?|[_.]", name):
        if lines[-1] and len(lines[-1] + part) > LONGEST_HEADING:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    """Letters of a table's line: each column has its longest text, with two blanks and a border between them."""
    return sum(max(map(cell_len, [*name.split("\n"), *cells])) + 3 for name, cells in columns.items()) - 3
