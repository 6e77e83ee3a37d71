"""Halving with samplers that learn: generations are compared with all before them, and who had stopped may go on."""

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.eventlog import append_event, epochs_of
from pipeline.objective import Objective
from pipeline.records import Ended, EpochEnded, Message, Paused, Promotion, Trial, TrialEvent
from pipeline.search.halving import promoted, pruned
from pipeline.search.planning import make_plan
from pipeline.study.interruption import Stop
from pipeline.study.ledger import Ledger
from pipeline.study.study import Study
from tests.conftest import composed
from tests.study import stubbed

LEARNS = ["sweep=tpe", "sweep.generation=4"]
LINES = [
    "dataset=blobs", "sweep.max_tier=1", "train.epochs=8",
    "sweep.halving.min_epochs=2", "sweep.halving.factor=2", "train.early_stopping=null",
]  # fmt: skip


def at_rung(number, score, status="pruned", **more):
    metrics = {"val_accuracy": score, "val_loss": 1 - score}
    own = {"reached": 2, "rungs": {2: metrics}, "metrics": metrics, **more}
    return Trial(number, "s", 0, {}, True, status, **own)


BETTER = {"val_accuracy": 0.99, "val_loss": 0.1}


@pytest.mark.parametrize(
    ("trials", "goes_on", "stops"),
    [
        ([at_rung(0, 0.5, None), at_rung(1, 0.4)], [], []),
        ([at_rung(0, 0.5), at_rung(1, 0.4), at_rung(2, 0.3, None), at_rung(3, 0.2, None)], [0, 1], [2, 3]),
        ([at_rung(0, 0.5), at_rung(1, 0.4, None), at_rung(2, 0.3, None)], [0], [2]),
        # What counts is what it was at the rung, not what it has come to since.
        ([at_rung(0, 0.1, "completed", metrics=BETTER, reached=4), at_rung(1, 0.4), at_rung(2, 0.3)], [1, 2], []),
        ([at_rung(0, 0.9, "diverged", reached=4), at_rung(1, 0.4), at_rung(2, 0.3, None)], [1], [2]),
        # Who was promoted from a rung does not stop at it again.
        ([at_rung(0, 0.9, None), at_rung(1, 0.1, None, promotions=(Promotion(4, 2, {}),))], [], []),
        ([at_rung(0, 0.9, "pruned", reached=4), at_rung(1, 0.1, None)], [], [1]),
    ],
)
def test_who_goes_on_after_all(trials, goes_on, stops):
    assert [t.number for t in promoted(trials, 2, 2, Objective())] == goes_on
    assert [t.number for t, _ in pruned(trials, 2, 2, Objective())] == stops


class Killed(Exception):
    pass


class Stub:
    """Trains nothing: earlier trials are better, but a later rung likes others than the first.
    After `most` trials that paused or ended it is killed."""

    def __init__(self, folder, most=10**6):
        self.folder, self.left, self.jobs = folder, most, []

    def run(self, jobs, receive):
        for job in jobs:
            self.jobs.append((job.until, sorted(task.number for task in job.trials)))
            for task in job.trials:
                if not self.left:
                    raise Killed
                self.left -= 1
                self._train(job, task, receive)

    def _train(self, job, task, receive):
        folder = self.folder / str(task.number)
        folder.mkdir(exist_ok=True)

        def tell(event):
            append_event(folder, event)
            receive(Message(job.number, TrialEvent(task.number, event)))

        rate = task.config.optimizer.learning_rate
        last = job.until or task.config.train.epochs
        for epoch in range(len(epochs_of(folder)) + 1, last + 1):
            accuracy = (0.9 if epoch < 3 else 0.3 + 0.3 * (task.number % 3)) / (1 + task.number) + rate / 1e6
            metrics = {"val_accuracy": accuracy, "val_loss": 1 - accuracy}
            tell(EpochEnded(1.0, epoch, metrics))
        best = max(epochs_of(folder), key=lambda e: e.metrics["val_accuracy"])
        ended = last == task.config.train.epochs
        own = (last, best.epoch, best.metrics)
        tell(Ended(1.0, "completed", None, *own) if ended else Paused(1.0, *own))


