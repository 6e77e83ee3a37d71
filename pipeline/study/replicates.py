"""Replicates: a trial trained again with other seeds, to learn how far its result is chance.

A seed decides the initial weights, the order of the data and their split. All trials that are compared get the same
seeds, so that they compare in pairs, and train as one cohort. Their own result is not among their replicates': it was
chosen for being good, and is so by chance in part.
"""

import itertools
import json
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.records import Trial
from pipeline.search.plan import START_FROM, Plan
from pipeline.search.unused import refining, searched_again
from pipeline.study.interruption import Stop
from pipeline.study.ranking import ranked
from pipeline.study.standing import SEED
from pipeline.tracking.subscriber import StageBegan
from pipeline.workers.executor import Executor

if TYPE_CHECKING:
    from pipeline.study.study import Study


def seeds(seed: int, n: int) -> list[int]:
    """n seeds that follow from a sweep's own; fewer are the first of more."""
    drawn = (random.Random(f"{seed}/replicate/{i}").randrange(10**6) for i in itertools.count())
    chosen: dict[int, None] = {}
    while len(chosen) < n:
        chosen[next(drawn)] = None
    return list(chosen)


def train(study: "Study", of: Sequence[Trial], n: int, title: str, executor: Executor, stop: Stop) -> list[Trial]:
    """The replicates of trials with n seeds each, trained; those that the ledger lacks are asked there first. Some have
    not ended if `stop` is requested."""
    ledger = study.ledger
    wanted = [(trial, seed) for trial in of for seed in seeds(study.config.seed, n)]
    known = {(t.replicate_of, t.params[SEED]) for t in ledger.trials.values() if t.replicate_of is not None}
    new = [(trial, seed) for trial, seed in wanted if (trial.number, seed) not in known]
    ledger.ask(
        Trial(number, trial.stage, trial.arm, {**trial.params, SEED: seed}, replicate_of=trial.number)
        for number, (trial, seed) in enumerate(new, start=len(ledger.trials))
    )
    numbers = {(t.replicate_of, t.params[SEED]): t.number for t in ledger.trials.values() if t.replicate_of is not None}
    chosen = [numbers[trial.number, seed] for trial, seed in wanted]
    ended = sum(ledger.trials[number].status is not None for number in chosen)
    title += f", {ended} already ended" if ended else ""
    study.train(chosen, StageBegan(of[0].stage, title, len(chosen), ended), executor, stop)
    return [ledger.trials[number] for number in chosen]


def replicate_finalists(study: "Study", executor: Executor, stop: Stop) -> None:
    """Trains the best trials of the whole sweep again, as sweep.replicates and sweep.finalists say."""
    sweep, ledger, n = study.config.sweep, study.ledger, study.config.sweep.replicates
    completed = [trial for trial in ranked(ledger.sampled, study.objective) if trial.status == "completed"]
    best = _different(study.plan, completed)[: sweep.finalists] if n else []
    ledger.note_finalists([trial.number for trial in best], seeds(study.config.seed, n) if n else [])
    if n and best:
        kind = "trials" if best == completed[: len(best)] else "configurations"
        which = f"the best {len(best)} {kind}, each" if len(best) > 1 else f"trial {best[0].number}"
        title = f"replicates: {which} with {n} other seeds (of weights, order and split of data)"
        train(study, best, n, title, executor, stop)


def _different(plan: Plan, trials: Sequence[Trial]) -> list[Trial]:
    """The first of those that seeds alone tell apart: with the same other seeds they would train the same."""
    epochs = {stage.name: plan.epochs(stage) for stage in plan.stages}
    first: dict[str, Trial] = {}
    for trial in trials:
        values = {key: value for key, value in trial.params.items() if key not in (SEED, START_FROM)}
        first.setdefault(json.dumps([epochs[trial.stage], values], sort_keys=True, default=str), trial)
    return list(first.values())


def to_come(plan: Plan) -> list[tuple[str, int, int]]:
    """What a plan says of replicates: a line, how many trials they are at most, and the epochs of each."""
    sweep, rows = plan.config.sweep, []
    if n := sweep.stop_seeds:
        for before, stage in refining(plan):
            if searched_again(plan, before, stage):
                line = f"before stage {stage.name}: the best trial with {n} other seeds, to see if it is worth it"
                rows.append((line, n, plan.epochs(before)))
    if n := sweep.replicates:
        last = plan.stages[-1]
        best = min(sweep.finalists, sum(stage.n_trials for stage in plan.stages))
        which = (
            f"the best {best:,} trials with {n} other seeds each"
            if best > 1
            else f"the best trial with {n} other seeds"
        )
        rows.append((f"replicates: {which}", n * best, plan.epochs(last)))
    return rows
