"""When a search from coarse to fine is not worth another stage: what that may gain is less than what seeds alone do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev


@dataclass(frozen=True)
class Decision:
    """Whether the search goes on after a stage, and why."""

    trial: int  # the best so far
    replicates: Sequence[int]  # the trials that are its other fits
    gain: float | None  # of the metric, that the next stage is expected to make; None: nobody knows
    noise: float | None  # of the metric: the standard deviation of the replicates; None: too few completed
    stops: bool


def expected_best(scores: Sequence[float], n: int) -> float | None:
    """The best score that n further draws are expected to have, if they are normally distributed as `scores` are.

    It is mean + sd * E(n), where E(n) = Phi^-1((n - 0.375) / (n + 0.25)) is what the largest of n standard normal
    numbers is expected to be (Blom 1958; within 0.03 of it for every n). None with fewer than two scores.
    """
    if len(scores) < 2 or n < 1:
        return None
    return fmean(scores) + stdev(scores) * NormalDist().inv_cdf((n - 0.375) / (n + 0.25))


def gain_of_epochs(curves: Sequence[Sequence[float]], epochs: int, longer: int) -> float:
    """What training for `longer` instead of `epochs` epochs is expected to add to the best score of a trial.

    What the last epochs have added that were as many times more: with 10 epochs instead of 5, what the epochs from 2.5
    on added to the best before. Where a curve nears its end by a power of the epoch (a family of Domhan et al. 2015)
    each doubling adds less than the one before, and the guess is too high: the search rather goes on than stops early.

    curves: of the survivors, their scores by epoch; minus infinity where there is none.
    """
    if longer <= epochs:
        return 0.0
    before = max(1, epochs * epochs // longer)
    gains = [max(curve) - max(curve[:before]) for curve in curves if curve and math.isfinite(max(curve[:before]))]
    return fmean(gains) if gains else 0.0


def expected_gain(arms: Sequence[tuple[Sequence[float], float]], best: float, n: int) -> float | None:
    """How much better than `best` the next stage's best trial is expected to be: that of the most promising arm, and
    not less than nothing. None if that can't be told of any.

    arms: of each the scores of its survivors, around which the next stage looks, and what more epochs add to them.
    n: trials of the next stage in each.
    """
    known = [at + longer for scores, longer in arms if (at := expected_best(scores, n)) is not None]
    return max(0.0, max(known) - best) if known else None


def noise(scores: Sequence[float]) -> float | None:
    """What seeds alone do: the standard deviation of the scores of one configuration with different seeds, from which
    its weights, the order of its data and their split follow. None with fewer than two."""
    return stdev(scores) if len(scores) > 1 else None
