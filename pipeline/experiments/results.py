"""A finished sweep as an experiment sees it, and what its figure becomes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.sweep.space import Space
from pipeline.tracking.curves import Diagnoses

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


Drawing = tuple[Figure, str]  # the figure, and the finding in a sentence


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
