"""A finished sweep as an experiment sees it, and what its figure becomes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.errors import InputError
from pipeline.search.space import Interval, Space
from pipeline.tracking.curves import Diagnoses

RATE, SEED = "optimizer.learning_rate", "seed"
NOT_SHOWN = ": the claim does not show on this data"
Predict = Callable[[int, np.ndarray], np.ndarray]  # a trial's number, inputs -> probabilities [n, C], or costs [n, 1]


@dataclass(frozen=True)
class Trial:
    """params: what was crossed or drawn, by full key. metrics: of the best epoch; none of a trial that diverged.
    epochs: an event each, as in events.jsonl. diagnoses: what train.diagnostics recorded."""

    number: int
    stage: str
    params: dict[str, Any]
    status: str
    metrics: dict[str, float]
    best_epoch: int
    epochs: list[dict[str, Any]]
    diagnoses: Diagnoses = field(default_factory=dict)

    def score(self, metric: str) -> float:
        """Of the best epoch; NaN if the trial has none."""
        return self.metrics.get(metric, float("nan")) if self.status in ("completed", "pruned") else float("nan")


@dataclass(frozen=True)
class Results:
    """config, space: of the first arm, the config resolved. predict: asks a trial's best model; trials without one
    raise InputError."""

    trials: list[Trial]
    config: dict[str, Any]
    space: Space
    predict: Predict = field(repr=False)

    def by(self, key: str) -> Iterator[tuple[Any, list[Trial]]]:
        """The trials of each value of `key`, in order of first appearance."""
        for value in dict.fromkeys(trial.params[key] for trial in self.trials):
            yield value, [trial for trial in self.trials if trial.params[key] == value]

    def completed(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.status == "completed"]

    def needs(self, key: str, values: Iterable[Any]) -> None:
        """Raises InputError unless some trial has each of `values` of `key`."""
        found = dict.fromkeys(trial.params[key] for trial in self.trials)
        missing = [repr(value) for value in values if value not in found]
        if missing:
            raise InputError(f"{key}={','.join(map(str, found))} lacks {' and '.join(missing)}, to be compared with.")

    def needs_diagnostics(self) -> None:
        """Raises InputError unless trials recorded what their layers did."""
        if not any(trial.diagnoses for trial in self.trials):
            raise InputError("train.diagnostics=false: it draws what train.diagnostics=true records.")

    def intervals(self, n: int) -> dict[str, Interval]:
        """The searched ranges. Raises InputError unless they are `n`, each with a scale, and nothing but seeds is
        compared beside them."""
        for key in dict.fromkeys(key for trial in self.trials for key in trial.params):
            if key not in self.space and key != SEED:
                raise InputError(
                    f"{key} has a list of values: give one value, or a range: tag(log, interval(low, high))."
                )
        found = {key: dist for key, dist in self.space.items() if isinstance(dist, Interval) and dist.low < dist.high}
        for key in self.space:
            if key not in found:
                raise InputError(
                    f"{key}={self.space[key]} has no scale: give a range, as in tag(log, interval(low, high))."
                )
        if len(found) != n:
            raise InputError(
                f"searched: {', '.join(found) or 'nothing'}. It must be {n} range{'s' * (n > 1)}: pin the others."
            )
        return found


Drawing = tuple[Figure, str]  # the figure, and the finding in a sentence


def judged(text: str, shows: bool) -> str:
    """A finding's last sentence: what was measured, and whether the claim shows in it."""
    return f"{text}{'' if shows else NOT_SHOWN}."


def axis_name(key: str) -> str:
    """What an axis calls a parameter: `optimizer.learning_rate` is its learning rate."""
    return key.rsplit(".", 1)[-1].replace("_", " ")


def save(drawing: Drawing, title: str, path: Path) -> None:
    """Writes the figure with its title above and its finding below, as PNG."""
    figure, finding = drawing
    figure.suptitle(title)
    # Twelve letters of this size an inch.
    figure.supxlabel(fill(finding, int(12 * figure.get_figwidth())), fontsize=10, x=0.02, ha="left")
    figure.savefig(path, dpi=110)
