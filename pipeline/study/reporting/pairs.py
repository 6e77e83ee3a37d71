"""Arms in pairs: the differences of two arms on the same points, which say more than the best of each."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from pipeline.records import SCORED, Trial
from pipeline.search.space import Choice, Interval, Space
from pipeline.tracking.report.data import Pairs

# Student's t at 97.5 % for 1, 2, ... degrees of freedom; beyond, the normal's with a correction.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def t_quantile(freedom: int) -> float:
    return _T[freedom - 1] if freedom <= len(_T) else 1.96 + 2.4 / freedom + 2.9 / freedom**2


def arms_in_pairs(trials: Sequence[Trial], spaces: Mapping[str, Sequence[Space]], metric: str, to: int) -> list[Pairs]:
    """Every arm against the arm `to`, where they were tried on the same points. spaces: by stage, of each arm."""
    arms = sorted({trial.arm for trial in trials} - {to})
    found = []
    for arm in arms:
        matched = [
            (ours, theirs)
            for stage in spaces
            for ours, theirs in _matched(trials, spaces[stage], stage, arm, to)
            if ours.status in SCORED and theirs.status in SCORED and metric in ours.metrics and metric in theirs.metrics
        ]
        if matched:
            differences = [ours.metrics[metric] - theirs.metrics[metric] for ours, theirs in matched]
            numbers = [(ours.number, theirs.number) for ours, theirs in matched]
            found.append(Pairs(arm, to, numbers, differences, fmean(differences), interval_of_mean(differences)))
    return found


def interval_of_mean(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean by Student's t; None for fewer than three values."""
    if len(values) < 3:
        return None
    half = t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def _matched(
    trials: Sequence[Trial], spaces: Sequence[Space], stage: str, arm: int, other: int
) -> list[tuple[Trial, Trial]]:
    """The trials of two arms in the order asked, as far as they are of one draw: at the same place of their ranges."""
    ours, theirs = ([t for t in trials if t.stage == stage and t.arm == a] for a in (arm, other))
    pairs = zip(ours, theirs, strict=False)
    return [pair for pair in pairs if _same_draw(*pair, spaces[arm], spaces[other])]


def _same_draw(ours: Trial, theirs: Trial, space: Space, other: Space) -> bool:
    shared = [key for key in space if key in other and key in ours.params and key in theirs.params]
    if any(key not in shared for key in (*space, *other)) and not shared:
        return False
    for key in shared:
        first, second = space[key], other[key]
        if isinstance(first, Choice) or isinstance(second, Choice):
            if repr(ours.params[key]) != repr(theirs.params[key]):
                return False
        elif abs(_share(first, ours.params[key]) - _share(second, theirs.params[key])) > _rounding(first, second):
            return False
    return True


def _share(dist: Interval, value: float) -> float:
    """The u that was drawn."""
    low, high = dist.ends()
    return (dist.coordinate(value) - low) / (high - low) if high > low else 0.0


def _rounding(*dists: Interval) -> float:
    """By how much values of one draw may lie apart: whole numbers are rounded, the small ones of a log scale most."""
    return 0.05 if any(dist.integer for dist in dists) else 1e-3
