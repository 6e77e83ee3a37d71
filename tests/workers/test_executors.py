"""Warm workers: the same process trains one job after the other, and the pool survives what they do."""

import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.records import (
    CohortPlanned,
    Done,
    Ended,
    EpochEnded,
    ExportJob,
    Interrupted,
    Requeued,
    Restarting,
    Started,
    Trial,
    TrialEvent,
)
from pipeline.search.exploration import evolution
from pipeline.search.scales import LOG
from pipeline.search.space import Interval
from pipeline.workers.inline import InlineExecutor
from pipeline.workers.local import LocalExecutor
from tests.conftest import children
from tests.workers.jobs import events_of, job, together

pytestmark = pytest.mark.slow
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}


@pytest.fixture(scope="module")
def pool():
    executor = LocalExecutor([ENVIRONMENT, ENVIRONMENT], max_restarts=1)
    yield executor
    executor.close()


def kinds(events):
    return [type(event) for event in events]


def temporary_folders(pids):
    """Where the libraries of these processes put what is temporary."""
    variables = [Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in pids]
    return {Path(v.removeprefix("TMPDIR=")) for each in variables for v in each if v.startswith("TMPDIR=")}


def pids(messages):
    """Of the processes that trials began in, a trial each."""
    return [event.pid for event in events_of(messages) if isinstance(event, Started)]


def test_jobs_are_pulled_one_a_free_worker_and_workers_stay_warm(pool, tmp_path):
    begun, messages, most = [], [], 0

    def hand_out():
        for number in range(5):
            begun.append(number)
            yield job(tmp_path, number)

    def receive(message):
        nonlocal most
        messages.append(message)
        done = sum(isinstance(m.report, Done) for m in messages)
        most = max(most, len(begun) - done)

    pool.run(hand_out(), receive)
    assert begun == [0, 1, 2, 3, 4]
    assert most <= 3  # two at work, and the next one handed to the worker that has just become free
    assert len(set(pids(messages))) == 2
    for number in range(5):
        assert kinds(events_of(messages, number)) == [Started, EpochEnded, Ended]
        assert (tmp_path / str(number) / "model.h5").exists()


def test_a_failing_job_says_why_and_the_others_go_on(pool, tmp_path):
    messages = []
    bad = job(tmp_path, 0, changes={"model.activation": "rleu"})
    worse = job(tmp_path, 1, changes={"dataset._target_": "pipeline.data.sets.planar.nothing"})
    pool.run([bad, worse, job(tmp_path, 2)], messages.append)
    assert "Did you mean 'relu'?" in events_of(messages, 0)[-1].reason
    assert "has no callable 'nothing'" in events_of(messages, 1)[-1].reason
    assert events_of(messages, 2)[-1].status == "completed"


def test_a_worker_that_keeps_dying_fails_its_job_after_its_restarts(pool, tmp_path):
    messages = []

    def receive(message):
        messages.append(message)
        match message.report:
            case TrialEvent(0, Started(pid=pid)):
                os.kill(pid, signal.SIGKILL)

    slow = job(tmp_path, 0, epochs=10_000)
    pool.run([slow, job(tmp_path, 1)], receive)
    events = [event for event in events_of(messages, 0) if not isinstance(event, EpochEnded)]
    assert kinds(events) == [Started, Restarting, Started, Ended]
    last = events[-1]
    assert (last.status, last.reason.split(" (")[0]) == ("failed", "its worker process was killed by SIGKILL")
    assert last.reason.endswith(", 2 times")
    assert events_of(messages, 1)[-1].status == "completed"


