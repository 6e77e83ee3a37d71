import random

import pytest

from pipeline.errors import InputError
from pipeline.search.samplers.random import Random, draw
from pipeline.search.samplers.sampler import Search
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval, params_at

RATE, UNITS, DEPTH = "optimizer.learning_rate", "model.hidden_units", "model.hidden_layers"
SPACE = {
    RATE: Interval(1e-4, 1, LOG),
    UNITS: Interval(16, 256, LOG, integer=True),
    DEPTH: Interval(1, 4, integer=True),
}


def test_draw_is_a_pure_function_of_each_of_its_arguments():
    base = (0, 1, 2, 0, RATE)
    assert draw(*base) == draw(*base)
    others = [(1, 1, 2, 0, RATE), (0, 2, 2, 0, RATE), (0, 1, 3, 0, RATE), (0, 1, 2, 1, RATE), (0, 1, 2, 0, UNITS)]
    assert len({draw(*arguments) for arguments in [base, *others]}) == 6
    random.seed(1)
    before = draw(*base)
    random.random()
    assert draw(*base) == before
    assert all(0 <= draw(0, 0, point, 0, RATE) < 1 for point in range(200))
    assert sum(draw(0, 0, point, 0, RATE) for point in range(2000)) / 2000 == pytest.approx(0.5, abs=0.02)


def random_points(spaces, n_trials, seeds, stage):
    """(arm, parameters) of each trial."""
    points = Random(Search(tuple(spaces), tuple(seeds), stage, n_trials)).ask(n_trials)
    return [(point.arm, params_at(spaces[point.arm], point.coordinates, point.exact)) for point in points]


def drawn(spaces, n_trials, *, seed, stage):
    """Of arms that have all one seed."""
    return random_points(spaces, n_trials, [seed] * len(spaces), stage)


def test_random_points_follow_from_the_seed_and_the_stage_only():
    points = drawn([SPACE], 10, seed=0, stage=0)
    assert points == drawn([SPACE], 10, seed=0, stage=0)
    assert points != drawn([SPACE], 10, seed=1, stage=0)
    assert points != drawn([SPACE], 10, seed=0, stage=1)


def test_random_points_are_these():
    """A release that drew others could not resume a sweep that an earlier one began."""
    assert drawn([SPACE], 2, seed=0, stage=0) == [
        (0, {RATE: 0.00704154, UNITS: 79, DEPTH: 4}),
        (0, {RATE: 0.00496375, UNITS: 80, DEPTH: 3}),
    ]


@pytest.mark.parametrize("spaces", [[SPACE], [SPACE, SPACE], [{DEPTH: Choice((1, 2, 3))}], [{}]])
def test_asking_for_more_extends_what_fewer_gave(spaces):
    many = drawn(spaces, 20, seed=3, stage=0)
    for n in range(len(many)):
        assert drawn(spaces, n, seed=3, stage=0) == many[:n]


def test_points_lie_in_the_space_and_differ():
    points = [params for _, params in drawn([SPACE], 200, seed=0, stage=0)]
    assert len({repr(params) for params in points}) == len(points) == 200
    for params in points:
        assert list(params) == list(SPACE)
        assert all(SPACE[key].low <= value <= SPACE[key].high for key, value in params.items())
    assert {params[DEPTH] for params in points} == {1, 2, 3, 4}
    assert sum(params[RATE] > 1e-2 for params in points) == pytest.approx(100, abs=20)  # half of the decades


@pytest.mark.parametrize(("n_trials", "per_arm"), [(12, [4, 4, 4]), (13, [5, 4, 4]), (2, [1, 1, 0])])
def test_arms_share_their_points(n_trials, per_arm):
    trials = drawn([SPACE] * 3, n_trials, seed=0, stage=0)
    assert [arm for arm, _ in trials] == [i % 3 for i in range(n_trials)]
    assert [sum(arm == i for arm, _ in trials) for i in range(3)] == per_arm
    alone = [params for _, params in drawn([SPACE], per_arm[0], seed=0, stage=0)]
    for i in range(3):
        assert [params for arm, params in trials if arm == i] == alone[: per_arm[i]]


def test_arms_with_spaces_of_their_own_share_what_they_have_in_common():
    momentum = {**SPACE, "optimizer.momentum": Interval(0.5, 0.999, ONE_MINUS_LOG)}
    wide = {**SPACE, RATE: Interval(1e-2, 1e2, LOG)}
    trials = drawn([SPACE, momentum, wide], 30, seed=0, stage=0)
    for (_, one), (_, two), (_, three) in zip(trials[0::3], trials[1::3], trials[2::3], strict=True):
        assert {key: two[key] for key in SPACE} == one
        assert (three[UNITS], three[DEPTH]) == (one[UNITS], one[DEPTH])
        assert three[RATE] == pytest.approx(100 * one[RATE], rel=1e-5)  # the same place on its own scale


