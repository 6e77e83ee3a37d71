import math

import pytest

from pipeline.objective import Objective

ACCURACY = Objective("val_accuracy", "maximize")
LOSS = Objective("val_loss", "minimize")


def metrics(accuracy, loss):
    return {"val_accuracy": accuracy, "val_loss": loss}


@pytest.mark.parametrize(
    ("objective", "better", "worse"),
    [
        (ACCURACY, metrics(0.9, 5.0), metrics(0.8, 0.1)),
        (ACCURACY, metrics(0.9, 0.3), metrics(0.9, 0.4)),
        (ACCURACY, metrics(0.0, 9.9), metrics(math.nan, 0.1)),
        (ACCURACY, metrics(0.0, 9.9), metrics(None, 0.1)),
        (ACCURACY, metrics(0.0, 9.9), {"val_loss": 0.1}),
        (ACCURACY, metrics(0.9, 0.4), metrics(0.9, math.nan)),
        (ACCURACY, metrics(0.9, 0.4), metrics(0.9, math.inf)),
        (ACCURACY, metrics(0.1, 0.4), metrics(math.inf, 0.4)),
        (LOSS, metrics(0.1, 0.3), metrics(0.9, 0.4)),
        (LOSS, metrics(0.1, 1e30), metrics(0.9, math.inf)),
        (LOSS, metrics(0.1, 1e30), metrics(0.9, -math.inf)),
        (LOSS, metrics(0.1, 1e30), {}),
        (Objective("val_accuracy", "minimize"), metrics(0.1, 9.0), metrics(0.2, 0.1)),
        (Objective("val_loss", "maximize"), metrics(0.1, 9.0), metrics(0.2, 0.1)),
    ],
)
def test_better_scores_higher(objective, better, worse):
    assert objective.score(better) > objective.score(worse)
    assert not objective.score(worse) > objective.score(better)


@pytest.mark.parametrize("objective", [ACCURACY, LOSS])
def test_equals_score_the_same(objective):
    assert objective.score(metrics(0.5, 0.7)) == objective.score(metrics(0.5, 0.7))
    assert objective.score({}) == objective.score(metrics(math.nan, None))


def test_the_default_is_validation_accuracy_upwards():
    assert Objective() == ACCURACY


def test_scores_sort():
    rows = [metrics(0.8, 0.1), metrics(0.9, 0.5), {}, metrics(0.9, 0.2)]
    assert sorted(rows, key=ACCURACY.score, reverse=True) == [rows[3], rows[1], rows[0], rows[2]]
