"""Arms against each other, point by point: what is paired, and what the pairs say."""

import csv

import pytest
from scipy import stats

from pipeline.objective import Objective
from pipeline.records import EpochEnded, Trial
from pipeline.study.arms import compared, label, lines, write
from pipeline.study.differences import interval_of_mean, paired
from tests.study.stubbed import plan_of, run

BOTH = ["optimizer=adam", "optimizer=sgd"]


def trial(number, arm, pair, value, status="completed", stage="random"):
    metrics = {} if value is None else {"val_accuracy": value, "val_loss": 1 - value}
    return Trial(number, stage, arm, {}, status=status, metrics=metrics, pair=pair)


def of(*values, labels=BOTH, objective=None, curve=lambda t: []):
    """values: of the arms at each point."""
    trials = [trial(2 * i + arm, arm, i, value) for i, row in enumerate(values) for arm, value in enumerate(row)]
    (row,) = compared(trials, labels, objective or Objective(), curve)
    return row


@pytest.mark.parametrize("values", [[0.1, 0.3], [1.0, 2.0, 4.0], [0.5, 0.1, 0.2, 0.7, -0.3], [0.2] * 4])
def test_the_interval_is_that_of_students_t(values):
    low, high = interval_of_mean(values)
    if len(set(values)) > 1:
        expected = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values))
        assert (low, high) == pytest.approx(expected)
    else:
        assert (low, high) == pytest.approx((0.2, 0.2))


def test_a_difference_of_pairs():
    difference = paired([0.9, 0.8, 0.7], [0.8, 0.71, 0.59])
    assert difference.mean == pytest.approx(0.1)
    assert difference.tells
    assert difference.swapped().mean == -difference.mean
    assert (difference.swapped().low, difference.swapped().high) == (-difference.high, -difference.low)
    assert not paired([0.9, 0.7], [0.8, 0.8]).tells
    assert paired([0.9], [0.8]) is None
    assert str(paired([2.0, 2.0], [1.0, 1.0])) == "+1.0000 on the average, 95 % interval +1.0000 to +1.0000"


def test_the_better_comes_first():
    row = of((0.5, 0.6), (0.7, 0.9), (0.1, 0.2))
    assert (row.arm, row.against) == ("optimizer=sgd", "optimizer=adam")
    assert row.difference.mean == pytest.approx(0.4 / 3)
    assert row.trials == ((1, 0), (3, 2), (5, 4))
    assert row.best == (0.9, 0.7)
    loss = of((0.5, 0.6), (0.7, 0.9), (0.1, 0.2), objective=Objective("val_loss", "minimize"))
    assert (loss.arm, loss.difference.mean) == ("optimizer=sgd", pytest.approx(-0.4 / 3))


def test_only_points_with_a_result_of_both_count():
    trials = [
        trial(0, 0, 0, 0.5),
        trial(1, 1, 0, 0.4),
        trial(2, 0, 1, 0.9),
        trial(3, 1, 1, None, "diverged"),
        trial(4, 1, 2, 0.8),  # the other arm had nothing new there
        trial(5, 0, 3, 0.6),
        trial(6, 1, 3, None, None),  # has not ended
        trial(7, 0, 0, 0.5, stage="fine"),  # the same number, in another stage
        trial(8, 1, 0, 0.3, stage="fine"),
        trial(9, 0, None, 0.1),  # of an earlier version
        trial(10, 1, None, 0.1),
    ]
    (row,) = compared(trials, BOTH, Objective(), lambda t: [])
    assert (row.trials, row.lost) == (((0, 1), (7, 8)), 2)
    assert row.difference.mean == pytest.approx(0.15)


