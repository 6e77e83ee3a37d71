"""What the terminal says besides results: of waiting for data, of layers that can't be measured."""

import os
import pty
import re
import subprocess
import sys
import textwrap
from unittest import mock

import pytest

from pipeline.objective import Objective
from pipeline.records import DataFacts, Ended, EpochEnded, Exploited, Trial, Undiagnosed, event_from_json
from pipeline.tracking.display import print_data
from pipeline.tracking.live import Notes, SweepDisplay, TrialDisplay
from pipeline.tracking.pace import Pace, PlannedStage
from pipeline.tracking.subscriber import StageBegan
from tests.conftest import ROOT

HINT = "training waits for data for 60% of an epoch. If they are streamed from a file: hold them in memory"


def epoch(number=2, wait=0.6, seconds=3.0, **more):
    return EpochEnded(0.0, number, {}, data_wait=wait, seconds=seconds, **more)


def sweep_display(n_trials=4, epochs=10):
    pace = Pace([PlannedStage("random", n_trials, epochs)], Objective("val_loss", "minimize"))
    return SweepDisplay("val_loss", pace, ["optimizer.learning_rate", "model.hidden_units"])


@pytest.fixture
def said(capsys):
    """What is said of epochs one after another, line by line."""

    def said(*events):
        notes = Notes()
        for event in events:
            notes.on(event)
        return capsys.readouterr().out.splitlines()

    return said


def test_it_is_said_once(said):
    (line,) = said(epoch(2), epoch(3, wait=0.9), epoch(4))
    assert line.startswith(HINT)


@pytest.mark.parametrize(
    ("what", "event"),
    [
        ("the first epoch", epoch(1)),
        ("an epoch of less than a second", epoch(seconds=0.9)),
        ("a wait that matters little", epoch(wait=0.33)),
        ("data on the device", epoch(wait=0.0)),
        ("an event of an earlier version", event_from_json({"event": "epoch", "epoch": 2, "seconds": 3.0})),
    ],
)
def test_it_is_not_said_of(said, what, event):
    assert said(event) == []
    assert len(said(event, epoch(5))) == 1  # and stays to be said


def test_an_epoch_of_a_cohort_counts_as_the_whole(said):
    """A trial's own seconds are its share."""
    assert len(said(epoch(seconds=0.1, cohort_seconds=2.0))) == 1
    assert said(epoch(seconds=0.1, cohort_seconds=0.9)) == []


@pytest.mark.parametrize("make", [lambda: TrialDisplay(3, ["loss"]), sweep_display], ids=["run", "sweep"])
def test_why_layers_are_not_measured_is_said_once(make, capsys):
    display = make()
    for number in range(3):
        display.on(Trial(number, "s", 0, {}), Undiagnosed(0.0, "ValueError: [no] tensor"))
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "training goes on without train.diagnostics, which failed: ValueError: [no] tensor"


def test_who_copies_whom_in_a_population_is_a_line(capsys):
    display = sweep_display()
    for number in range(3):
        display.on(Trial(number, "s", 0, {}), Exploited(0.0, 0, number, {}))  # the beginning
    for epoch_, copies in ((4, [(3, 1), (7, 5)]), (8, [(2, 5)])):
        for target, source in copies:
            display.on(Trial(target, "s", 0, {}), Exploited(0.0, epoch_, source, {}))
        display.on(Trial(0, "s", 0, {}), epoch(epoch_ + 1))
    lines = [line for line in capsys.readouterr().out.splitlines() if "cop" in line]
    assert lines == ["  epoch   4  trials 3, 7 copy 1, 5", "  epoch   8  trial 2 copies 5"]


def test_what_is_ignored_of_a_file_is_said_with_the_data(capsys):
    print_data(DataFacts("f", "3 examples", {}, {}, ["u.csv: ignored are more, which are no inputs of this model."]))
    lines = ["data: 3 examples", "u.csv: ignored are more, which are no inputs of this model."]
    assert capsys.readouterr().out.splitlines() == lines


def test_waiting_is_shown_of_epochs_that_last(capsys):
    display = TrialDisplay(3, ["loss"])
    for event in (epoch(1, 0.6, 0.05), epoch(2, 0.6, 0.2)):
        display.on(Trial(0, "s", 0, {}), event)
    short_, long = (line.split() for line in capsys.readouterr().out.splitlines())
    assert (short_[-3], long[-3]) == ("-", "60%")


