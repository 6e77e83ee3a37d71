"""A subscriber of the user's own hears of everything that happens in a study, and knows each trial as it then is."""

import importlib
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline.eventlog import events_of
from pipeline.events import KINDS
from pipeline.records import CohortPlanned, Ended, EpochEnded, Event, Grouped, HandedOut, Paused, Started
from pipeline.tracking.subscriber import StageBegan
from tests.conftest import TINY, here

OWN = '''
HEARD = []


class Listener:
    """Keeps what it is told."""

    def __init__(self, *, name="mine"):
        self.name = name

    def on(self, trial, event):
        HEARD.append((self.name, trial, event))


class Raises:
    """Fails at the first event of a trial."""

    def on(self, trial, event):
        if trial is not None:
            raise ValueError("first line\\nsecond line")


class Refuses:
    def __init__(self):
        raise RuntimeError("there is nobody to tell")


def not_one(x):
    return None
'''
QUICK = ("tracking=none", "executor=inline", "executor.fuse=always", "executor.xla=never")
SUBSCRIBED = "tracking.subscribers=[{_target_:own_listener.Listener}]"
ALLOWED = "allowed_targets=[pipeline.,keras.optimizers.,own_listener.]"


@pytest.fixture
def heard(tmp_path, monkeypatch):
    """What the user's own subscriber has been told: (trial, event)."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/own_listener.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "package")
    yield importlib.import_module("own_listener").HEARD
    del sys.modules["own_listener"]


def run(folder, *line, status=0):
    done = here(*line, *QUICK, ALLOWED, cwd=folder)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_it_hears_of_every_event_of_a_run(heard, tmp_path):
    run(tmp_path, *TINY, SUBSCRIBED)
    (folder,) = (tmp_path / "outputs/runs").iterdir()
    assert [type(event) for *_, event in heard] == [HandedOut, Started, Grouped, EpochEnded, EpochEnded, Ended]
    assert [event for *_, event in heard if not isinstance(event, HandedOut)] == list(events_of(folder))
    assert {trial.number for _, trial, _ in heard} == {0}
    _, trial, end = heard[-1]
    assert (trial.status, trial.best_epoch, trial.metrics) == ("completed", end.best_epoch, end.metrics)


SWEEP = [
    "-m", "sweep=halving", "sweep.name=s", "sweep.n_trials=4", "sweep.max_tier=1", *TINY[:-1],
    "train.early_stopping=null", "sweep.halving.min_epochs=1", "sweep.halving.factor=2",
    "sweep.stages.halving.epochs=3", "sweep.keep_models=1",
]  # fmt: skip


@pytest.mark.slow
def test_it_hears_of_every_event_of_a_sweep(heard, tmp_path):
    run(tmp_path, *SWEEP, SUBSCRIBED)
    events = [(trial, event) for _, trial, event in heard]
    first, stage = events[0]
    assert first is None
    assert (type(stage), stage.total, stage.ended) == (StageBegan, 4, 0)
    cohorts = [(trial.number, event.trials) for trial, event in events if isinstance(event, CohortPlanned)]
    assert cohorts[0] == (0, (0, 1, 2, 3))
    assert [sorted(trials) for _, trials in cohorts][1:] == [sorted(t) for t in cohorts_after(events)]
    for number in range(4):
        of_trial = [event for trial, event in events if trial and trial.number == number and isinstance(event, Event)]
        logged = [event for event in of_trial if not isinstance(event, HandedOut)]
        assert logged == list(events_of(tmp_path / f"outputs/sweeps/s/{number}"))
        assert isinstance(of_trial[0], HandedOut)
    ended = {trial.number: (trial.status, event.status) for trial, event in events if isinstance(event, Ended)}
    assert all(known == told for known, told in ended.values())
    assert Counter(known for known, _ in ended.values()) == {"completed": 1, "pruned": 3}
    paused = [(trial, event) for trial, event in events if isinstance(event, Paused)]
    assert paused
    assert all((trial.reached, trial.metrics) == (event.epochs, event.metrics) for trial, event in paused)
    # it is told of a trial's end before the next stage, and of nothing after it
    last = {trial.number: i for i, (trial, _) in enumerate(events) if trial}
    assert all(isinstance(events[i][1], Ended) for i in last.values())


def cohorts_after(events):
    """The trials that started together after the first rung, as their events say."""
    started = [(trial.number, event) for trial, event in events if isinstance(event, Started)]
    later, groups = started[4:], []
    while later:
        size = later[0][1].cohort
        groups.append([number for number, _ in later[:size]])
        later = later[size:]
    return groups


def test_there_may_be_several_in_their_order(heard, tmp_path):
    two = [f"{{_target_:own_listener.Listener,name:{name}}}" for name in ("a", "b")]
    run(tmp_path, *TINY, f"tracking.subscribers=[{','.join(two)}]")
    assert [name for name, *_ in heard] == ["a", "b"] * 6
    assert [event for name, _, event in heard if name == "a"] == [event for name, _, event in heard if name == "b"]


@pytest.mark.slow
def test_to_subscribe_changes_nothing_of_what_is_resumed_and_tells_of_what_is_new(heard, tmp_path):
    run(tmp_path, *SWEEP)
    assert heard == []
    again = run(tmp_path, *SWEEP, SUBSCRIBED)
    assert "4 already ended" in again.stdout
    ((_, trial, stage),) = heard
    assert (trial, stage.total, stage.ended) == (None, 4, 4)


@pytest.mark.parametrize(("mode", "where"), [(TINY, "runs/*"), (SWEEP, "sweeps/s/?")], ids=["run", "sweep"])
def test_one_that_raises_costs_only_itself(heard, mode, where, tmp_path):
    done = run(
        tmp_path, *mode, "tracking.subscribers=[{_target_:own_listener.Raises},{_target_:own_listener.Listener}]"
    )
    (line,) = [line for line in done.stdout.splitlines() if "going on without" in line]
    assert line == "going on without the subscriber own_listener.Raises, which failed: ValueError: first line"
    assert done.stderr == ""
    logs = [list(events_of(folder)) for folder in tmp_path.glob(f"outputs/{where}")]
    assert {type(events[-1]) for events in logs} == {Ended}
    told = [event for _, trial, event in heard if trial and type(event) in KINDS.values()]
    assert sorted(map(repr, told)) == sorted(repr(event) for events in logs for event in events)


@pytest.mark.parametrize("name", ["ledger", "leaderboard.csv", "best.yaml"])
def test_a_full_disk_ends_the_sweep_with_a_line(name, tmp_path, monkeypatch):
    """What is not in the ledger did not happen: nothing may go on without it."""
    path, real = tmp_path / "outputs/sweeps/s" / name, os.fsync
    written = path if name == "ledger" else path.with_name(f".{name}.{os.getpid()}")

    def full(file):
        if Path(f"/proc/self/fd/{file}").readlink() == written and (
            name != "ledger" or b'"ended"' in path.read_bytes()
        ):
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(os, "fsync", full)
    done = here(*SWEEP, *QUICK, cwd=tmp_path)
    assert done.returncode == 1
    where = f"outputs/sweeps/s/{name}"
    assert done.stderr == (
        f"No space left on device: {where}. What was there before is whole: make room, and repeat the command.\n"
    )
    assert not written.exists() or name == "ledger"
    monkeypatch.undo()
    again = here(*SWEEP, *QUICK, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.parametrize(
    ("subscriber", "message"),
    [
        ("{_target_:own_listener.Lisstener}", "own_listener has no callable 'Lisstener'. Did you mean 'Listener'?"),
        ("{_target_:own_listener.Listener,nmae:x}", "Did you mean 'name'?"),
        ("{_target_:os.system,command:x}", "_target_=os.system is not allowed"),
        ("{_target_:own_listener.not_one,x:1}", "tracking.subscribers: own_listener.not_one is no Subscriber"),
        (
            "{_target_:own_listener.Refuses}",
            "tracking.subscribers: own_listener.Refuses: RuntimeError: there is nobody",
        ),
        ("{name:x}", "tracking.subscribers"),
    ],
)
@pytest.mark.parametrize("mode", [TINY, SWEEP], ids=["run", "sweep"])
def test_a_mistake_gets_a_line_before_anything_is_trained(heard, mode, subscriber, message, tmp_path):
    done = run(tmp_path, *mode, f"tracking.subscribers=[{subscriber}]", status=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert not list(tmp_path.glob("outputs/*/*"))
