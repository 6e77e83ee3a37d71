"""Events as lines of events.jsonl, there and back, and those that an earlier version wrote."""

import json
import math
import pickle

import pytest

from pipeline.errors import InputError
from pipeline.eventlog import events_of
from pipeline.events import KINDS, STATUSES
from pipeline.jsonl import JsonLines, read
from pipeline.records import (
    Diagnosed,
    Ended,
    EpochEnded,
    Exploited,
    Grouped,
    HandedOut,
    Interrupted,
    Paused,
    Promoted,
    Restarting,
    Started,
    Trial,
    Undiagnosed,
    ended_metrics,
    event_from_json,
)
from tests.conftest import ROOT
from tests.workers.jobs import job

BEST = {"loss": 0.2, "val_loss": 0.3}
LAYERS = {"dense": {"shift": 0.1, "dead_share": None}}
# event, its line
LINES = [
    (
        Started(1.5, 7, 176, 2, "e58d", {"source": "x"}, 3),
        {"time": 1.5, "event": "started", "pid": 7, "parameters": 176, "resumed_after": 2}
        | {"data_fingerprint": "e58d", "data_attributes": {"source": "x"}, "cohort": 3},
    ),
    (
        Grouped(1.5, 2, [0, 3], "fused_xla"),
        {"time": 1.5, "event": "grouped", "epoch": 2, "trials": [0, 3], "mode": "fused_xla"},
    ),
    (Grouped(1.5, 3, [3]), {"time": 1.5, "event": "grouped", "epoch": 3, "trials": [3]}),
    (
        EpochEnded(2.0, 1, BEST, 0.1, 0.25, 0.5),
        {"time": 2.0, "event": "epoch", "epoch": 1, "loss": 0.2, "val_loss": 0.3}
        | {"learning_rate": 0.1, "data_wait": 0.25, "seconds": 0.5},
    ),
    (
        EpochEnded(2.0, 4, {**BEST, "mine": 7.0}, 0.1, 0.0, 0.5, 1.0, LAYERS),
        {"time": 2.0, "event": "epoch", "epoch": 4, "loss": 0.2, "val_loss": 0.3, "mine": 7.0}
        | {"learning_rate": 0.1, "data_wait": 0.0, "seconds": 0.5, "cohort_seconds": 1.0, "diagnostics": LAYERS},
    ),
    (
        EpochEnded(2.0, 1, BEST, hyperparameters={"optimizer.momentum": 0.9}),
        {"time": 2.0, "event": "epoch", "epoch": 1, "loss": 0.2, "val_loss": 0.3, "learning_rate": 0.0}
        | {"data_wait": 0.0, "seconds": 0.0, "hyperparameters": {"optimizer.momentum": 0.9}},
    ),
    (
        Exploited(2.0, 4, 7, {"optimizer.momentum": 0.9}),
        {"time": 2.0, "event": "exploited", "epoch": 4, "source": 7, "params": {"optimizer.momentum": 0.9}},
    ),
    (
        Diagnosed(3.0, 0, 1.25, LAYERS),
        {"time": 3.0, "event": "diagnosed", "epoch": 0, "probe_loss": 1.25, "diagnostics": LAYERS},
    ),
    (Diagnosed(3.0, 0), {"time": 3.0, "event": "diagnosed", "epoch": 0, "diagnostics": {}}),
    (Undiagnosed(3.0, "why"), {"time": 3.0, "event": "undiagnosed", "reason": "why"}),
    (
        Paused(4.0, 3, 2, BEST, 0.5),
        {"time": 4.0, "event": "paused", "status": "paused", "reason": None, "epochs": 3, "best_epoch": 2}
        | {"metrics": BEST, "seconds": 0.5},
    ),
    (
        Ended(5.0, "completed", None, 3, 2, BEST, 0.5),
        {"time": 5.0, "event": "ended", "status": "completed", "reason": None, "epochs": 3, "best_epoch": 2}
        | {"metrics": BEST, "seconds": 0.5},
    ),
    (
        Ended(5.0, "diverged", "loss is nan", seconds=0.5),  # in its first epoch
        {"time": 5.0, "event": "ended", "status": "diverged", "reason": "loss is nan", "epochs": 0, "best_epoch": 0}
        | {"metrics": {}, "seconds": 0.5},
    ),
    (
        Ended(5.0, "pruned", "why", 3, 2, BEST),
        {"time": 5.0, "event": "ended", "status": "pruned", "reason": "why", "epochs": 3, "best_epoch": 2}
        | {"metrics": BEST},
    ),
    (
        Ended(5.0, "failed", "why", input_error=True),
        {"time": 5.0, "event": "ended", "status": "failed", "reason": "why", "input_error": True},
    ),
    (
        Ended(5.0, "failed", "why", input_error=False),
        {"time": 5.0, "event": "ended", "status": "failed", "reason": "why", "input_error": False},
    ),
    (Ended(5.0, "failed", "died"), {"time": 5.0, "event": "ended", "status": "failed", "reason": "died"}),
    (Interrupted(6.0), {"time": 6.0, "event": "interrupted"}),
    (Restarting(6.0, "why"), {"time": 6.0, "event": "restarting", "reason": "why"}),
    (Promoted(6.0, 3), {"time": 6.0, "event": "promoted", "epoch": 3}),
]


