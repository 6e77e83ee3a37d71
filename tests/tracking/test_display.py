"""What the terminal says besides results: of waiting for data, of layers that can't be measured."""

import pytest

from pipeline.records import DataFacts, EpochEnded, Trial, Undiagnosed, event_from_json
from pipeline.tracking.display import Notes, SweepDisplay, TrialDisplay, print_data

HINT = "training waits for data for 60% of an epoch. If they are streamed from a file: hold them in memory"


def epoch(number=2, wait=0.6, seconds=3.0, **more):
    return EpochEnded(0.0, number, {}, data_wait=wait, seconds=seconds, **more)


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


@pytest.mark.parametrize("display", [TrialDisplay(3, ["loss"]), SweepDisplay("val_loss")], ids=["run", "sweep"])
def test_why_layers_are_not_measured_is_said_once(display, capsys):
    for number in range(3):
        display.on(Trial(number, "s", 0, {}), Undiagnosed(0.0, "ValueError: [no] tensor"))
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "training goes on without train.diagnostics, which failed: ValueError: [no] tensor"


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