def test_who_was_pruned_is_compared_after_the_epochs_that_both_trained():
    curves = {0: [0.5, 0.4, 0.9], 1: [0.3, 0.45], 2: [0.5], 3: [0.4, 0.6]}
    trials = [trial(0, 0, 0, 0.9), trial(1, 1, 0, 0.45, "pruned"), trial(2, 0, 1, 0.5), trial(3, 1, 1, 0.6, "pruned")]

    def curve(t):
        return [EpochEnded(0.0, i, {"val_accuracy": v}) for i, v in enumerate(curves[t.number], start=1)]

    (row,) = compared(trials, BOTH, Objective(), curve)
    assert row.difference.mean == pytest.approx(((0.5 - 0.45) + (0.5 - 0.4)) / 2)


def test_seeds_repeat_a_comparison():
    crossed = [{"optimizer": name, "seed": seed} for name in ("adam", "sgd") for seed in (0, 1)]
    labels = [label(values) for values in crossed]
    assert labels == ["optimizer=adam", "optimizer=adam", "optimizer=sgd", "optimizer=sgd"]
    trials = [trial(0, 0, 0, 0.5), trial(1, 1, 1, 0.6), trial(2, 2, 0, 0.4), trial(3, 3, 1, 0.55)]
    (row,) = compared(trials, labels, Objective(), lambda t: [])
    assert row.trials == ((0, 2), (1, 3))


def test_many_arms_are_a_file_and_a_few_lines(tmp_path):
    labels = [f"model.l2={n}" for n in range(8)]
    trials = [trial(8 * i + n, n, i, 0.5 + n / 100 + i / 10) for i in range(3) for n in range(8)]
    rows = compared(trials, labels, Objective(), lambda t: [])
    said = list(lines(rows, "model.l2=7", "val_accuracy"))
    assert len(said) == 11
    assert said[0] == "arms:     model.l2=7 against model.l2=0, 3 points:"
    assert said[1] == "          val_accuracy +0.0700 on the average, 95 % interval +0.0700 to +0.0700"
    assert said[-1] == "          arms.csv has all 28 comparisons"
    assert max(map(len, said)) <= 80
    write(tmp_path / "arms.csv", rows, "val_accuracy")
    table = list(csv.DictReader((tmp_path / "arms.csv").open()))
    assert len(table) == 28
    assert table[0]["mean_difference_val_accuracy"].startswith("0.01")
    assert (table[0]["arm"], table[0]["against"], table[0]["pairs"]) == ("model.l2=1", "model.l2=0", "3")


@pytest.mark.parametrize(
    ("sweep", "n_pairs"),
    [
        (["sweep.n_trials=10"], 5),
        (["sweep.n_trials=11"], 5),
        (["sweep.n_trials=20", "seed=0,1"], 10),
        (["sweep=grid", "sweep.points=3"], 3),
        (["sweep=coarse_to_fine", "sweep.n_trials=18", "sweep.stop_seeds=null"], 9),
        (["sweep=grid", "sweep.points=3", "optimizer.momentum=choice(0.5,0.9)"], 0),  # other points
    ],
)
def test_each_sampler_says_which_trials_are_of_one_point(tmp_path, sweep, n_pairs):
    """The two ranges of the learning rate differ, and so do the values: the place in the range is the same."""
    line = [*sweep, "sweep.max_tier=1", "optimizer=adam,momentum", "executor.fuse=never"]
    study, _ = run(tmp_path / "s", lambda config, epoch: 0.5, *line)
    labels = [label(arm.crossed) for arm in plan_of(*line).arms]
    (row,) = compared(study.ledger.sampled, labels, study.objective, lambda t: [])
    assert len(row.trials) == n_pairs
    for first, second in row.trials:
        a, b = (study.ledger.trials[n] for n in (first, second))
        assert a.stage == b.stage
        assert a.params.get("seed") == b.params.get("seed")
        if a.stage in ("random", "coarse"):
            shares = []
            for t in (a, b):
                space = study.plan.arms[t.arm].space["optimizer.learning_rate"]
                low, high = space.ends()
                shares.append((space.coordinate(t.params["optimizer.learning_rate"]) - low) / (high - low))
            assert shares[0] == pytest.approx(shares[1], abs=1e-4)
