"""When another stage is not worth its trials: the estimate, and how near to the truth it is."""

import random
from statistics import fmean, stdev

import pytest

from pipeline.search.stopping import expected_best, expected_gain, gain_of_epochs, noise

# scores, further draws -> the best of these that is expected: mean + sd * 1.6350 (of 12), 0.8694 (of 3) and so on
BEST = [
    ([1.0, 2.0, 3.0], 12, 2 + 1.6350),
    ([1.0, 2.0, 3.0], 3, 2 + 0.8694),
    ([1.0, 2.0, 3.0], 1, 2.0),
    ([0.5, 0.5], 100, 0.5),
    ([0.5], 100, None),
    ([], 100, None),
    ([1.0, 2.0], 0, None),
]


@pytest.mark.parametrize(("scores", "n", "expected"), BEST)
def test_the_best_of_further_draws(scores, n, expected):
    assert expected_best(scores, n) == (None if expected is None else pytest.approx(expected, abs=1e-3))


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30, 100])
def test_it_is_what_the_best_of_normal_draws_has_on_the_average(n):
    draws = random.Random(n)
    best = fmean(max(draws.gauss(0, 1) for _ in range(n)) for _ in range(4000))
    assert expected_best([-(0.5**0.5), 0.5**0.5], n) == pytest.approx(best, abs=0.06)


HALVING = [1 - 0.5**epoch for epoch in range(1, 11)]
# curves, epochs, longer -> what more epochs add
LONGER = [
    ([HALVING], 10, 20, 0.5**5 - 0.5**10),  # what the last five added
    ([HALVING[:5]], 5, 10, 0.5**2 - 0.5**5),
    ([HALVING[:5], [0.5] * 5], 5, 10, (0.5**2 - 0.5**5) / 2),
    ([HALVING], 10, 10, 0.0),
    ([HALVING], 20, 10, 0.0),
    ([[0.4]], 1, 20, 0.0),
    ([[0.1, 0.3, 0.2]], 3, 9, 0.2),  # of the best so far, not the last
    ([[float("-inf"), 0.2]], 2, 4, 0.0),
    ([], 5, 10, 0.0),
]


@pytest.mark.parametrize(("curves", "epochs", "longer", "expected"), LONGER)
def test_what_more_epochs_add(curves, epochs, longer, expected):
    assert gain_of_epochs(curves, epochs, longer) == pytest.approx(expected)


def test_the_gain_of_the_most_promising_arm_counts_and_is_never_below_nothing():
    weak, strong = ([0.1, 0.2], 0.0), ([0.7, 0.9], 0.0)
    alone = expected_gain([strong], 0.9, 10)
    assert alone == pytest.approx(0.8 + stdev([0.7, 0.9]) * 1.5466 - 0.9, abs=1e-3)
    assert expected_gain([weak, strong, ([], 0.3)], 0.9, 10) == alone
    assert expected_gain([weak], 0.9, 10) == 0.0
    assert expected_gain([([0.1, 0.2], 5.0)], 0.9, 10) > 4  # of more epochs
    assert expected_gain([([0.9], 0.0)], 0.9, 10) is None


def test_noise():
    assert noise([1.0, 2.0, 3.0]) == 1.0
    assert noise([1.0]) is None