@pytest.mark.parametrize(("event", "line"), LINES, ids=[f"{line['event']} {i}" for i, (_, line) in enumerate(LINES)])
def test_an_event_is_a_line_and_a_line_is_the_event(event, line):
    assert event.to_json() == line
    assert event_from_json(json.loads(json.dumps(line))) == event


def test_every_kind_of_event_that_is_logged_is_above():
    assert {line["event"]: type(event) for event, line in LINES} == KINDS
    assert HandedOut not in KINDS.values()  # the ledger has it, the trial's log does not


def test_an_epoch_begins_with_what_a_person_looks_for():
    line = next(event for event, line in LINES if line["event"] == "epoch").to_json()
    assert list(line)[:4] == ["time", "event", "epoch", "loss"]


def test_what_is_not_finite_is_null_on_disk_and_nan_when_asked_for(tmp_path):
    log = JsonLines(tmp_path / "events.jsonl", durable=False)
    log.append(EpochEnded(1.0, 1, {"loss": math.nan, "val_loss": math.inf, "accuracy": 0.5}).to_json())
    log.close()
    (line,) = read(tmp_path / "events.jsonl")
    assert (line["loss"], line["val_loss"]) == (None, None)
    event = event_from_json(line)
    assert event.value("accuracy") == 0.5
    assert all(math.isnan(event.value(name)) for name in ("loss", "val_loss", "absent"))


@pytest.mark.parametrize("line", [{"event": "of a later version", "time": 1.0}, {"time": 1.0}, {"event": None}])
def test_a_line_of_a_kind_that_is_not_known_is_no_event(line):
    assert event_from_json(line) is None


# Keys of a whole line that its kind can't do without.
NEEDED = {
    "started": {"pid": 7},
    "grouped": {"epoch": 2, "trials": [0]},
    "epoch": {"epoch": 1},
    "exploited": {"epoch": 4, "source": 7, "params": {}},
    "diagnosed": {"epoch": 0},
    "undiagnosed": {"reason": "why"},
    "paused": {"epochs": 3, "best_epoch": 2, "metrics": BEST},
    "ended": {"status": "completed"},
    "interrupted": {},
    "restarting": {"reason": "why"},
    "promoted": {},
}
BAD = [
    ({"event": "started", "pid": "seven"}, "event started.pid=seven must be a whole number."),
    ({"event": "grouped", "epoch": 1, "trials": "03"}, "event grouped.trials=03 must be a list."),
    ({"event": "epoch", "epoch": 1.5}, "event epoch.epoch=1.5 must be a whole number."),
    ({"event": "epoch", "epoch": 1, "loss": "low"}, "event epoch.metrics.loss=low must be a number."),
    ({"event": "ended", "status": None}, "event ended.status=None is not known. Allowed: " + ", ".join(STATUSES) + "."),
    ({"event": "ended", "status": "completed", "metrics": 3}, "event ended.metrics=3 must be a section with keys."),
    *(
        (
            {"event": kind, **{name: value for name, value in values.items() if name != key}},
            f"event {kind}.{key} is missing.",
        )
        for kind, values in NEEDED.items()
        for key in values
    ),
]


