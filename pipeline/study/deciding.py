"""Whether a search goes on after a stage: sweep.stop_seeds asks for it, pipeline.search.stopping has the rule."""

import math
from typing import TYPE_CHECKING

from pipeline.eventlog import epochs_of
from pipeline.records import Trial
from pipeline.search.refine import survivors
from pipeline.search.stopping import Decision, expected_gain, gain_of_epochs, noise
from pipeline.search.unused import searched_again
from pipeline.study import replicates
from pipeline.study.interruption import Stop
from pipeline.tracking.display import number, print_line
from pipeline.workers.executor import Executor

if TYPE_CHECKING:
    from pipeline.study.study import Study


def is_worth_it(study: "Study", index: int, ranked: list[Trial], executor: Executor, stop: Stop) -> bool | None:
    """Whether the stage at a place is worth its trials; says so in a line. ranked: the trials whose best it would look
    around. A stage that was begun goes on, and so does one that frees what was not searched yet, of which the stages
    before say nothing.

    Trains replicates of the best trial; None if `stop` is requested meanwhile, or the budget leaves some unfinished.
    """
    plan, ledger, n = study.plan, study.ledger, study.config.sweep.stop_seeds
    before, stage = plan.stages[index - 1], plan.stages[index]
    best = next((trial for trial in ranked if trial.status == "completed"), None)
    if n is None or best is None or ledger.of_stage(stage.name):
        return True
    if not searched_again(plan, before, stage):
        return True
    decision = ledger.decisions.get(before.name)
    if decision is None:
        title = (
            f"noise: trial {best.number}, the best so far, with {n} other seeds: of its weights, data order and split"
        )
        trained = replicates.train(study, [best], n, title, executor, stop)
        if stop.requested or any(trial.status is None for trial in trained):
            return None
        decision = _decide(study, index, ranked, best, trained)
        ledger.note_decision(before.name, decision)
    print_line(_line(study, index, decision), "bold" if decision.stops else None)
    return not decision.stops


def _decide(study: "Study", index: int, ranked: list[Trial], best: Trial, trained: list[Trial]) -> Decision:
    plan, keep = study.plan, study.config.sweep.keep
    assert keep is not None  # make_plan has seen to it

    def score(trial: Trial) -> float:
        return study.objective.score(trial.metrics)[0]

    epochs = [plan.epochs(stage) for stage in plan.stages[index - 1 : index + 1]]
    arms = []
    for arm in range(len(plan.arms)):
        best_of_arm = survivors([trial for trial in ranked if trial.arm == arm], keep)
        curves = [
            [study.objective.score(epoch.metrics)[0] for epoch in epochs_of(study.trial_folder(trial))]
            for trial in best_of_arm
        ]
        arms.append(([*filter(math.isfinite, map(score, best_of_arm))], gain_of_epochs(curves, *epochs)))
    gain = expected_gain(arms, score(best), math.ceil(plan.stages[index].n_trials / len(plan.arms)))
    by_chance = noise([score(trial) for trial in trained if trial.status == "completed"])
    stops = gain is not None and by_chance is not None and gain <= by_chance
    return Decision(best.number, [trial.number for trial in trained], gain, by_chance, stops)


def _line(study: "Study", index: int, decision: Decision) -> str:
    name, metric = study.plan.stages[index].name, study.objective.metric
    if decision.gain is None or decision.noise is None:
        lacks = "fewer than two replicates completed" if decision.noise is None else "too few trials completed"
        return f"stage {name} follows: {lacks}, which does not say what seeds alone do"
    gain = f"stage {name} may gain {number(decision.gain)} of {metric}"
    gain += f", seeds alone make {number(decision.noise)} (sd of {len(decision.replicates)})"
    return f"stopped: {gain};\n  sweep.stop_seeds=null goes on" if decision.stops else f"{gain}: it follows"
