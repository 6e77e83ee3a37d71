"""Successive halving: which trials of a stage go on past a rung (Jamieson & Talwalkar 2016)."""

import math
from collections.abc import Sequence

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


def pruned(trials: Sequence[Trial], epoch: int, factor: int, objective: Objective) -> list[tuple[Trial, str]]:
    """Those that stop at the rung of `epoch`, worst last, with the reason.

    Compared are the best results so far of all that came to this rung and of those that ended before it by
    themselves, which hold their places; the best 1/factor of them, at least one, go on. Those pruned here or later
    hold theirs too: a resumed sweep asks at every rung again, and nobody who went on may stop at one that is decided.
    """
    here = [t for t in trials if t.status == "completed" or (t.status in (None, "pruned") and t.reached >= epoch)]
    ranked = sorted(here, key=lambda t: (objective.score(t.metrics), -t.number), reverse=True)
    keep = max(1, math.ceil(len(ranked) / factor))
    return [
        (trial, f"pruned after {epoch} epochs: place {place} of {len(ranked)}, the best {keep} went on")
        for place, trial in enumerate(ranked[keep:], start=keep + 1)
        if trial.status is None and trial.reached == epoch
    ]