def test_arms_of_other_seeds_are_searches_of_their_own():
    trials = random_points([SPACE] * 5, 50, [0, 1, 0, 2, 1], stage=1)
    assert [arm for arm, _ in trials] == [0, 1, 2, 3, 4] * 10
    by_arm = [[params for arm, params in trials if arm == i] for i in range(5)]
    for points, seed in zip(by_arm, [0, 1, 0, 2, 1], strict=True):
        assert points == [params for _, params in drawn([SPACE], 10, seed=seed, stage=1)]


def test_a_search_that_has_tried_all_leaves_the_others_their_trials():
    """Two seeds over a space of three values, beside one over a range: each value once a seed."""
    small, large = {DEPTH: Choice((1, 2, 3))}, {RATE: SPACE[RATE]}
    trials = random_points([small, large, small], 18, [0, 1, 2], stage=0)
    tried = [[params for arm, params in trials if arm == i] for i in range(3)]
    assert [len(points) for points in tried] == [3, 12, 3]
    for points in (tried[0], tried[2]):
        assert sorted(params[DEPTH] for params in points) == [1, 2, 3]
    for n in range(18):
        assert random_points([small, large, small], n, [0, 1, 2], stage=0) == trials[:n]


def test_a_later_stage_that_searches_the_whole_space_anew_tries_other_points():
    first, third = (drawn([SPACE], 20, seed=0, stage=stage) for stage in (0, 2))
    assert not {repr(params) for _, params in first} & {repr(params) for _, params in third}


@pytest.mark.parametrize("pinned", SPACE)
def test_pinning_a_key_moves_no_other_draw(pinned):
    free = drawn([SPACE], 20, seed=5, stage=0)
    rest = drawn([{key: dist for key, dist in SPACE.items() if key != pinned}], 20, seed=5, stage=0)
    assert [params for _, params in rest] == [
        {key: value for key, value in params.items() if key != pinned} for _, params in free
    ]


@pytest.mark.parametrize(
    ("space", "size"),
    [
        ({DEPTH: Interval(1, 4, integer=True)}, 4),
        ({DEPTH: Choice((1, 2)), UNITS: Choice((8, 16, 32))}, 6),
        ({RATE: Interval(0.1, 0.1)}, 1),
        ({DEPTH: Choice(([1], [2, 3]))}, 2),
        ({}, 1),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_small_space_is_tried_whole_and_once(space, size, seed):
    points = drawn([space], 50, seed=seed, stage=0)
    assert len(points) == len({repr(point) for point in points}) == size
    two_arms = drawn([space, space], 50, seed=seed, stage=0)
    assert len(two_arms) == 2 * size


@pytest.mark.parametrize(
    ("spaces", "per_arm"),
    [
        ([{}, {RATE: SPACE[RATE]}], [1, 23]),
        ([{}, {RATE: SPACE[RATE]}, {}], [1, 22, 1]),
        ([{DEPTH: Choice((1, 2))}, {RATE: SPACE[RATE]}], [2, 22]),
        ([{}, {DEPTH: Choice((1, 2, 3))}], [1, 3]),
        ([{DEPTH: Choice((1, 2))}, {UNITS: Choice((8, 16, 32))}], [2, 3]),
        ([{}, {}], [1, 1]),
    ],
)
def test_an_arm_that_has_tried_all_leaves_the_others_their_trials(spaces, per_arm):
    points = drawn(spaces, 24, seed=0, stage=0)
    assert len({repr(point) for point in points}) == len(points)
    assert [sum(arm == i for arm, _ in points) for i in range(len(spaces))] == per_arm
    for n in range(len(points)):
        assert drawn(spaces, n, seed=0, stage=0) == points[:n]


def test_no_trials_are_no_points():
    assert drawn([SPACE], 0, seed=0, stage=0) == []


def test_what_is_asked_for_next_follows_what_was():
    sampler = Random(Search((SPACE,), (0,), 0, 10))
    assert [*sampler.ask(3), *sampler.ask(7)] == Random(Search((SPACE,), (0,), 0, 10)).ask(10)


def test_it_needs_the_number_of_trials():
    assert Random(Search((SPACE,), (0,), 0, 10)).total() == 10
    with pytest.raises(InputError, match=r"sweep.n_trials is null: random search needs the number of trials, such as"):
        Random(Search((SPACE,), (0,), 0, None)).total()