def test_a_population_is_not_divided_when_its_worker_dies(pool, tmp_path):
    """It starts again whole, and in the end fails whole."""
    messages, rate = [], "optimizer.learning_rate"
    own = together(*(job(tmp_path, n, 10_000, {"sweep.population": {"every": 2}}) for n in range(2)))
    trials = [Trial(n, "s", 0, {rate: 0.1}) for n in range(2)]
    population = evolution(own.trials[0].config, {rate: Interval(0.01, 0.1, LOG)}, trials)

    def receive(message):
        messages.append(message)
        match message.report:
            case TrialEvent(1, EpochEnded()) if message.report.event.epoch == 1:
                os.kill(pids(messages)[-1], signal.SIGKILL)

    pool.run([replace(own, export=False, evolution=population)], receive)
    for number in range(2):
        events = [m.report.event for m in messages if isinstance(m.report, TrialEvent) and m.report.trial == number]
        assert [type(e) for e in events if isinstance(e, Started | Restarting | Ended)] == [
            Started, Restarting, Started, Ended,
        ]  # fmt: skip
        assert events[-1].reason.endswith(", 2 times")


def unfused(folder, n):
    """A job of `n` trials that do not fuse."""
    return together(*(job(folder, number) for number in range(n)), fuse="never")


def test_what_trains_one_by_one_does_so_on_every_worker(pool, tmp_path):
    messages = []
    pool.run([unfused(tmp_path, 4)], messages.append)
    cohort, requeued = (m.report for m in messages[:2])
    assert (cohort.trials, cohort.summary.mode) == ((0, 1, 2, 3), "solo")
    assert requeued == Requeued((0, 1, 2, 3))
    assert not [m for m in messages[2:] if isinstance(m.report, CohortPlanned | Requeued)]
    assert len(set(pids(messages))) == 2
    assert [event.status for event in events_of(messages) if isinstance(event, Ended)] == ["completed"] * 4
    assert all((tmp_path / f"{n}/model.h5").exists() for n in range(4))


def test_in_one_process_it_does_so_in_turn(tmp_path):
    messages = []
    InlineExecutor().run([unfused(tmp_path, 2), job(tmp_path, 2)], messages.append)
    ended = [m.report.trial for m in messages if isinstance(m.report, TrialEvent) and isinstance(m.report.event, Ended)]
    assert ended == [0, 1, 2]


def test_a_worker_that_has_grown_too_large_is_replaced_for_the_next_job(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    executor = LocalExecutor([{**ENVIRONMENT, "CAVIAR_WORKER_GROWTH": "-1"}], max_restarts=0)
    messages = []
    executor.run([job(tmp_path, number) for number in range(2)], messages.append)
    executor.close()
    assert not list(temporary.iterdir())
    assert len(set(pids(messages))) == 2
    assert [events_of(messages, n)[-1].status for n in range(2)] == ["completed"] * 2
    assert [m.report.answer for m in messages if isinstance(m.report, Done)] == [None] * 2


@pytest.fixture(scope="module")
def three():
    """A pool of up to three workers, of which the tests start one."""
    executor = LocalExecutor([ENVIRONMENT] * 3, max_restarts=0)
    yield executor
    executor.close()


def test_a_small_job_starts_no_further_worker(three, tmp_path):
    """Writing the models of a sweep's best trials takes less than importing TensorFlow once more."""
    three.run([job(tmp_path, 0)], lambda message: None)
    messages, workers = [], children(os.getpid())
    three.run([ExportJob(n, job(tmp_path, 0).trials[0]) for n in range(4)], messages.append)
    assert [m.report for m in messages] == [Done(str(tmp_path / "0/model.h5"))] * 4
    assert children(os.getpid()) == workers
    folders = temporary_folders(workers)
    assert all(folder.name.startswith("caviar-workers-") for folder in folders)
    assert any(list(folder.glob("__autograph*")) for folder in folders)  # which nobody would delete


def test_stop_saves_the_state_of_running_jobs_and_hands_out_no_more(three, tmp_path):
    """The last test of `three`: an executor that was stopped begins nothing more."""
    messages = []

    def receive(message):
        messages.append(message)
        match message.report:
            case TrialEvent(event=EpochEnded()):
                three.stop()

    waiting = ExportJob(1, job(tmp_path, 1).trials[0])  # for the worker that trains
    three.run([job(tmp_path, 0, epochs=10_000), waiting], receive)
    assert isinstance(events_of(messages, 0)[-1], Interrupted)
    assert [message for message in messages if message.job == 1] == []
    assert (tmp_path / "0/state.h5").exists()
