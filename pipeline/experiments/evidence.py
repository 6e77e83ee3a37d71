"""How sure a finding is: an effect of each seed, the interval of their mean, and the rule that judges it.

The rule (`experiment.rule`, `experiment.above`) stands in the YAML before its seeds are run. `experiment.seeds` find
whether the claim shows; `experiment.confirm_seeds`, others, confirm that or don't. A wide interval finds nothing: that
a claim does not show takes one that excludes what the rule asks for.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np
from scipy.special import stdtrit

from pipeline.errors import InputError
from pipeline.schema import Experiment
from pipeline.search.samplers.sampler import Search
from pipeline.study.finished import Results

Condition = TypeVar("Condition")
Measure = TypeVar("Measure")
Bounds = tuple[float, float]  # between which a measure lies by its nature; its interval is cut there
SHARE: Bounds = (0.0, 1.0)
UNBOUNDED: Bounds = (-math.inf, math.inf)
NOT_SHOWN, UNTOLD = "the claim does not show", "whether the claim shows{} can't be told"


class Answer(IntEnum):
    """Whether a claim shows; the higher, the more it does."""

    NONE = 0  # nothing was measured
    NO = 1  # the interval excludes an effect as large as the rule asks for
    OPEN = 2  # the interval holds such effects and smaller ones
    YES = 3  # it holds none but such


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

    def answer(self, above: float) -> Answer:
        """Whether an effect above that shows."""
        if not self.n:
            return Answer.NONE
        if self.low > above:
            return Answer.YES
        return Answer.NO if self.high <= above else Answer.OPEN


def estimate(values: Iterable[float], bounds: Bounds = UNBOUNDED) -> Estimate:
    """Of the finite values: a seed whose trials have all diverged has none."""
    finite = np.array([value for value in values if math.isfinite(value)])
    n = len(finite)
    if n < 2:
        mean = float(finite[0]) if n else math.nan
        return Estimate(mean, -math.inf if n else math.nan, math.inf if n else math.nan, n)
    mean, half = float(finite.mean()), float(stdtrit(n - 1, 0.975) * finite.std(ddof=1) / math.sqrt(n))
    return Estimate(mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]), n)


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


def effects(results: Results, of: Callable[[Results], Measure]) -> dict[int, Measure]:
    """A measure of the trials of each seed."""
    return {seed: of(trials) for seed, trials in results.by_seed().items()}


def split(of_seeds: Mapping[int, Measure], results: Results) -> tuple[Mapping[int, Measure], Mapping[int, Measure]]:
    """What is measured of each seed: of those that find, and of those that confirm."""
    confirm = set(results.config.experiment.confirm_seeds) if results.config.experiment else set()
    first = {seed: measure for seed, measure in of_seeds.items() if seed not in confirm}
    return first, {seed: measure for seed, measure in of_seeds.items() if seed in confirm}


def finding(of_seeds: Mapping[int, Measure], results: Results) -> Mapping[int, Measure]:
    """That of the seeds that find, for whatever a sentence says before the verdict; where only others were trained, as
    by seed=3,4 on the command line, that of those."""
    return split(of_seeds, results)[0] or of_seeds


def verdict(
    text: str,
    of_seeds: Mapping[int, float],
    results: Results,
    form: str = "{:.2f}",
    among: str = "",
    bounds: Bounds = UNBOUNDED,
) -> str:
    """A finding's last sentences: `text`, where {} stands for the effect with its interval, whether the claim shows in
    it, and whether the seeds that confirm say the same.

    It shows where the whole interval lies above `experiment.above`, and does not where none of it does.
    among: the conditions of which this is the one where it shows most, as in " with any number".
    """
    above = (results.config.experiment or Experiment()).above
    first, second = (estimate(effects.values(), bounds) for effects in split(of_seeds, results))
    answer = first.answer(above)
    measured = text.format(first.text(form)) if first.n else "Nothing to compare"
    rule = f" (95%, {first.n} seeds; rule: above {form.format(above)})" if first.n > 1 else ""
    end = {Answer.NO: f": {NOT_SHOWN}{among}", Answer.OPEN: f": {UNTOLD.format(among)}"}.get(answer, "")
    if not second.n:
        return f"{measured}{rule}{end}. No other seeds confirm it."
    return f"{measured}{rule}{end}. Other seeds: {second.text(form)}, {_confirmed(answer, second.answer(above))}."


def _confirmed(answer: Answer, again: Answer) -> str:
    """What the seeds that confirm say of the `answer` of those that find."""
    if answer in (Answer.NONE, Answer.OPEN):
        return "nothing to confirm"
    if answer != again:
        return "not confirmed"
    return "confirmed" if answer == Answer.YES else "where it does not show either"


def most(
    of_conditions: Mapping[Condition, Mapping[int, float]], results: Results
) -> tuple[Condition, Mapping[int, float]]:
    """The condition under which a claim shows most, and its effect of each seed: of those with the best answer, of the
    seeds that find, the one whose interval has the highest lower end. So a claim does not show only where it does not
    under any. As the condition is chosen among many, only other seeds can confirm it."""
    above = (results.config.experiment or Experiment()).above

    def shows(condition: Condition) -> tuple[Answer, float]:
        effect = estimate(split(of_conditions[condition], results)[0].values())
        return effect.answer(above), effect.low

    condition = max(of_conditions, key=shows)
    return condition, of_conditions[condition]
