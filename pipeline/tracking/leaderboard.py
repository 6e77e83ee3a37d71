"""The result of a sweep as a table: leaderboard.csv and what the terminal shows.

keys: of the parameters, a column each; metric: the sweep's.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from pipeline.jsonl import write_atomically
from pipeline.overrides import to_text
from pipeline.records import SCORED, Trial
from pipeline.tracking.display import number, short

COLUMNS = ["trial", "status", "stage"]  # before the metric
BEST = 10  # trials that the terminal shows


def write(path: Path, trials: Sequence[Trial], metric: str, keys: Sequence[str]) -> None:
    """Writes `trials`, best first, as CSV; lists and booleans as Hydra reads them, so that a cell can be pasted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, metric, *keys])
    for trial in trials:
        cells = [*_facts(trial), _score(trial, metric), *(trial.params.get(key) for key in keys)]
        writer.writerow([to_text(cell) if isinstance(cell, bool | list) else cell for cell in cells])
    write_atomically(path, [text.getvalue().encode()])


def table(trials: Sequence[Trial], metric: str, keys: Sequence[str]) -> Table:
    """The best of `trials` for the terminal, keys without their group where that is clear."""
    columns = [*COLUMNS, metric, *keys]
    shortened = [column.rsplit(".", 1)[-1] for column in columns]
    result = Table(title=f"the best {min(BEST, len(trials))} of {len(trials)} trials", title_justify="left")
    for column, name in zip(columns, shortened, strict=True):
        result.add_column(name if shortened.count(name) == 1 else column, justify="right")
    for trial in trials[:BEST]:
        params = (short(trial.params.get(key, "")) for key in keys)
        result.add_row(*map(short, _facts(trial)), number(_score(trial, metric)), *params)
    return result


def _facts(trial: Trial) -> list[object]:
    return [trial.number, trial.shown_status, trial.stage]


def _score(trial: Trial, metric: str) -> float | None:
    return trial.metrics.get(metric) if trial.status in SCORED else None
