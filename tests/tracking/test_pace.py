"""How far a sweep is, and how long the rest takes: events in, epochs and seconds out."""

import pytest

from pipeline.objective import Objective
from pipeline.records import Ended, EpochEnded, Started, Trial
from pipeline.tracking.pace import Pace, PlannedStage
from pipeline.tracking.subscriber import StageBegan

ACCURACY = Objective("val_accuracy", "maximize")


def trial(number, stage="random", **more):
    return Trial(number, stage, 0, {}, **more)


def feed(pace, *steps):
    """Each step: a generation that begins, or a trial's number with `start`, an epoch and its accuracy, or its end."""
    for step in steps:
        match step:
            case StageBegan():
                pace.on(None, step)
            case (number, "start", after, stage):
                pace.on(trial(number, stage), Started(0.0, 1, resumed_after=after))
            case (number, int(epoch), accuracy, seconds, stage):
                metrics = {"val_accuracy": accuracy, "val_loss": 1.0}
                pace.on(trial(number, stage), EpochEnded(seconds, epoch, metrics, seconds=1.0))
            case (number, str(status), epochs, stage):
                pace.on(trial(number, stage), Ended(0.0, status, epochs=epochs))
    return pace


def began(total, ended=0, to_come=0, stage="random"):
    return StageBegan(stage, "", total, ended, to_come)


def of(numbers, epochs, stage="random", accuracy=0.5):
    """The same epochs of several trials, in turn: one a second, from 100 on."""
    for epoch in epochs:
        yield from ((n, epoch, accuracy, 100.0 + epoch, stage) for n in numbers)


ONE = [PlannedStage("random", 4, 10)]
TWO = [PlannedStage("coarse", 4, 5), PlannedStage("fine", 2, 20)]
RUNGS = [PlannedStage("random", 9, 9, (1, 3), 3)]  # 1 + 2 / 3 + 6 / 9 epochs on the average


@pytest.mark.parametrize(
    ("what", "stages", "steps", "epochs", "total"),
    [
        ("nothing yet", ONE, [], 0, 40),
        ("a cohort in its third epoch", ONE, [began(4), *of(range(4), (1, 2, 3))], 12, 40),
        ("one of two cohorts", ONE, [began(4), *of((0, 1), (1, 2))], 4, 40),
        ("stages", TWO, [began(4, stage="coarse"), *of((0, 1), (1,), "coarse")], 2, 4 * 5 + 2 * 20),
        ("a space with fewer different trials", ONE, [began(3)], 0, 30),
        ("a stage that had fewer trials", TWO, [began(4, stage="coarse"), began(2, stage="fine")], 0, 40),
        ("generations", ONE, [began(2, to_come=2), *of((0, 1), (1,))], 2, 40),
        ("a failure spares its epochs", ONE, [began(4), *of((0,), (1,)), (0, "failed", 1, "random")], 1, 31),
        # 5 of 10 epochs: the three that have not begun are taken to train half of theirs, too
        ("early stopping", ONE, [began(4), *of((0,), range(1, 6)), (0, "completed", 5, "random")], 5, 20),
        ("a restart repeats epochs", ONE, [began(4), *of((0,), (1, 2)), (0, "start", 1, "random")], 2, 41),
        ("rungs", RUNGS, [], 0, 21),
        ("all at the first rung", RUNGS, [began(9), *of(range(9), (1,))], 9, 9 + 9 * (2 + 6 / 3) / 3),
        (
            "the best third goes on from the first rung",
            RUNGS,
            [began(9), *of(range(9), (1,)), *((n, "pruned", 1, "random") for n in range(6))],
            9,
            9 + 3 * (2 + 6 / 3),
        ),
        (
            "past the first rung",
            RUNGS,
            [began(9), *of(range(9), (1,)), *((n, "pruned", 1, "random") for n in range(6)), *of((6, 7, 8), (2,))],
            12,
            12 + 3 * (1 + 6 / 3),
        ),
        (
            "one that was pruned goes on",
            ONE,
            [began(4), *of((0,), (1,)), (0, "pruned", 1, "random"), (0, "start", 1, "random"), *of((0,), (2,))],
            2,
            40,
        ),
    ],
)
def test_the_total_is_what_the_plan_says_corrected_as_trials_end(what, stages, steps, epochs, total):
    progress = feed(Pace(stages, ACCURACY), *steps).progress(0.0)
    assert (progress.epochs, progress.total) == (epochs, pytest.approx(total))


def test_what_an_earlier_start_did_counts_as_trials():
    earlier = [
        trial(0, status="completed", metrics={"val_accuracy": 0.9}),
        trial(1, status="diverged", metrics={"val_accuracy": 0.99}),
        trial(2, started=True, metrics={"val_accuracy": 0.7}),
        trial(3),
    ]
    pace = feed(Pace(ONE, ACCURACY, earlier), began(4, ended=2), (2, "start", 6, "random"))
    progress = pace.progress(0.0)
    assert (progress.epochs, progress.total, progress.ended, progress.trials) == (0, 4 + 10, 2, 4)
    assert progress.best == (0, 0.9)


def test_seconds_left_are_those_that_an_epoch_took_so_far():
    pace = Pace(ONE, ACCURACY)
    assert pace.progress(90.0).seconds_left is None
    feed(pace, began(4), *of(range(4), (1, 2)))  # from 100 to 102
    assert pace.progress(102.0).seconds_left == pytest.approx(32 * 2 / 8)
    assert pace.progress(104.0).seconds_left == pytest.approx(32 * 4 / 8)  # it is not soon because nothing happens


@pytest.mark.parametrize(
    ("steps", "best"),
    [
        ([], None),
        ([(0, 1, 0.5, 0.0, "random"), (1, 1, 0.7, 0.0, "random"), (1, 2, 0.6, 0.0, "random")], (1, 0.7)),
        ([(0, 1, 0.5, 0.0, "random"), (1, 1, None, 0.0, "random")], (0, 0.5)),
        # what it reached before it diverged does not count
        ([(0, 1, 0.5, 0.0, "random"), (1, 1, 0.7, 0.0, "random"), (1, "diverged", 1, "random")], (0, 0.5)),
    ],
)
def test_the_best_so_far(steps, best):
    assert feed(Pace(ONE, ACCURACY), began(4), *steps).progress(0.0).best == best