def test_the_keys_that_are_needed_are_enough():
    assert {kind: type(event_from_json({"event": kind, **values})) for kind, values in NEEDED.items()} == KINDS


@pytest.mark.parametrize(("line", "message"), BAD, ids=[message for _, message in BAD])
def test_a_line_that_is_no_event_is_refused_by_file_line_and_key(tmp_path, line, message):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"event": "interrupted"}) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(InputError) as raised:
        list(events_of(tmp_path))
    assert str(raised.value) == f"{path}: line 2: {message}"


@pytest.mark.parametrize("kind", NEEDED)
def test_a_key_of_a_later_version_is_left_out_but_for_a_metric(kind):
    event = event_from_json({"event": kind, **NEEDED[kind], "later": 1.0})
    known = event_from_json({"event": kind, **NEEDED[kind]})
    assert event == (EpochEnded(0.0, 1, {"later": 1.0}) if kind == "epoch" else known)


# A line of the first versions lacks what later ones added.
EARLY = [
    ({"event": "started", "pid": 7}, Started(0.0, 7, 0, 0, "", {}, 1)),
    ({"event": "epoch", "epoch": 2, "time": 1.0, "loss": 0.5}, EpochEnded(1.0, 2, {"loss": 0.5})),
    ({"event": "ended", "status": "completed"}, Ended(0.0, "completed")),
    ({"event": "diagnosed", "epoch": 0}, Diagnosed(0.0, 0)),
    (
        {"event": "paused", "epochs": 2, "best_epoch": 1, "metrics": {"loss": 1}, "reason": None},
        Paused(0.0, 2, 1, {"loss": 1.0}),
    ),
]


@pytest.mark.parametrize(("line", "event"), EARLY, ids=[line["event"] for line, _ in EARLY])
def test_what_a_line_lacks_has_the_value_of_the_version_that_wrote_it(line, event):
    assert event_from_json(line) == event


LOGS = sorted((ROOT / "tests/fixtures/begun_earlier").rglob("events.jsonl"))


def test_there_are_logs_of_an_earlier_version():
    kinds = {line["event"] for log in LOGS for line in read(log)}
    assert kinds >= {"started", "epoch", "paused", "ended", "interrupted"}


@pytest.mark.parametrize("log", LOGS, ids=[str(log.parent.relative_to(LOGS[0].parents[1])) for log in LOGS])
def test_every_line_of_an_earlier_version_keeps_its_keys_and_values(log):
    for line in read(log):
        assert event_from_json(line).to_json() == line


def test_a_trials_status_as_it_is_shown():
    facts = [{"status": status, "started": True} for status in STATUSES[:4]]
    facts += [{"started": True}, {"started": True, "paused": True, "reached": 3}, {}]
    assert [Trial(0, "s", 0, {}, **each).shown_status for each in facts] == list(STATUSES)
    assert STATUSES == ("completed", "pruned", "diverged", "failed", "interrupted", "paused", "waiting")


def test_an_end_after_which_a_trial_started_again_is_none(tmp_path):
    epoch, end, again = EpochEnded(1.0, 1, BEST), Ended(2.0, "failed", "full", lacked="disk"), Restarting(3.0, "")
    log = JsonLines(tmp_path / "events.jsonl", durable=False)
    for event, left in [(epoch, [epoch]), (end, [epoch, end]), (again, [epoch, again]), (end, [epoch, again, end])]:
        log.append(event.to_json())
        assert list(events_of(tmp_path)) == left
    log.close()


@pytest.mark.parametrize(
    ("status", "counts"), [("completed", True), ("pruned", True), ("diverged", False), ("failed", False), (None, False)]
)
def test_only_the_metrics_of_a_good_end_count(status, counts):
    assert ended_metrics(Trial(0, "s", 0, {}, status=status, metrics=BEST)) == (BEST if counts else {})


def test_a_job_arrives_as_it_was_sent(tmp_path):
    sent = job(tmp_path, 3)
    assert pickle.loads(pickle.dumps(sent)) == sent
