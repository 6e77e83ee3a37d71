"""A sweep's budget: what is begun, when it pauses, what all starts have used, and that a larger one goes on.

Nothing trains: an executor of one worker moves the clock on as training would.
"""

import time

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline import clock
from pipeline.errors import InputError
from pipeline.eventlog import append_event, epochs_of
from pipeline.limits import limit, seconds_of
from pipeline.records import Ended, EpochEnded, Message, Paused, Started, Trial, TrialEvent
from pipeline.search.plan import Plan
from pipeline.search.planning import make_plan
from pipeline.study.forecast import outline
from pipeline.study.interruption import Stop
from pipeline.study.ledger import NAME, History, Ledger
from pipeline.study.study import Study
from pipeline.training.deadline import Deadline
from tests.conftest import composed
from tests.study.stubbed import arm_values

BEGAN, STARTUP, COMPILING, A_TRIAL = 1e9, 4.0, 3.0, 0.02  # seconds; the last of an epoch, beside FIXED of a cohort
FIXED = 0.1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10min", 600), ("1.5h", 5400), ("1h30min", 5400), ("0.5s", 0.5)]
    + [(text, None) for text in ("", "10", "10m", "ten", "10 min", "1e3s", "-5s", "s", "10minutes", "infs", "٣s")],
)
def test_a_time_has_a_unit(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("budget", "meant"),
    [("600", "'600s'"), ("10m", "'10min'"), ("2 hours", "'2h'"), ("5 sec", "'5s'"), ("0s", ""), ("soon", ""), ("", "")],
)
def test_a_malformed_budget_is_refused_with_what_is_allowed(budget, meant):
    with pytest.raises(InputError, match=f"sweep.budget={budget} must be a time above 0 in s, min or h") as refused:
        limit("sweep.budget", budget)
    assert ("Did you mean" in str(refused.value)) == bool(meant)
    assert meant in str(refused.value)


class Clock:
    def __init__(self):
        self.now = BEGAN

    def __call__(self):
        return self.now


@pytest.fixture
def now(monkeypatch, tmp_path):
    fake = Clock()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # how long other tests took to conclude says nothing
    monkeypatch.setattr(time, "time", fake)
    monkeypatch.setattr(clock, "_age_of_process", lambda: 0.0)
    monkeypatch.setattr(clock, "_began", None)  # and as it was, for tests after these
    return fake


class Killed(Exception):
    pass


class Worker:
    """Trains nothing: each cohort compiles and has its epochs, as the clock says, and pauses as a real one would."""

    def __init__(self, now, slower=1.0, killed_at=None):
        self.now, self.slower, self.killed_at = now, slower, killed_at
        self.trained = 0.0  # seconds
        self.sizes = []

    def run(self, jobs, receive):
        for job in jobs:
            self.sizes.append(len(job.trials))
            deadline = Deadline(job.deadline, saving=0.001)
            done = [len(epochs_of(folder_of(task))) for task in job.trials]
            for task in job.trials:
                self._tell(job, task, receive, Started(self.now.now, 1, cohort=len(job.trials)))
            compiling = COMPILING
            while min(done) < (job.until or job.trials[0].config.train.epochs):
                if deadline.passed(len(job.trials)):
                    break
                seconds = self.slower * (FIXED + A_TRIAL * len(job.trials))
                self.now.now += compiling + seconds
                self.trained += compiling + seconds
                deadline.take_epoch(seconds)
                if self.killed_at and self.now.now > self.killed_at:
                    raise Killed
                done = [epoch + 1 for epoch in done]
                for task, epoch in zip(job.trials, done, strict=True):
                    event = EpochEnded(self.now.now, epoch, measured(task), cohort_seconds=seconds + compiling)
                    self._tell(job, task, receive, event)
                compiling = 0.0
            for task, epoch in zip(job.trials, done, strict=True):
                ended = epoch == task.config.train.epochs
                end = Ended(self.now.now, "completed", None, epoch, epoch, measured(task))
                paused = Paused(self.now.now, epoch, epoch, measured(task) if epoch else {})
                self._tell(job, task, receive, end if ended else paused)

    def _tell(self, job, task, receive, event):
        folder_of(task).mkdir(exist_ok=True, parents=True)
        append_event(folder_of(task), event)
        receive(Message(job.number, TrialEvent(task.number, event)))


def folder_of(task):
    from pathlib import Path

    return Path(task.folder)


def measured(task):
    return {"val_accuracy": 1 / (2 + task.number), "val_loss": 0.5}