@pytest.mark.parametrize(
    ("seconds", "lines"),  # of an epoch of all; the epochs at which a line says how far it is
    [(0.1, []), (3.0, [4, 8]), (6.0, [2, 4, 6, 8, 10]), (100.0, [*range(2, 11)])],
)
def test_a_log_says_now_and_then_how_far_a_sweep_is(capsys, seconds, lines):
    with mock.patch("time.time", return_value=1000.0) as clock:
        display = sweep_display()
        display.on(None, StageBegan("random", "stage random", 4, 0))
        for number in range(1, 11):
            clock.return_value += seconds
            for trial in range(4):
                display.on(
                    Trial(trial, "random", 0, {}),
                    EpochEnded(clock.return_value, number, {"val_loss": 1 / number}, seconds=seconds),
                )
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("progress: ")]
    assert [int(line.split()[1]) for line in said] == [4 * n - 4 for n in lines]  # with all trials of the epoch before
    if seconds == 6.0:
        assert said[0] == (
            "progress: 4 of 40 epochs, 0 of 4 trials ended, 12 s, about 1 min 48 s left; best val_loss 1.0000, trial 0"
        )


def test_what_ends_is_said_at_once(capsys):
    display = sweep_display()
    params = {"optimizer.learning_rate": 0.12345678, "model.hidden_units": [8, 8]}
    display.on(Trial(7, "random", 0, params), Ended(0.0, "failed", "out of memory", 3))
    display.on(Trial(8, "random", 0, params), Ended(0.0, "completed", None, 3, metrics={"val_loss": 0.25}))
    replicate = Trial(9, "random", 0, {"seed": 5}, replicate_of=8)
    display.on(replicate, Ended(0.0, "completed", None, 3, metrics={"val_loss": 0.5}))
    assert capsys.readouterr().out.splitlines() == [
        "  trial   7  failed: out of memory  learning_rate=0.1235  hidden_units=[8,8]",
        "  trial   8  val_loss 0.2500  learning_rate=0.1235  hidden_units=[8,8]",
        "  trial   9, a replicate of trial 8  val_loss 0.5000  seed=5",
    ]


SHOWN = """
    import time
    from pipeline.records import Ended, EpochEnded, Started, Trial
    from pipeline.tracking.live import SweepDisplay, TrialDisplay
    from pipeline.tracking.subscriber import StageBegan
    from tests.tracking.test_display import sweep_display

    display = sweep_display(24, 20)
    ranges = ", ".join(f"model.some_key_{n} interval(0.001, 1)" for n in range(8))
    display.on(None, StageBegan("random", f"stage random: 24 trials\\n  {ranges}", 24, 0))
    for number in range(24):
        metrics = {"val_loss": 0.25 + number}
        trial = Trial(number, "random", 0, {f"model.some_key_{n}": 0.12345 for n in range(8)})
        display.on(trial, EpochEnded(time.time(), 1, metrics, seconds=0.1))
    time.sleep(0.3)
    display.on(trial, Ended(time.time(), "failed", "it is a long story " * 9))
    display.close()
    display = TrialDisplay(3, ["loss", "accuracy"])
    display.close()
    display.on(trial, Started(0.0, 1))
    display.on(trial, EpochEnded(0.0, 1, {"val_accuracy": 0.98765}, 0.00123456, 0.5, 100.0))
"""


def test_a_terminal_of_80_letters_shows_whole_words_and_a_bar_over_all_epochs():
    controller, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "LINES": "40", "TERM": "xterm"}
    command = [sys.executable, "-c", textwrap.dedent(SHOWN)]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment, cwd=ROOT):
        os.close(terminal)
        raw = b""
        while True:
            try:
                raw += (piece := os.read(controller, 65536))
            except OSError:  # the other end is closed
                break
            if not piece:
                break
    os.close(controller)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", raw.decode()))
    assert max(map(len, lines)) <= 80
    bar = next(line for line in reversed(lines) if "━ 24" in line)
    lines = [line for line in lines if "━" not in line]
    assert not any("…" in line for line in lines)
    assert re.search(r"━ 24/461 epochs  0:0\d, \d+:\d\d left  best 0\.2500, trial 0$", bar)
    words = " ".join(lines).split()
    assert words.count("story") == 9
    assert {f"model.some_key_{n}=0.1235" for n in range(8)} <= set(words)
    assert lines[-4:-1] == [
        "epoch     loss  accuracy  val_loss      val_  learning_  data_wait  left",
        "                                    accuracy       rate",
        "    1        -         -         -    0.9877   0.001235        50%  3 min 20 s",
    ]
