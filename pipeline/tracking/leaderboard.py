"""The result of a sweep as a table: leaderboard.csv and what the terminal shows.

keys: of the parameters, a column each; metric: the sweep's.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from pipeline import layout
from pipeline.jsonl import write_atomically
from pipeline.overrides import to_text
from pipeline.records import Trial
from pipeline.tracking.display import LONGEST_HEADING, number, short

COLUMNS = ["trial", "status", "stage"]  # before the metric
BEST = 10  # trials that the terminal shows


@dataclass(frozen=True)
class Row:
    """A trial with what is known of it."""

    trial: Trial
    metrics: Mapping[str, float | None]  # of its best epoch; of a trial that has not ended, among those measured so far
    epochs: int  # that it has trained
    seconds: float  # that they took
    replicates: tuple[float | None, float | None, int] | None = None  # of a finalist: mean, sd and number of its seeds

    def cells(self, metric: str, keys: Sequence[str], replicated: bool) -> list[object]:
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
            *((self.replicates or (None, None, None)) if replicated else ()),
        ]


def headings(metric: str, keys: Sequence[str], replicated: bool) -> list[str]:
    """Behind the parameters what decides between equals, and what a trial has cost; at the end what other seeds say."""
    ties = [] if metric == "val_loss" else ["val_loss"]
    return [*COLUMNS, metric, *keys, *ties, "epochs", "seconds", *(of_seeds(metric) if replicated else ())]


def of_seeds(metric: str) -> tuple[str, str, str]:
    """The columns of finalists: the mean and standard deviation of their replicates, and how many these are."""
    return f"mean_{metric}", f"sd_{metric}", "seeds"


def write(path: Path, rows: Sequence[Row], metric: str, keys: Sequence[str]) -> None:
    """Writes trials, best first, as CSV; lists, booleans and null as Hydra reads them, so that a cell can be pasted."""
    text = io.StringIO()
    writer, replicated = csv.writer(text), any(row.replicates for row in rows)
    writer.writerow(headings(metric, keys, replicated))
    for row in rows:
        cells = row.cells(metric, keys, replicated)
        writer.writerow([to_text(cell) if isinstance(cell, bool | list) else cell for cell in cells])
    write_atomically(path, [text.getvalue().encode()])


def table(rows: Sequence[Row], metric: str, keys: Sequence[str], width: int) -> tuple[str, Table]:
    """The best trials for a terminal of `width` letters, with a line above: keys without their group where that is
    clear, what is the same in all rows said once, and the last columns left out where there is no room for them."""
    replicated = any(row.replicates for row in rows)
    names = layout.shortened(headings(metric, keys, replicated))
    best = [row.cells(metric, keys, replicated) for row in rows[:BEST]]
    texts = [[_text(*pair, metric) for pair in zip(names, cells, strict=True)] for cells in best]
    columns: list[layout.Column] = list(zip(names, zip(*texts, strict=True), strict=True))
    if replicated:  # it decides: it stands beside the metric, where it is seen on the narrowest terminal
        behind = names.index(metric) + 1
        columns = [*columns[:behind], *columns[-3:], *columns[behind:-3]]
    title = f"the best {len(texts)} of {len(rows)} trials"
    shown, same = layout.split_same(columns, kept=["trial", metric])  # that all are equal is worth seeing
    if said := [f"{name} {cell}" for name, cell in same.items() if cell]:
        title += f", all with {', '.join(said)}"
    left_out: list[str] = []
    while layout.total_width(fitted := layout.fitted(shown, width, LONGEST_HEADING)) > width and len(shown) > 2:
        left_out.insert(0, shown.pop()[0])
    title += f"; leaderboard.csv also has {', '.join(left_out)}" if left_out else ""
    result = Table(show_edge=False, pad_edge=False)
    for name, _ in fitted:
        result.add_column(name, justify="right", no_wrap=True)
    for cells in zip(*(cells for _, cells in fitted), strict=True):
        result.add_row(*map(Text, cells))  # no markup read into them
    return title, result


def _text(name: str, cell: Any, metric: str) -> str:
    if name in (metric, *of_seeds(metric)[:2]) or cell is None:
        return number(cell)
    return f"{cell:.1f}" if name == "seconds" else short(cell)
