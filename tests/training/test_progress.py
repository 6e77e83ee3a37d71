import math
from dataclasses import asdict

import pytest

from pipeline.objective import Objective
from pipeline.training.progress import Progress, not_finite

ACCURACY, LOSS = Objective(), Objective("val_loss", "minimize")


def metrics(accuracy, loss=1.0):
    return {"val_accuracy": accuracy, "val_loss": loss}


@pytest.mark.parametrize(
    ("objective", "history", "better", "best_epoch"),
    [
        (ACCURACY, [metrics(0.1)], [True], 1),
        (ACCURACY, [metrics(0.0, 99)], [True], 1),  # the first is the best so far, whatever it is
        (ACCURACY, [metrics(0.5), metrics(0.4), metrics(0.6)], [True, False, True], 3),
        (ACCURACY, [metrics(0.5), metrics(0.5), metrics(0.5)], [True, False, False], 1),  # equal is not better
        (ACCURACY, [metrics(0.5, 1.0), metrics(0.5, 0.9), metrics(0.5, 0.95)], [True, True, False], 2),
        (LOSS, [metrics(0.5, 1.0), metrics(0.9, 1.1), metrics(0.1, 0.9)], [True, False, True], 3),
    ],
)
def test_update(objective, history, better, best_epoch):
    progress = Progress()
    assert [progress.update(row, objective) for row in history] == better
    assert progress.epoch == len(history)
    assert (progress.best_epoch, progress.best_metrics) == (best_epoch, history[best_epoch - 1])


def test_the_best_metrics_are_a_copy():
    progress, row = Progress(), metrics(0.5)
    progress.update(row, ACCURACY)
    row["val_accuracy"] = 0.9
    assert progress.best_metrics == metrics(0.5)


@pytest.mark.parametrize(
    ("epoch", "best_epoch", "patience", "over"),
    [
        (0, 0, 1, False),
        (1, 1, 1, False),
        (2, 1, 1, True),
        (3, 1, 3, False),
        (4, 1, 3, True),
        (9, 1, 3, True),
        (1000, 1, None, False),
    ],
)
def test_patience_is_over(epoch, best_epoch, patience, over):
    assert Progress(epoch, best_epoch).patience_is_over(patience) == over


def test_a_progress_survives_as_a_dict():
    progress = Progress(seconds=1.5)
    progress.update(metrics(0.5), ACCURACY)
    assert Progress(**asdict(progress)) == progress
    expected = {"epoch": 1, "best_epoch": 1, "best_metrics": metrics(0.5), "seconds": 1.5, "cohort": 1}
    assert asdict(progress) == {**expected, "members": [], "last_metrics": metrics(0.5)}
    assert Progress(**expected).last_metrics == {}  # as earlier versions saved it


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({}, None),
        ({"loss": 1.0, "val_loss": -3.0}, None),
        ({"loss": math.nan}, "loss"),
        ({"loss": 1.0, "val_loss": math.inf}, "val_loss"),
        ({"loss": -math.inf, "val_loss": math.nan}, "loss"),
        ({"loss": 1e308}, None),
    ],
)
def test_not_finite(row, name):
    assert not_finite(row) == name
