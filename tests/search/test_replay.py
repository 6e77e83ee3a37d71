"""Replays of searches on tables of curves, on tables so small that the answer is known."""

import numpy as np
import pytest

from pipeline.schema import Halving, Target
from pipeline.search.samplers.sampler import Search, make_sampler
from pipeline.search.scales import LOG
from pipeline.search.space import Choice, Interval
from tests.benchmarks.curves import Curves
from tests.benchmarks.replay import COHORT, Replay, Way
from tests.benchmarks.samplers import ratio

SPACE = {"rate": Interval(1e-3, 1.0, LOG), "size": Choice((8, 16))}
RANDOM = "random.Random"
TARGET = Target(f"pipeline.search.samplers.{RANDOM}")
THIRDS = Halving(min_epochs=1, factor=3)


def table(*losses):
    """Trials that are spread over the space."""
    places = np.linspace(-3, 0, len(losses))
    return Curves(SPACE, np.stack([places, np.arange(len(losses)) % 2], axis=1), np.array(losses, np.float32))


@pytest.mark.parametrize(
    ("losses", "goal", "halving", "epochs"),
    [
        ([[3, 1]], 1, None, 2),
        ([[1, 3]], 1, None, 1),
        ([[3, 2]], 1, None, np.inf),
        ([[np.nan, np.nan], [3, 2]], 1, None, np.inf),  # it diverged in its first epoch
        ([[3, 1]] * 3, 1, THIRDS, 4),  # three to the rung, then the one that goes on
        ([[3, 1], [2, 2], [1, 3]], 0.5, THIRDS, np.inf),
    ],
)
def test_epochs_are_counted_one_trial_after_the_other(losses, goal, halving, epochs):
    assert Replay(table(*losses), Way(RANDOM, halving), 0).epochs_to(goal) == epochs


@pytest.mark.parametrize(
    ("losses", "halving", "spent"),
    [
        ([[3, 2]] * 3, None, 6),
        ([[3, np.nan], [np.nan, np.nan]], None, 3),  # what diverged trains no further
        ([[3, 2]] * 3, THIRDS, 4),
        ([[3, 2]] * (COHORT + 2), THIRDS, COHORT + 22 + 2),  # the second cohort is compared with the first
        ([[3, 2]] * (COHORT + 3), THIRDS, COHORT + 22 + 3 + 1),  # of more trials one more is among the best third
    ],
)
def test_what_a_search_spends_until_the_table_is_used_up(losses, halving, spent):
    replay = Replay(table(*losses), Way(RANDOM, halving), 0)
    assert replay.epochs_to(0) == np.inf
    assert replay.spent == spent


def test_a_trial_answers_once_and_the_nearest_one_first():
    losses = np.arange(40, dtype=float)[:, None] + 1
    (point,) = make_sampler(TARGET, Search((SPACE,), (7,), 0, 40)).ask(1)
    replay = Replay(table(*losses), Way(RANDOM), 7)
    replay.epochs_to(0)
    rows = [trained.row for trained in replay.trained]
    assert sorted(rows) == list(range(40))
    assert rows[0] % 2 == point.coordinates["size"]  # another choice is farther than any rate
    nearest = min(
        range(int(point.coordinates["size"]), 40, 2), key=lambda row: abs(-3 + row / 13 - point.coordinates["rate"])
    )
    assert rows[0] == nearest


def test_a_ratio_of_medians_and_its_interval():
    share, low, high = ratio([np.array([1.0, 2.0, 3.0])] * 2, [np.array([4.0, 4.0, 4.0])] * 2)
    assert (share, low) == (pytest.approx(0.5), pytest.approx(0.25, abs=0.1))
    assert high <= 0.75
    assert ratio([np.array([np.inf] * 3)], [np.array([54_000.0] * 3)]) == pytest.approx((1, 1, 1))
