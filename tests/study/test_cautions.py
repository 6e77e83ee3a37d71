"""What is said of a winner besides its value."""

import pytest

from pipeline.records import DataFacts, LoadJob, Trial
from pipeline.study.cautions import cautions, majority, no_better_than_guessing, of_guessing
from pipeline.workers.worker import perform
from tests.workers.jobs import config

IRIS = DataFacts("", "", {}, {}, validation_counts=(6, 6, 6))
SKEWED = DataFacts("", "", {}, {}, validation_counts=(7, 2))
EIGHT = ["ties:     8 of 8 trials have val_accuracy 1.0000 on 18 validation examples; the lowest val_loss decides"]
COSTS = DataFacts("", "", {}, {})


def trials(*values, losses=(), best_epoch=3, status="completed"):
    losses = losses or range(len(values))
    return [
        Trial(n, "s", 0, {}, True, status, None, {"val_accuracy": value, "val_loss": loss}, best_epoch)
        for n, (value, loss) in enumerate(zip(values, losses))
    ]


@pytest.mark.parametrize(
    ("ranked", "data", "lines"),
    [
        (trials(0.9, 0.8), IRIS, []),
        (trials(*[1.0] * 8), IRIS, EIGHT),
        (
            trials(1.0, 1.0, 0.9, losses=(0.5, 0.5, 0.1)),
            COSTS,
            ["ties:     2 of 3 trials have val_accuracy 1.0000; the lowest val_loss, then the number, decides"],
        ),
        (
            trials(7 / 9, 0.7),
            SKEWED,
            ["guessing: no trial does better than the majority class alone, val_accuracy 0.7778"],
        ),
        (trials(0.9, 0.8, best_epoch=1), IRIS, ["early:    trial 0 was best in epoch 1; 19 more made it no better"]),
        (trials(0.9, status="completed") + trials(0.9, status="failed"), IRIS, []),  # whose value does not count
    ],
)  # fmt: skip
def test_cautions(ranked, data, lines):
    assert cautions(ranked, "val_accuracy", data, 20) == lines


def test_a_sweep_by_its_loss_is_compared_with_guessing_by_its_accuracy():
    (line,) = cautions(trials(0.5, 0.7), "val_loss", SKEWED, 20)
    assert line.startswith("guessing: no trial does better")


def test_one_epoch_is_no_early_best():
    assert cautions(trials(0.9, best_epoch=1), "val_accuracy", IRIS, 1) == []


@pytest.mark.parametrize(("data", "share"), [(IRIS, 1 / 3), (SKEWED, 7 / 9), (COSTS, None)])
def test_the_majoritys_share(data, share):
    assert majority(data) == share
    said = of_guessing(data, "val_accuracy")
    assert said == ("" if share is None else f" (the majority class alone: {share:.4f})")
    assert of_guessing(data, "val_loss") == ""  # of another measure


@pytest.mark.parametrize(
    ("values", "data", "expected"),
    [([0.7777778, None], SKEWED, True), ([0.78], SKEWED, False), ([None], SKEWED, False), ([0.1], COSTS, False)],
)
def test_no_better_than_guessing(values, data, expected):
    assert no_better_than_guessing(values, data) == expected


def test_a_worker_counts_the_classes_of_the_validation_part():
    costs = {"model.head": "cost", "sweep.metric": "val_loss", "sweep.direction": "minimize"}
    costs["dataset"] = {"_target_": "pipeline.data.sets.quadratic.quadratic", "coefficients": [1, 2, 3], "examples": 4}
    job = LoadJob(0, (config(), config(costs)))
    assert [facts.validation_counts for facts in perform(job, print, bool)] == [(6, 6, 6), ()]


def test_of_a_winner_that_is_paused_nothing_is_said():
    assert cautions([], "val_accuracy", IRIS, 3) == []
