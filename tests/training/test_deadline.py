"""A cohort's deadline: it pauses at the end of the epoch after which another would end later, with its state saved."""

import time

import pytest

from pipeline.training import checkpoint
from pipeline.training.deadline import MARGIN, Deadline
from tests.training.test_loop import Scripted, accuracies, train


@pytest.mark.parametrize(
    ("left", "epoch", "saving", "n", "passed"),
    [
        (10.0, 0.0, None, 8, False),  # nobody knows how long the first takes
        (0.0, 0.0, None, 8, True),
        (10.0, 9.0, 0.0, 8, False),
        (10.0, 9.2, 0.0, 8, True),
        (10.0, 5.0, 0.5, 8, False),
        (10.0, 5.0, 0.5, 9, True),
    ],
)
def test_whether_another_epoch_ends_too_late(monkeypatch, left, epoch, saving, n, passed):
    assert MARGIN == 1.1
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert Deadline(1000.0 + left, epoch, saving).passed(n) == passed
    assert not Deadline(None, epoch, saving).passed(n)


class Slow(Scripted):
    """Each epoch takes a second of a clock that only it moves."""

    def __init__(self, script, clock, epoch=0):
        super().__init__(script, epoch)
        self.clock = clock

    def epoch(self, rates, should_stop):
        self.clock[0] += 1.0
        return super().epoch(rates, should_stop)


@pytest.mark.parametrize(("left", "trained"), [(0.0, 0), (0.5, 1), (2.0, 1), (2.2, 2), (3.2, 3), (99.0, 4)])
def test_a_cohort_pauses_in_time_and_goes_on_from_its_state(tmp_path, monkeypatch, left, trained):
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    script = accuracies(0.1, 0.4, 0.2, 0.3)
    outcome, events = train(Slow(script, clock), tmp_path, deadline=Deadline(1000.0 + left))
    assert outcome.status == ("completed" if trained == 4 else "paused")
    assert len(events) == trained
    state, best, progress = checkpoint.load(tmp_path / "state.h5")
    assert state["model/0000"] == [trained]
    assert progress.epoch == trained
    again, _ = train(Slow(script, clock, trained), tmp_path, progress=progress, best=best)
    assert (again.status, again.progress.best_epoch) == ("completed", 2)