def plan_of(folder, *lines):
    own = [f"output_dir={folder}", "dataset=blobs", "sweep.max_tier=1", "executor.workers=1"]
    own += [] if {"sweep=coarse_to_fine", "sweep=population"} & {*lines} else ["train.epochs=10"]
    overrides = OverridesParser.create().parse_overrides([*own, *lines])
    return make_plan(overrides, lambda words: composed(*words), arm_values)


def start(folder, now, *lines, **how):
    """One start of a sweep; returns its ledger, closed, its worker, and the seconds until its training was over."""
    folder.mkdir(exist_ok=True)
    began = now.now
    clock.begin()
    now.now += STARTUP
    ledger, worker = Ledger(folder, what="it"), Worker(now, **how)
    study = Study(plan_of(folder, *lines), folder, ledger)
    try:
        study.run(worker, Stop())
    except Killed:
        ledger.close()
        return ledger, worker, now.now - began
    study.budget.note()
    worker.summary = study.budget.summary("x")
    ledger.close()
    return ledger, worker, now.now - began


def statuses(ledger):
    return [trial.shown_status for trial in ledger.trials.values()]


@pytest.mark.parametrize(("seconds", "slower"), [(15, 1.0), (15, 7.0), (40, 1.0), (61, 7.0)])
def test_trials_without_a_number_fill_the_budget(tmp_path, now, seconds, slower):
    line = ["sweep.n_trials=null", f"sweep.budget={seconds}s"]
    ledger, worker, used = start(tmp_path, now, *line, slower=slower)
    reserved = 1.0 + 2.5 + 5 * 0.3  # for what follows training, of which nothing is known on this machine
    epoch = slower * (FIXED + A_TRIAL * max(worker.sizes))
    assert used <= seconds - reserved + max(3, COMPILING + epoch)  # before the first, nobody knows
    assert used >= seconds - reserved - max(3, COMPILING + epoch) - 0.03 * 64
    assert worker.trained / (used - STARTUP) >= 0.9
    assert {"completed", "paused"} >= set(statuses(ledger))
    assert ledger.spent == pytest.approx(used)


def test_the_same_command_with_a_larger_budget_goes_on(tmp_path, now):
    line = ["sweep.n_trials=40", "sweep.budget=12s"]
    ledger, _, _ = start(tmp_path, now, *line)
    assert statuses(ledger) == ["paused"] * 40
    reached = ledger.trials[0].reached
    assert 0 < reached < 10
    now.now += 5000  # between two starts is nobody's time
    again, worker, _ = start(tmp_path, now, *line)
    assert statuses(again) == ["paused"] * 40
    assert not worker.sizes  # it had no time left
    spent = again.spent
    assert History(tmp_path / NAME).budget == 12  # so a report, too, says which paused trial is the best
    assert spent > 12 - 7  # of both starts
    now.now += 5000
    ledger, worker, _ = start(tmp_path, now, "sweep.n_trials=40", "sweep.budget=1min")
    assert statuses(ledger) == ["completed"] * 40
    assert {trial.reached for trial in ledger.trials.values()} == {reached}
    assert [t.params for t in ledger.trials.values()] == [t.params for t in again.trials.values()]
    assert ledger.spent > spent
    assert ledger.budget == 60


def test_what_a_killed_start_used_is_known_to_a_few_seconds(tmp_path, now):
    line = ["sweep.n_trials=null", "sweep.budget=2min"]
    ledger, _, used = start(tmp_path, now, *line, killed_at=now.now + 50, slower=3.0)
    assert used - 5 - 3 * (FIXED + A_TRIAL * 64) <= ledger.spent <= used
    killed = [trial.params for trial in ledger.trials.values()]
    now.now += 10
    ledger, _, used = start(tmp_path, now, *line, slower=3.0)
    assert [trial.params for trial in ledger.trials.values()][: len(killed)] == killed
    assert 108 <= ledger.spent <= 120
    assert "interrupted" not in statuses(ledger)


def test_what_would_end_later_is_not_begun(tmp_path, now):
    line = ["sweep.n_trials=64", "sweep.budget=24s", "executor.cohort_size=16"]
    ledger, worker, used = start(tmp_path, now, *line)
    assert used < 24
    assert worker.sizes[0] == 16
    assert statuses(ledger).count("completed") >= 16
    assert "waiting" in statuses(ledger)


def test_a_grid_stays_the_whole_grid(tmp_path, now):
    line = ["sweep=grid", "sweep.points=7", "sweep.budget=10min"]
    ledger, _, _ = start(tmp_path, now, *line)
    assert statuses(ledger) == ["completed"] * 7
    assert plan_of(tmp_path, *line).stages[0].n_trials == 7


