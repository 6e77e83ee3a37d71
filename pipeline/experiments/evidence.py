"""How sure a finding is: an effect of each seed, the interval of their mean, and the rule that judges it.

The rule (`experiment.rule`, `experiment.above`) stands in the YAML before its seeds are run. `experiment.seeds` find
whether the claim shows; `experiment.confirm_seeds`, others, confirm that or don't.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import stdtrit

from pipeline.errors import InputError
from pipeline.schema import Experiment
from pipeline.search.samplers.sampler import Search
from pipeline.study.finished import Results

Condition = TypeVar("Condition")
NOT_SHOWN = "the claim does not show"


@dataclass(frozen=True)
class Estimate:
    """The mean of `n` values and its 95 % interval by Student's t; without a finite value all are NaN, and of one
    value the interval has no end."""

    mean: float
    low: float
    high: float
    n: int

    def text(self, form: str = "{:.2f}") -> str:
        if self.n == 1:
            return f"{form.format(self.mean)} (one seed)"
        return f"{form.format(self.mean)} ({form.format(self.low)} to {form.format(self.high)})"


def estimate(values: Iterable[float]) -> Estimate:
    """Of the finite values: a seed whose trials have all diverged has none."""
    finite = np.array([value for value in values if math.isfinite(value)])
    n = len(finite)
    if n < 2:
        mean = float(finite[0]) if n else math.nan
        return Estimate(mean, -math.inf if n else math.nan, math.inf if n else math.nan, n)
    mean, half = float(finite.mean()), float(stdtrit(n - 1, 0.975) * finite.std(ddof=1) / math.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def whole(total: int, search: Search, keys: str) -> int:
    """How many trials the searches of an experiment take together. Raises InputError if the sweep is to have fewer."""
    if search.n_trials is not None and total > search.n_trials:
        raise InputError(
            f"sweep.n_trials={search.n_trials} must be null or {total}: the searches that are compared take so many. "
            f"Fewer {keys} in sweep.sampler, or fewer seeds, take less."
        )
    return total


def lower_by(ours: float, theirs: float) -> float:
    """By which share of theirs a loss is lower; where it is higher, minus the share of ours by which theirs is. So a
    search that does much worse once counts as much as one that does much better."""
    if not (math.isfinite(ours) and math.isfinite(theirs)):
        return float(math.isfinite(ours)) - float(math.isfinite(theirs))
    return 1 - ours / theirs if ours < theirs else theirs / ours - 1


def effects(results: Results, of: Callable[[Results], float]) -> dict[int, float]:
    """A measure of the trials of each seed."""
    return {seed: of(trials) for seed, trials in results.by_seed().items()}


def verdict(
    text: str, of_seeds: Mapping[int, float], results: Results, form: str = "{:.2f}", missing: str = NOT_SHOWN
) -> str:
    """A finding's last sentences: `text`, where {} stands for the effect with its interval, whether the claim shows in
    it, and whether the seeds that confirm say the same.

    It shows where the whole interval lies above `experiment.above`; otherwise the sentence ends with `missing`.
    """
    experiment = results.config.experiment or Experiment()
    others = set(experiment.confirm_seeds)
    first = estimate(effect for seed, effect in of_seeds.items() if seed not in others)
    second = estimate(effect for seed, effect in of_seeds.items() if seed in others)
    shows = first.low > experiment.above
    rule = f" (95%, {first.n} seeds; rule: above {form.format(experiment.above)})" if first.n > 1 else ""
    measured = text.format(first.text(form)) if first.n else "Nothing to compare"
    found = f"{measured}{rule}{'' if shows else f': {missing}'}."
    if not second.n:
        return f"{found} No other seeds confirm it."
    same = "confirmed" if (second.low > experiment.above) == shows else "not confirmed"
    return f"{found} Other seeds: {second.text(form)}, {same}."


def most(
    of_conditions: Mapping[Condition, Mapping[int, float]], results: Results
) -> tuple[Condition, Mapping[int, float]]:
    """The condition under which a claim shows most, and its effect of each seed: the one whose interval, of the seeds
    that find, has the highest lower end. As it is chosen among many, only other seeds can confirm it."""
    others = set(results.config.experiment.confirm_seeds) if results.config.experiment else set()

    def low(condition: Condition) -> float:
        found = estimate(effect for seed, effect in of_conditions[condition].items() if seed not in others)
        return found.low if found.n else -math.inf

    condition = max(of_conditions, key=low)
    return condition, of_conditions[condition]
