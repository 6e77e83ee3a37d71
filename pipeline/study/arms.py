"""Arms of a sweep against each other, point by point: a difference on the same points says more than the best of each.

Arms that differ in their seeds alone repeat a comparison on other points, so they count as one.
"""

import csv
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.eventlog import epochs_of
from pipeline.events import Measures
from pipeline.jsonl import write_atomically
from pipeline.objective import Objective
from pipeline.overrides import to_text
from pipeline.records import SCORED, EpochEnded, Trial
from pipeline.search.space import Params
from pipeline.study.differences import Difference, paired
from pipeline.study.standing import SEED
from pipeline.tracking.display import print_line
from pipeline.tracking.recorder import Recorder

if TYPE_CHECKING:
    from pipeline.study.study import Study

MOST_LINES = 5  # on the terminal; arms.csv has all
Curve = Callable[[Trial], Sequence[EpochEnded]]


@dataclass(frozen=True)
class ArmsCompared:
    """Two arms on the same points."""

    arm: str
    against: str
    trials: tuple[tuple[int, int], ...]  # numbers of those that were compared, of either arm
    lost: int  # points that say nothing, for a trial of one of them diverged, failed or has not ended
    best: tuple[float | None, float | None]  # the metric, of either arm on all of its points
    difference: Difference | None  # of the metric, `arm` minus `against`; None: fewer than two pairs

    def swapped(self) -> "ArmsCompared":
        trials, best = tuple((b, a) for a, b in self.trials), (self.best[1], self.best[0])
        difference = None if self.difference is None else self.difference.swapped()
        return ArmsCompared(self.against, self.arm, trials, self.lost, best, difference)


def label(crossed: Params) -> str:
    """How an arm is called among those that it is compared with."""
    return ", ".join(f"{key}={to_text(value)}" for key, value in crossed.items() if key != SEED)


def compared(trials: Sequence[Trial], labels: Sequence[str], objective: Objective, curve: Curve) -> list[ArmsCompared]:
    """Every two arms, the better on the average first. labels: of the arms, by place; curve: the epochs of a trial."""
    names = list(dict.fromkeys(labels))
    at: dict[str, dict[tuple[str, int], Trial]] = {name: {} for name in names}
    for trial in trials:
        if trial.pair is not None:
            at[labels[trial.arm]][trial.stage, trial.pair] = trial
    best = {name: _best([t for t in trials if labels[t.arm] == name], objective) for name in names}
    result = []
    for first, second in itertools.combinations(names, 2):
        pairs = [(at[first][point], at[second][point]) for point in at[first] if point in at[second]]
        values = {(a.number, b.number): both for a, b in pairs if (both := values_of(a, b, objective, curve))}
        difference = paired(*zip(*values.values(), strict=True)) if values else None
        result.append(
            ArmsCompared(
                first, second, tuple(values), len(pairs) - len(values), (best[first], best[second]), difference
            )
        )
    return [row.swapped() if _is_worse(row, objective) else row for row in result]


def _is_worse(row: ArmsCompared, objective: Objective) -> bool:
    if row.difference is None:
        return False
    return row.difference.mean > 0 if objective.direction == "minimize" else row.difference.mean < 0


def values_of(first: Trial, second: Trial, objective: Objective, curve: Curve) -> tuple[float, float] | None:
    """The metric of both; of one that was pruned, and its partner, after the epochs that both have trained. None if one
    has no result that counts."""
    if any(trial.status not in SCORED for trial in (first, second)):
        return None
    metrics: list[Measures] = [first.metrics, second.metrics]
    if "pruned" in (first.status, second.status):
        curves = [curve(first), curve(second)]
        n = min(map(len, curves))
        if not n:
            return None
        metrics = [max((epoch.metrics for epoch in epochs[:n]), key=objective.score) for epochs in curves]
    values = [of.get(objective.metric) for of in metrics]
    return (values[0], values[1]) if values[0] is not None and values[1] is not None else None


def _best(trials: Sequence[Trial], objective: Objective) -> float | None:
    completed = [trial.metrics for trial in trials if trial.status == "completed"]
    return max(completed, key=objective.score)[objective.metric] if completed else None


def write(path: Path, rows: Sequence[ArmsCompared], metric: str) -> None:
    """A line for every two arms."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        ["arm", "against", "pairs", "lost", f"mean_difference_{metric}", "low", "high", "best", "best_against"]
    )
    for row in rows:
        of = row.difference
        cells = (of.mean, of.low, of.high) if of else (None, None, None)
        writer.writerow([row.arm, row.against, len(row.trials), row.lost, *cells, *row.best])
    write_atomically(path, [text.getvalue().encode()])


def lines(rows: Sequence[ArmsCompared], winner: str, metric: str) -> Iterator[str]:
    """What the terminal says of the winner's arm against the others."""
    own = [row for row in rows if winner in (row.arm, row.against)]
    for row in own[:MOST_LINES]:
        lost = f", {row.lost} without a result of both" if row.lost else ""
        if row.difference is None:
            yield f"arms:     {row.arm} against {row.against}: too few points in common{lost}"
            continue
        yield f"arms:     {row.arm} against {row.against}, {len(row.trials)} points{lost}:"
        apart = "" if row.difference.tells else "; it can't be told apart"
        yield f"          {metric} {row.difference}{apart}"
    if len(own) > MOST_LINES or len(rows) > len(own):
        yield f"          arms.csv has all {len(rows)} comparisons"


def conclude_arms(study: "Study", winner: Trial, recorder: Recorder) -> None:
    """Writes arms.csv and prints what it says of the winner's arm, if there is another one."""
    labels = [label(arm.crossed) for arm in study.plan.arms]
    if len(set(labels)) < 2:
        return
    metric, path = study.objective.metric, study.folder / "arms.csv"
    rows = compared(study.ledger.sampled, labels, study.objective, lambda trial: epochs_of(study.trial_folder(trial)))
    write(path, rows, metric)
    recorder.artifact(None, path)
    for line in lines(rows, labels[winner.arm], metric):
        print_line(line)
