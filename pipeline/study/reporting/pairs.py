"""Arms in pairs: what one made of the points that another was tried on, too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.objective import Objective
from pipeline.records import Trial
from pipeline.search.space import Choice, Interval, Space
from pipeline.study.arms import Curve, compared, label, values_of
from pipeline.tracking.report.data import Pairs


def arms_in_pairs(
    trials: Sequence[Trial], spaces: Mapping[str, Sequence[Space]], best: Trial, objective: Objective, curve: Curve
) -> list[Pairs]:
    """Every two arms, those of the winner's first. spaces: by stage, of each arm; curve: the epochs of a trial."""
    if all(trial.pair is None for trial in trials):
        trials = _with_pairs(trials, spaces)
    labels = _labels(trials, spaces)
    by_number = {trial.number: trial for trial in trials}
    rows = compared(trials, labels, objective, curve) if len(set(labels)) > 1 else []
    rows.sort(key=lambda row: labels[best.arm] not in (row.arm, row.against))
    result = []
    for row in rows:
        pairs = [(by_number[a], by_number[b]) for a, b in row.trials]
        values = [values_of(*pair, objective, curve) for pair in pairs]
        differences = [both[0] - both[1] for both in values if both]
        of = row.difference
        interval = (of.low, of.high) if of else None
        mean = of.mean if of else None
        result.append(Pairs(row.arm, row.against, row.trials, differences, mean, interval, row.lost))
    return result


def _labels(trials: Sequence[Trial], spaces: Mapping[str, Sequence[Space]]) -> list[str]:
    """How each arm is called among those that it is compared with: by what its trials have in common."""
    labels = []
    for arm in range(max((trial.arm for trial in trials), default=-1) + 1):
        first = next((trial for trial in trials if trial.arm == arm), None)
        searched = {key for of_stage in spaces.values() for space in of_stage for key in space}
        crossed = {key: value for key, value in first.params.items() if key not in searched} if first else {}
        labels.append(label(crossed))
    return labels


def _with_pairs(trials: Sequence[Trial], spaces: Mapping[str, Sequence[Space]]) -> list[Trial]:
    """Of a version that did not note which trials are of one point: those that arms were asked for in turn, as far as
    they are at the same place of their ranges."""
    result = {trial.number: trial for trial in trials}
    for stage, of_stage in spaces.items():
        asked = [[t for t in trials if t.stage == stage and t.arm == arm] for arm in range(len(of_stage))]
        for pair, group in enumerate(zip(*asked, strict=False)):
            first = group[0]
            if all(_same_draw(first, trial, of_stage[first.arm], of_stage[trial.arm]) for trial in group[1:]):
                result |= {trial.number: replace(trial, pair=pair) for trial in group}
    return list(result.values())


def _same_draw(ours: Trial, theirs: Trial, space: Space, other: Space) -> bool:
    shared = [key for key in space if key in other and key in ours.params and key in theirs.params]
    for key in shared:
        first, second = space[key], other[key]
        if isinstance(first, Choice) or isinstance(second, Choice):
            if repr(ours.params[key]) != repr(theirs.params[key]):
                return False
        elif abs(_share(first, ours.params[key]) - _share(second, theirs.params[key])) > _rounding(first, second):
            return False
    return bool(shared)


def _share(dist: Interval, value: float) -> float:
    """The u that was drawn."""
    low, high = dist.ends()
    return (dist.coordinate(value) - low) / (high - low) if high > low else 0.0


def _rounding(*dists: Interval) -> float:
    """By how much values of one draw may lie apart: whole numbers are rounded, the small ones of a log scale most."""
    return 0.05 if any(dist.integer for dist in dists) else 1e-3
