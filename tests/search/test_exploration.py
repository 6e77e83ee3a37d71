"""Who copies whom in a population, and which hyperparameters are tried from there: tables of input and expected."""

import math
import pickle
from itertools import pairwise

import pytest

from pipeline.evolution import nominal
from pipeline.records import Trial
from pipeline.search.exploration import evolution, moved
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval
from tests.workers.jobs import config

RATE, BETA = "optimizer.learning_rate", "optimizer.beta_1"
SPACE = {RATE: Interval(1e-4, 1e-1, LOG), BETA: Interval(0.9, 0.999, ONE_MINUS_LOG)}
SETTINGS = {"every": 2, "fraction": 0.25, "step": 0.1, "resample": 0.0}
NAN = -math.inf


def population(n=8, space=SPACE, seed=0, **settings):
    changes = {"sweep.population": {**SETTINGS, **settings}, "seed": seed}
    trials = [Trial(i, "s", 0, {key: dist.at((i + 0.5) / n) for key, dist in space.items()}) for i in range(n)]
    return evolution(config(changes), space, trials)


def copies(scores, epoch=2, **settings):
    own = population(len(scores), **settings)
    return own.copies(epoch, {i: (score, 0.0) for i, score in enumerate(scores)}, own.params)


# scores by number (larger is better), fraction -> who copies, and from whom
DECISIONS = {
    "the worst quarter from the best": ([8, 7, 6, 5, 4, 3, 2, 1], 0.25, {6, 7}, {0, 1}),
    "one of four": ([1, 4, 2, 3], 0.25, {0}, {1}),
    "at least one": ([2, 1, 3], 0.25, {1}, {2}),
    "of two the worse": ([2, 1], 0.5, {1}, {0}),
    "half": ([1, 2, 3, 4], 0.5, {0, 1}, {2, 3}),
    "never more than half": ([1, 2, 3], 0.5, {0}, {2}),
    "of equals the lower number is better": ([5, 5, 5, 5], 0.25, {3}, {0}),
    "all that diverged": ([NAN, 1, NAN, 2, NAN, 3, NAN, 4], 0.25, {0, 2, 4, 6}, {5, 7}),
    "one finite is copied by all others": ([NAN, NAN, NAN, 1], 0.25, {0, 1, 2}, {3}),
    "none finite": ([NAN] * 4, 0.25, set(), set()),
    "one by itself": ([1], 0.5, set(), set()),
}


@pytest.mark.parametrize(("scores", "fraction", "targets", "sources"), DECISIONS.values(), ids=DECISIONS)
def test_who_copies_whom(scores, fraction, targets, sources):
    for seed in range(5):
        made = copies(scores, fraction=fraction, seed=seed)
        assert {copy.trial for copy in made} == targets
        assert {copy.source for copy in made} <= sources
    everybody = {copy.source for seed in range(40) for copy in copies(scores, fraction=fraction, seed=seed)}
    assert everybody == sources  # each is copied at some time


@pytest.mark.parametrize(("every", "epochs"), [(2, [2, 4, 6]), (3, [3, 6]), (7, []), (None, [])])
def test_when(every, epochs):
    assert [epoch for epoch in range(1, 7) if copies([1, 2, 3, 4], epoch, every=every)] == epochs


def test_the_same_is_decided_again_also_where_it_has_travelled():
    own, scores = population(), {i: (float(i), 0.0) for i in range(8)}
    again = pickle.loads(pickle.dumps(own))
    assert again.copies(4, scores, own.params) == own.copies(4, scores, own.params)
    assert own.copies(4, scores, own.params) != own.copies(6, scores, own.params)
    assert population(seed=1).copies(4, scores, own.params) != own.copies(4, scores, own.params)


def test_a_copy_moves_by_a_step_of_its_scale():
    """Of three decades of the learning rate and two of 1 - beta a tenth each, up and down alike."""
    moves = {RATE: set(), BETA: set()}
    for seed in range(30):
        own = population(seed=seed)
        (copy,) = own.copies(2, {3: (1.0, 0.0), 4: (0.0, 0.0)}, own.params)
        for key, dist in SPACE.items():
            moves[key].add(round(dist.coordinate(copy.params[key]) - dist.coordinate(own.params[3][key]), 3))
    assert moves == {RATE: {-0.3, 0.3}, BETA: {-0.2, 0.2}}


