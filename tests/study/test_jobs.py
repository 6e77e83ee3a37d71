"""Which trials a study hands out together: a resumed one makes the cohorts that an undisturbed one has."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.records import Ended, Message, Paused, TrialEvent
from pipeline.search.planning import make_plan
from pipeline.study.interruption import Stop
from pipeline.study.ledger import Ledger
from pipeline.study.study import Study
from tests.conftest import composed

LINES = [
    "train.epochs=16",
    "dataset=blobs",
    "sweep.n_trials=8",
    "sweep.max_tier=1",
    "sweep.halving.min_epochs=2",
    "sweep.halving.factor=2",
]


class Stub:
    """Trains nothing: a trial is the better the lower its number, and one of `early` ends before its next rung. After
    `most` trials that paused or ended it asks the study to stop."""

    def __init__(self, stop, most=10**6, early=()):
        self.jobs, self.stop, self.left, self.early = [], stop, most, early

    def run(self, jobs, receive):
        for job in jobs:
            cohort = sorted([*(task.number for task in job.trials), *job.ended])
            self.jobs.append((job.until, cohort, job.planned))
            for task in job.trials:
                if not self.left:
                    self.stop.requested = True
                    return
                best = (job.until or 4, {"val_accuracy": 1 - task.number / 10, "val_loss": 0.1})
                ends = job.until is None or (task.number in self.early and job.until > 2)
                event = (
                    Ended(1.0, "completed", None, best[0], *best) if ends else Paused(1.0, best[0], best[0], best[1])
                )
                receive(Message(job.number, TrialEvent(task.number, event)))
                self.left -= 1


def trained(folder, most=10**6, early=(), lines=LINES):
    folder.mkdir(exist_ok=True)
    overrides = OverridesParser.create().parse_overrides([f"output_dir={folder}", *lines])
    ledger, stop = Ledger(folder, what="it"), Stop()
    study = Study(make_plan(overrides, lambda lines: composed(*lines), lambda override: []), folder, ledger)
    stub = Stub(stop, most, early)
    study.run(stub, stop)
    ledger.close()
    return stub.jobs, {trial.number: (trial.status, trial.reached) for trial in ledger.trials.values()}


@pytest.mark.parametrize("early", [(), (1,), (0, 3)], ids=str)
@pytest.mark.parametrize("most", [1, 5, 9, 11, 12, 13])
def test_a_resumed_halving_sweep_makes_the_cohorts_of_an_undisturbed_one(tmp_path, most, early):
    whole, ends = trained(tmp_path / "whole", early=early)
    first, _ = trained(tmp_path / "again", most, early)
    second, again = trained(tmp_path / "again", early=early)
    assert again == ends
    assert [job for i, job in enumerate(first + second) if job not in (first + second)[:i]] == whole


@pytest.mark.parametrize(
    ("sampler", "halving", "most"),
    [("tpe.Tpe", ("sweep.halving.min_epochs=2", "sweep.halving.factor=2"), 30), ("cma_es.CmaEs", (), 17)],
    ids=["tpe with halving", "cma_es"],
)
def test_a_later_stage_that_learned_of_the_first_is_resumed_with_the_same_trials(tmp_path, sampler, halving, most):
    lines = ["dataset=blobs", "sweep=coarse_to_fine", "~sweep.stages.medium", "sweep.stages.fine.refine=false"]
    lines += ["sweep.n_trials=24", "sweep.max_tier=1", "sweep.generation=6", *halving]
    lines += [f"sweep.sampler._target_=pipeline.search.samplers.{sampler}"]

    def asked(folder):
        ledger = Ledger(folder, what="it")
        ledger.close()
        return [(trial.stage, trial.params) for trial in ledger.trials.values()]

    trained(tmp_path / "whole", lines=lines)
    trained(tmp_path / "again", most, lines=lines)
    stages = [stage for stage, _ in asked(tmp_path / "again")]
    assert (stages.count("coarse"), stages.count("fine")) == (12, 6)  # amid the second
    trained(tmp_path / "again", lines=lines)
    assert asked(tmp_path / "again") == asked(tmp_path / "whole")


def test_each_arm_of_a_population_is_a_job_whatever_the_workers(tmp_path):
    """Also when some of its trials have ended."""
    lines = ["sweep=population", "dataset=blobs", "optimizer=adam,sgd", "sweep.n_trials=7", "executor.workers=4"]
    overrides = OverridesParser.create().parse_overrides([f"output_dir={tmp_path}", "sweep.max_tier=1", *lines])
    plan = make_plan(overrides, lambda own: composed(*own), lambda override: ["adam", "sgd"])

    class Some:
        """One trial ends, and the study is stopped."""

        def __init__(self):
            self.jobs = []

        def run(self, jobs, receive):
            self.jobs += jobs
            ended = Ended(1.0, "completed", None, 28, 3, {"val_accuracy": 0.5, "val_loss": 0.1})
            receive(Message(0, TrialEvent(self.jobs[0].trials[0].number, ended)))
            stop.requested = True

    taken = []
    for _ in range(2):
        stop, some, ledger = Stop(), Some(), Ledger(tmp_path, what="it")
        Study(plan, tmp_path, ledger).run(some, stop)
        ledger.close()
        taken.append(some.jobs)
    for jobs, missing in zip(taken, ((4, 3), (3, 3)), strict=True):
        assert [len(job.trials) for job in jobs] == list(missing)
        assert [[*job.evolution.params] for job in jobs] == [[0, 2, 4, 6], [1, 3, 5]]
        assert [job.planned for job in jobs] == [4, 3]
    assert list(taken[1][0].ended) == [0]
