"""At a rung of halving: who stops, and who that had stopped goes on after all."""

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.eventlog import append_event
from pipeline.records import Ended, Promoted, Trial
from pipeline.search.halving import promoted, pruned
from pipeline.search.plan import Stage

if TYPE_CHECKING:
    from pipeline.study.study import Study


def is_over(study: "Study", generation: Sequence[Trial]) -> bool:
    """Whether a later generation of the stage has begun: at the rungs of this one all is decided, and those of its
    trials that go on since do so with the later one."""
    return study.ledger.of_stage(generation[0].stage)[-1].number != generation[-1].number


def with_earlier(study: "Study", generation: Sequence[Trial]) -> list[int]:
    """The numbers of a generation and of those that go on with it: earlier trials of the stage that were promoted since
    it was asked, or have not ended. The same in a resumed sweep, whatever became of them."""
    trials = study.ledger.of_stage(generation[0].stage)
    own = {trial.number for trial in generation}
    return [
        t.number
        for t in trials
        if t.number in own or t.status is None or any(p.asked == len(trials) for p in t.promotions)
    ]


def going_on(study: "Study") -> Iterator[tuple[Stage, int]]:
    """Stages of which trials have stopped, and how many times as many as usual go on there: all of them in the end, as
    long as there is time for an epoch. Not those from whose results the region of another stage has followed; a
    sampler that has learned from them is told in a resumed sweep what it was told then."""
    stages, sweep = study.plan.stages, study.config.sweep
    if study.budget.total is None or stages[-1].fills or sweep.replicates:  # for which the time is kept
        return
    free = [stage for stage in stages if stage.name not in study.ledger.regions]
    for times in itertools.count(2):
        left = [s for s in free if any(t.status == "pruned" for t in study.ledger.of_stage(s.name))]
        if not left:
            return
        for stage in left:
            if not study.budget.room(1):
                return
            yield stage, times


def decide(study: "Study", stage: str, rung: int, times: int = 1) -> None:
    """Compares all trials of the stage that have come to the rung, of whichever generation. Those that stop keep their
    curves and weights; of those that had stopped, the ones that are now among the best go on from their state."""
    halving, ledger = study.config.sweep.halving, study.ledger
    assert halving is not None  # or there would be no rung
    trials, sampled = ledger.of_stage(stage), ledger.sampled
    # Once a later stage has begun, more are asked than the stage has: its sampler was told of no such trial.
    asked = len(trials) if sampled[-1].stage == stage else len(sampled)
    for trial in promoted(trials, rung, halving.factor, study.objective, times):
        append_event(study.trial_folder(trial), event := Promoted(time.time(), rung))
        ledger.promote(trial.number, asked)
        study.tell(trial, event)
    for trial, reason in pruned(ledger.of_stage(stage), rung, halving.factor, study.objective, times):
        end = Ended(time.time(), "pruned", reason, rung, trial.best_epoch, trial.metrics)
        append_event(study.trial_folder(trial), end)
        study.tell(trial, end)