@pytest.mark.parametrize("resample", [0.25, 1.0])
def test_some_are_drawn_anew_from_the_whole_range(resample):
    anew, drawn = 0, []
    for seed in range(200):
        own = population(seed=seed, resample=resample)
        (copy,) = own.copies(2, {3: (1.0, 0.0), 4: (0.0, 0.0)}, own.params)
        place = SPACE[RATE].coordinate(copy.params[RATE])
        moved_to = {round(SPACE[RATE].coordinate(own.params[3][RATE]) + step, 4) for step in (-0.3, 0.3)}
        if round(place, 4) not in moved_to:
            anew += 1
            drawn.append(place)
    assert anew / 200 == pytest.approx(resample, abs=0.1)
    assert min(drawn) < -3.7
    assert max(drawn) > -1.3


CHOICE = Choice((16, "x", None))
# range, value, step, up -> the new value
MOVES = [
    (Interval(1e-4, 1e-1, LOG), 0.01, 0.1, True, 0.0199526),
    (Interval(1e-4, 1e-1, LOG), 0.01, 0.1, False, 0.00501187),
    (Interval(1e-4, 1e-1, LOG), 0.09, 0.1, True, 0.1),  # no further than the end
    (Interval(1e-4, 1e-1, LOG), 1e-4, 0.5, False, 1e-4),
    (Interval(0.9, 0.999, ONE_MINUS_LOG), 0.99, 0.5, True, 0.999),
    (Interval(0.9, 0.999, ONE_MINUS_LOG), 0.99, 0.25, False, 0.9683772),  # 1 - 10^-1.5: even in the distance from 1
    (Interval(0.0, 0.5), 0.02, 0.1, False, 0.0),
    (Interval(0.0, 0.5), 0.2, 0.1, True, 0.25),
    (Interval(1, 9, integer=True), 5, 0.25, True, 7),
    (Interval(1, 9, integer=True), 5, 0.01, True, 6),  # at least 1
    (Interval(1, 9, integer=True), 9, 0.01, True, 9),
    (Interval(0.3, 0.3), 0.3, 0.5, True, 0.3),
    (CHOICE, 16, 0.1, True, "x"),
    (CHOICE, 16, 0.1, False, 16),
    (CHOICE, None, 0.1, False, "x"),
]


@pytest.mark.parametrize(("dist", "value", "step", "up", "expected"), MOVES, ids=str)
def test_a_value_moves(dist, value, step, up, expected):
    assert moved(dist, value, step, up) == expected


def test_a_value_stays_in_its_range_however_often_it_moves():
    own = population(space={**SPACE, "model.dropout_rate": Interval(0.0, 0.5)}, resample=0.25, step=0.4)
    params = dict(own.params)
    for epoch in range(2, 400, 2):
        (copy,) = own.copies(epoch, {3: (1.0, 0.0), 4: (0.0, 0.0)}, params)
        params[3] = copy.params
        assert all(dist.low <= copy.params[key] <= dist.high for key, dist in SPACE.items())


@pytest.mark.parametrize(
    ("values", "expected"), [([0.0, 0.5], 0.5), ([None, 1e-4], 1e-4), ([False, True], True), ([0, 0.0], 0), ([3], 3)]
)
def test_graphs_are_built_with_a_value_that_leaves_nothing_out(values, expected):
    assert nominal(values) is expected or nominal(values) == expected


def test_draws_of_one_thing_do_not_depend_on_another():
    """A pinned or freed hyperparameter leaves the moves of the others as they are."""
    one, both = population(space={RATE: SPACE[RATE]}), population()
    scores = {i: (float(i), 0.0) for i in range(8)}
    for first, second in zip(one.copies(2, scores, one.params), both.copies(2, scores, both.params), strict=True):
        assert (first.source, first.params[RATE]) == (second.source, second.params[RATE])
    assert all(a.trial < b.trial for a, b in pairwise(both.copies(2, scores, both.params)))