def test_a_sweep_that_needs_no_more_is_as_without_a_budget(tmp_path, now):
    ledgers = [
        start(tmp_path / name, now, "sweep.n_trials=9", *budget)[0]
        for name, budget in (("a", []), ("b", ["sweep.budget=1h"]))
    ]
    assert ledgers[0].trials == ledgers[1].trials


def test_a_larger_budget_goes_on_only_where_something_is_left(tmp_path, now):
    line = ["optimizer.learning_rate=choice(0.1,0.01,0.001)", "sweep.max_tier=0", "sweep.n_trials=null"]
    ledger, worker, _ = start(tmp_path / "small", now, *line, "sweep.budget=10min")
    assert statuses(ledger) == ["completed"] * 3
    assert worker.summary.endswith("used, 3 trials")
    _, worker, _ = start(tmp_path / "large", now, "sweep.n_trials=null", "sweep.budget=1min")
    assert worker.summary.endswith("; a larger sweep.budget with sweep.name=x goes on")


def test_each_population_begins_as_soon_as_there_is_time_for_an_epoch(tmp_path, now):
    line = ["sweep=population", "model.norm_placement=none,before_activation"]
    trained = []
    for seconds in (26, 28, 30, 33):  # one population takes 13 s
        ledger, worker, used = start(tmp_path / str(seconds), now, *line, f"sweep.budget={seconds}s")
        assert worker.sizes == [12, 12]
        assert sorted(statuses(ledger)) == ["completed"] * 12 + ["paused"] * 12
        assert seconds - 8 < used < seconds
        trained.append(worker.trained)
    assert trained == sorted(set(trained))
    ledger, worker, _ = start(tmp_path / "26", now, *line, "sweep.budget=2min")
    assert (statuses(ledger), worker.sizes) == (["completed"] * 24, [12])


def test_a_clock_that_stands_still_divides_nothing(tmp_path, now):
    study = Study(plan_of(tmp_path, "sweep.budget=1min"), tmp_path, Ledger(tmp_path, what="it"))
    budget, config = study.budget, study.config
    budget.hand_out([0], [config])
    budget.on(Trial(0, "s", 0, {}), EpochEnded(now.now, 1, {}, cohort_seconds=0.0))
    assert [budget.room(8), budget.room(8), budget.fitting([config] * 8, 5)] == [8, 8, 8]


def test_a_kill_in_a_long_epoch_loses_little(tmp_path, now):
    clock.begin()
    study = Study(plan_of(tmp_path, "sweep.budget=1h"), tmp_path, Ledger(tmp_path, what="it"))
    with study.budget.noted(look_every=0.01):
        for seconds in (1, 300, 301, 600):
            now.now = BEGAN + seconds
            time.sleep(0.1)
            assert History(tmp_path / NAME).spent == pytest.approx({1: 0, 301: 300}.get(seconds, seconds))


def test_a_trial_by_itself_has_no_budget(tmp_path, now):
    single = Plan.of_one(composed("dataset=blobs", "sweep.budget=1s"), [])
    now.now += 100
    study = Study(single, tmp_path, Ledger(tmp_path, what="it"))
    assert (study.budget.deadline(), study.budget.fitting([study.config], 5)) == (None, 1)


@pytest.mark.parametrize("line", [["sweep=grid", "sweep.points=3"], ["sweep.n_trials=4"]])
def test_replicates_go_with_a_budget_that_nothing_fills(tmp_path, line):
    assert not plan_of(tmp_path, *line, "sweep.replicates=2", "sweep.budget=1h").stages[-1].fills


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["sweep.n_trials=null", "sweep.budget=1h", "sweep.replicates=2"], "sweep.replicates=2: a budget that trials"),
        (["sweep.n_trials=null"], "sweep.n_trials is null"),
        (["sweep=coarse_to_fine", "sweep.n_trials=null", "sweep.budget=1min"], "sweep.stages.coarse.n_trials=24"),
    ],
)
def test_trials_without_a_number_need_a_budget_and_fill_the_last_stage(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        plan_of(tmp_path, *line)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["sweep.n_trials=null", "sweep.budget=2min"], "sweep: as many trials as 2min has time for"),
        (["sweep.n_trials=8", "sweep.budget=2min"], "sweep: 8 trials, about 80 epochs in all"),
    ],
)
def test_what_is_said_at_once(tmp_path, lines, text):
    assert outline(plan_of(tmp_path, *lines)) == text