def run(folder, *lines, most=10**6):
    folder.mkdir(exist_ok=True)
    sampler = [] if "sweep=random" in lines else LEARNS
    overrides = OverridesParser.create().parse_overrides([f"output_dir={folder}", *sampler, *LINES, *lines])
    ledger = Ledger(folder, what="it")
    stub = Stub(folder, most)
    study = Study(make_plan(overrides, lambda words: composed(*words), lambda override: []), folder, ledger)
    try:
        study.run(stub, Stop())
    except Killed:
        pass
    finally:
        ledger.close()
    return ledger, stub


def result(ledger):
    return {
        t.number: (dict(t.params), t.status, t.reached, dict(t.metrics), t.promotions) for t in ledger.trials.values()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("promotion") / "whole"
    return folder, *run(folder, "sweep.n_trials=12")


def test_each_rung_has_let_go_on_the_best_of_all_generations(whole):
    _, ledger, _ = whole
    trials = list(ledger.trials.values())
    assert {t.status for t in trials} == {"completed", "pruned"}
    for rung in (2, 4):
        here = sorted((t for t in trials if rung in t.rungs), key=lambda t: -t.rungs[rung]["val_accuracy"])
        best = here[: -(-len(here) // 2)]
        assert all(t.reached > rung or t.status == "completed" for t in best)
    assert any(t.promotions for t in trials)


def test_a_promoted_trial_has_its_curve_once(whole):
    folder, ledger, _ = whole
    for trial in ledger.trials.values():
        epochs = [event.epoch for event in epochs_of(folder / str(trial.number))]
        assert epochs == list(range(1, (8 if trial.status == "completed" else trial.reached) + 1))


@pytest.mark.parametrize("most", [3, 7, 11, 15, 18, 20])
def test_a_killed_sweep_comes_to_the_same_trials(tmp_path, whole, most):
    folder = tmp_path / "again"
    run(folder, "sweep.n_trials=12", most=most)
    run(folder, "sweep.n_trials=12", most=2)
    ledger, _ = run(folder, "sweep.n_trials=12")
    assert result(ledger) == result(whole[1])


def test_more_trials_let_earlier_ones_go_on(tmp_path):
    lines = ["sweep=random"]
    before, _ = run(tmp_path / "grown", *lines, "sweep.n_trials=4")
    stopped = {t.number for t in before.trials.values() if t.status == "pruned"}
    after, stub = run(tmp_path / "grown", *lines, "sweep.n_trials=12")
    assert {t.number for t in after.trials.values() if t.promotions} <= stopped
    assert {t.status for t in after.trials.values()} == {"completed", "pruned"}
    assert all(number not in job for until, job in stub.jobs if until == 2 for number in range(4))


def test_a_budget_that_leaves_time_lets_all_go_on(tmp_path):
    ledger, _ = run(tmp_path / "x", "sweep.n_trials=8", "sweep.budget=9h")
    assert {t.status for t in ledger.trials.values()} == {"completed"}


@pytest.mark.parametrize(
    ("line", "epochs", "rungs"),
    [
        (["train.epochs=5,30"], 30, [3, 9, 27]),
        (["train.epochs=30,5"], 30, [3, 9, 27]),
        (["train.epochs=int(interval(2,40))"], 40, [3, 9, 27]),
        (["train.epochs=choice(4,12,8)"], 12, [3, 9]),
        (["sweep.stages.random.epochs=28"], 28, [3, 9, 27]),
    ],
)
def test_rungs_are_those_of_whoever_trains_longest(line, epochs, rungs):
    line = ["sweep=random", "sweep.halving.min_epochs=3", "sweep.halving.factor=3", *line]
    plan = stubbed.plan_of(*line)
    assert (plan.epochs(plan.stages[0]), plan.rungs(plan.stages[0])) == (epochs, rungs)


def test_brackets_are_those_of_whoever_trains_longest():
    line = ["sweep=hyperband", "sweep.stages.hyperband.epochs=null", "train.epochs=5,27"]
    assert [stage.rungs for stage in stubbed.plan_of(*line).stages] == [(1, 3, 9), (3, 9), (9,), ()]


def test_an_arm_that_ends_sooner_completes_and_the_other_is_compared_further(tmp_path):
    line = ["train.epochs=5,30", "sweep.n_trials=12", "sweep.max_tier=1", "sweep.halving.min_epochs=3"]

    def score(config, epoch):
        return (config.train.epochs == 30) * 0.5 + config.optimizer.learning_rate / 1e6 + epoch / 1e4

    whole, _ = stubbed.run(tmp_path / "x", score, *line, "sweep.halving.factor=2")
    trials = whole.ledger.trials.values()
    assert whole.plan.rungs(whole.plan.stages[0]) == [3, 6, 12, 24]
    ends = [(t.params["train.epochs"], t.status, t.reached) for t in trials]
    assert sorted(ends) == sorted(
        [(5, "pruned", 3)] * 6
        + [(30, "pruned", 6)] * 3
        + [(30, "pruned", 12)]
        + [(30, "pruned", 24)]
        + [(30, "completed", 24)]
    )
    study, _ = stubbed.run(tmp_path / "y", lambda config, epoch: -score(config, epoch), *line, "sweep.halving.factor=2")
    short = [t for t in study.ledger.trials.values() if t.params["train.epochs"] == 5]
    assert {t.status for t in short} == {"completed"}
    stubbed.run(tmp_path / "z", score, *line, "sweep.halving.factor=2", most=17)
    again, _ = stubbed.run(tmp_path / "z", score, *line, "sweep.halving.factor=2")
    assert stubbed.trials(again) == stubbed.trials(whole)


TPE = ["sweep.sampler._target_=pipeline.search.samplers.tpe.Tpe", "sweep.generation=4", "sweep.max_tier=1"]


def rate(config, epoch):
    return 1 - abs(math.log10(config.optimizer.learning_rate) + 2) / 9 - 0.1 / epoch


def test_all_go_on_where_a_later_bracket_has_learned_from_them(tmp_path):
    line = ["sweep=hyperband", "sweep.stages.hyperband.epochs=9", "sweep.n_trials=22", *TPE]
    before, _ = stubbed.run(tmp_path / "x", rate, *line)
    assert {t.status for t in before.ledger.trials.values()} == {"completed", "pruned"}
    killed, _ = stubbed.run(tmp_path / "x", rate, *line, "sweep.budget=9h", most=5)
    assert any(t.status is None for t in killed.ledger.trials.values())
    after, _ = stubbed.run(tmp_path / "x", rate, *line, "sweep.budget=9h")
    assert {t.status for t in after.ledger.trials.values()} == {"completed"}
    assert [t.params for t in after.ledger.trials.values()] == [t.params for t in before.ledger.trials.values()]


def test_what_goes_on_changes_no_later_choice_of_a_sampler_that_learned_from_it(tmp_path):
    line = ["sweep=coarse_to_fine", "sweep.stages.fine.refine=false", "sweep.stages.coarse.n_trials=16", *TPE]
    line += ["sweep.halving.min_epochs=1", "sweep.halving.factor=2", "sweep.n_trials=null", "sweep.stop_seeds=null"]
    line += [f"sweep.stages.{name}.epochs=8" for name in ("coarse", "medium", "fine")]
    line += ["sweep.stages.medium.refine=false", "sweep.stages.medium.n_trials=2"]

    def crossing(config, epoch):  # what goes on turns out otherwise
        return rate(config, epoch) if epoch < 2 else 2 - rate(config, epoch)

    points = []
    for name, budget in (("with", ["sweep.budget=9h"]), ("without", [])):
        stubbed.run(tmp_path / name, crossing, *line, *budget, "sweep.stages.fine.n_trials=2")
        grown, _ = stubbed.run(tmp_path / name, crossing, *line, *budget, "sweep.stages.fine.n_trials=4")
        trials = grown.ledger.trials.values()
        points.append([t.params for t in trials])
        assert ({t.status for t in trials} == {"completed"}) == (name == "with")
    assert len(points[0]) == 22
    assert points[0] == points[1]
