"""A finished sweep as the function that draws its experiment sees it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.eventlog import Diagnoses
from pipeline.records import SCORED, EpochEnded, Trial
from pipeline.schema import Config
from pipeline.search.space import Interval, Space

SEED = "seed"
Predict = Callable[[int, np.ndarray], np.ndarray]  # a trial's number, inputs -> probabilities [n, C], or costs [n, 1]


@dataclass(frozen=True)
class FinishedTrial(Trial):
    epochs: Sequence[EpochEnded] = ()
    diagnoses: Diagnoses = field(default_factory=dict)  # what train.diagnostics recorded

    def score(self, metric: str) -> float:
        """Of the best epoch; NaN if the trial has none."""
        return self.metrics.get(metric, float("nan")) if self.status in SCORED else float("nan")


@dataclass(frozen=True)
class Results:
    trials: list[FinishedTrial]
    config: Config  # of the first arm
    space: Space  # of the first arm
    # Asks a trial's best model; trials without one raise InputError.
    predict: Predict = field(repr=False)

    def by(self, key: str) -> Iterator[tuple[Any, list[FinishedTrial]]]:
        """The trials of each value of `key`, in order of first appearance."""
        for value in dict.fromkeys(trial.params[key] for trial in self.trials):
            yield value, [trial for trial in self.trials if trial.params[key] == value]

    def by_seed(self) -> dict[int, "Results"]:
        """The trials of each seed; those of a sweep that has one by themselves."""
        if not any(SEED in trial.params for trial in self.trials):
            return {self.config.seed: self}
        return {seed: replace(self, trials=trials) for seed, trials in self.by(SEED)}

    def completed(self) -> list[FinishedTrial]:
        return [trial for trial in self.trials if trial.status == "completed"]

    def needs(self, key: str, values: Iterable[Any]) -> None:
        """Raises InputError unless some trial has each of `values` of `key`."""
        tried = dict.fromkeys(trial.params[key] for trial in self.trials)
        missing = [repr(value) for value in values if value not in tried]
        if missing:
            raise InputError(f"{key}={','.join(map(str, tried))} lacks {' and '.join(missing)}, to be compared with.")

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
        ranges = {key: dist for key, dist in self.space.items() if isinstance(dist, Interval) and dist.low < dist.high}
        for key in self.space:
            if key not in ranges:
                raise InputError(
                    f"{key}={self.space[key]} has no scale: give a range, as in tag(log, interval(low, high))."
                )
        if len(ranges) != n:
            raise InputError(
                f"searched: {', '.join(ranges) or 'nothing'}. It must be {n} range{'s' * (n > 1)}: pin the others."
            )
        return ranges
