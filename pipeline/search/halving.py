"""Successive halving: which trials of a stage go on past a rung (Jamieson & Talwalkar 2016).

Every decision follows from what the ledger has: the trials in the order in which they were asked, and what each had
come to at each rung. A resumed sweep that decides again at its last rung decides the same.
"""

import math
from collections.abc import Sequence

from pipeline.layout import counted
from pipeline.objective import Objective
from pipeline.records import Trial
from pipeline.schema import Halving


def rungs(halving: Halving | None, epochs: int) -> list[int]:
    """The epochs before the last at which trials are compared: min_epochs, min_epochs * factor and so on; none without
    min_epochs."""
    if not halving or halving.min_epochs is None:
        return []
    result, epoch = [], halving.min_epochs
    while epoch < epochs:
        result.append(epoch)
        epoch *= halving.factor
    return result


def pruned(
    trials: Sequence[Trial], epoch: int, factor: int, objective: Objective, times: int = 1
) -> list[tuple[Trial, str]]:
    """Those that stop at the rung of `epoch`, worst last, with the reason.

    Compared are the best results that all had who came to this rung, whatever became of them since, and of those that
    ended before it by themselves, which hold their places; the best 1/factor of them, at least one, go on. A resumed
    sweep asks at the rung again, and nobody who went on may stop at one that is decided.
    times: as many as that go on, where there is time for more.
    """
    ranked, keep = _ranked(trials, epoch, factor, objective, times)
    return [
        (trial, f"pruned after {counted(epoch, 'epoch')}: place {place} of {len(ranked)}, the best {keep} went on")
        for place, trial in enumerate(ranked[keep:], start=keep + 1)
        if trial.status is None and trial.reached == epoch and not any(p.epoch == epoch for p in trial.promotions)
    ]


def promoted(trials: Sequence[Trial], epoch: int, factor: int, objective: Objective, times: int = 1) -> list[Trial]:
    """Those that had stopped at the rung of `epoch` and go on after all, best first: of more trials than came to it by
    then they are among the best 1/factor, as in asynchronous halving (Li et al. 2020)."""
    ranked, keep = _ranked(trials, epoch, factor, objective, times)
    return [trial for trial in ranked[:keep] if trial.status == "pruned" and trial.reached == epoch]


def _ranked(
    trials: Sequence[Trial], epoch: int, factor: int, objective: Objective, times: int
) -> tuple[list[Trial], int]:
    """Who is compared at a rung, best first, and how many of them go on."""
    here = [
        t
        for t in trials
        if t.status == "completed" or (t.reached >= epoch and (t.status in (None, "pruned") or epoch in t.rungs))
    ]
    key = {t.number: (objective.score(t.rungs.get(epoch, t.metrics)), -t.number) for t in here}
    ranked = sorted(here, key=lambda t: key[t.number], reverse=True)
    return ranked, min(len(ranked), times * max(1, math.ceil(len(ranked) / factor)))
