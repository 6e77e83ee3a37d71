import random

import pytest

from pipeline.errors import InputError
from pipeline.search.space import Choice, Interval
from pipeline.search.stages import draw, grid_points, random_points, refine, sizes

RATE, UNITS, DEPTH = "optimizer.learning_rate", "model.hidden_units", "model.hidden_layers"
SPACE = {
    RATE: Interval(1e-4, 1, "log"),
    UNITS: Interval(16, 256, "log", integer=True),
    DEPTH: Interval(1, 4, integer=True),
}


@pytest.mark.parametrize(
    ("stages", "n_trials", "expected"),
    [
        ({"a": None}, 24, {"a": 24}),
        ({"a": None, "b": None, "c": None}, 36, {"a": 12, "b": 12, "c": 12}),
        ({"a": None, "b": None, "c": None}, 38, {"a": 13, "b": 13, "c": 12}),
        ({"a": None, "b": None, "c": None}, 3, {"a": 1, "b": 1, "c": 1}),
        ({"a": 20, "b": None, "c": None}, 30, {"a": 20, "b": 5, "c": 5}),
        ({"a": None, "b": 7, "c": None}, 12, {"a": 3, "b": 7, "c": 2}),
        ({"a": 10, "b": 5}, 15, {"a": 10, "b": 5}),
        ({"a": 10, "b": 5}, None, {"a": 10, "b": 5}),
        ({"a": 10, "b": None}, None, {"a": 10, "b": None}),
        ({"a": None}, None, {"a": None}),
    ],
)
def test_sizes(stages, n_trials, expected):
    assert sizes(stages, n_trials) == expected
    assert list(sizes(stages, n_trials)) == list(stages)  # in the order of the stages


@pytest.mark.parametrize(
    ("stages", "n_trials", "message"),
    [
        ({"a": 10, "b": 5}, 16, "sweep.n_trials=16 is the total of all stages (a, b), of which 15 are given"),
        ({"a": 10, "b": 5}, 16, "It must be 15."),
        ({"a": 10, "b": 5}, 14, "It must be 15."),
        ({"a": 10, "b": None}, 10, "It must be at least 11."),
        ({"a": 10, "b": None, "c": None}, 11, "It must be at least 12."),
        ({"a": 10, "b": None}, 5, "It must be at least 11."),
        ({"a": None, "b": None}, 1, "It must be at least 2."),
    ],
)
def test_sizes_refuses(stages, n_trials, message):
    with pytest.raises(InputError) as raised:
        sizes(stages, n_trials)
    assert message in str(raised.value)


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
    momentum = {**SPACE, "optimizer.momentum": Interval(0.5, 0.999, "one_minus_log")}
    wide = {**SPACE, RATE: Interval(1e-2, 1e2, "log")}
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


def test_no_trials_are_no_points():
    assert drawn([SPACE], 0, seed=0, stage=0) == []


@pytest.mark.parametrize(
    ("spaces", "points", "expected"),
    [
        ([{RATE: Interval(0.01, 1, "log")}], 3, [(0, {RATE: 0.01}), (0, {RATE: 0.1}), (0, {RATE: 1})]),
        (
            [{RATE: Interval(0, 1), DEPTH: Choice((1, 2))}],
            2,
            [(0, {RATE: r, DEPTH: d}) for r, d in ((0, 1), (0, 2), (1, 1), (1, 2))],
        ),
        ([{DEPTH: Choice((1, 2, 3))}], 2, [(0, {DEPTH: 1}), (0, {DEPTH: 2}), (0, {DEPTH: 3})]),
        # arm by arm at each point, so that a sweep cut short has compared them
        ([{DEPTH: Choice((1, 2))}] * 2, 5, [(0, {DEPTH: 1}), (1, {DEPTH: 1}), (0, {DEPTH: 2}), (1, {DEPTH: 2})]),
        ([{DEPTH: Choice((1, 2))}, {UNITS: Choice((8,))}], 5, [(0, {DEPTH: 1}), (1, {UNITS: 8}), (0, {DEPTH: 2})]),
        ([{}], 5, [(0, {})]),
    ],
)
def test_grid_points(spaces, points, expected):
    trials = grid_points(spaces, None, points)
    assert [arm for arm, _ in trials] == [arm for arm, _ in expected]
    for (_, params), (_, wanted) in zip(trials, expected, strict=True):
        assert params == pytest.approx(wanted)
    assert grid_points(spaces, len(expected), points) == trials


@pytest.mark.parametrize(
    ("spaces", "n_trials", "message"),
    [
        (
            [SPACE],
            99,
            "sweep=grid has 100 trials (optimizer.learning_rate (5) x model.hidden_units (5) x "
            "model.hidden_layers (4)), but sweep.n_trials=99.",
        ),
        ([{DEPTH: Choice((1, 2))}] * 3, 5, "sweep=grid has 6 trials (model.hidden_layers (2), 3 arms), but"),
    ],
)
def test_grid_points_refuses_more_than_asked_for(spaces, n_trials, message):
    with pytest.raises(InputError) as raised:
        grid_points(spaces, n_trials, 5)
    assert message in str(raised.value)


def ranked(*rows):
    return [{RATE: rate, UNITS: units, "model.activation": name} for rate, units, name in rows]


MIXED = {
    RATE: Interval(1e-6, 1, "log"),
    UNITS: Interval(10, 200, integer=True),
    "model.activation": Choice(("relu", "tanh", "elu")),
}
EIGHT = ranked(
    (1e-3, 100, "tanh"),
    (1e-1, 60, "relu"),
    (1e-5, 20, "elu"),
    (1e-6, 10, "elu"),
    (1e-6, 200, "elu"),
    (1, 10, "elu"),
    (1, 10, "elu"),
    (1, 10, "elu"),
)


@pytest.mark.parametrize(
    ("n", "keep", "margin", "rate", "units", "names"),
    [
        (8, 0.25, 0.1, (10**-3.2, 10**-0.8), (56, 104), ("relu", "tanh")),  # the best two: 10^-3..10^-1, 60..100
        (8, 0.25, 0, (1e-3, 1e-1), (60, 100), ("relu", "tanh")),
        (8, 0.375, 0.1, (10**-5.4, 10**-0.6), (12, 108), ("relu", "tanh", "elu")),
        (8, 0.01, 0, (1e-3, 1e-1), (60, 100), ("relu", "tanh")),  # at least two
        (8, 1, 0.1, (1e-6, 1), (10, 200), ("relu", "tanh", "elu")),  # clipped to the range
        (4, 0.5, 0.5, (1e-4, 1), (40, 120), ("relu", "tanh")),
        (1, 0.25, 0.1, (10**-3.6, 10**-2.4), (81, 119), ("tanh",)),  # one trial: a margin of the range around it
    ],
)
def test_refine(n, keep, margin, rate, units, names):
    region = refine(MIXED, EIGHT[:n], MIXED, keep, margin)
    assert list(region) == list(MIXED)
    assert (region[RATE].low, region[RATE].high) == pytest.approx(rate, rel=1e-9)
    assert (region[UNITS].low, region[UNITS].high) == units
    assert region["model.activation"].values == names


def test_refine_of_nothing_keeps_the_region():
    region = {RATE: Interval(1e-3, 1e-2, "log")}
    assert refine(region, [], {RATE: SPACE[RATE]}, 0.25, 0.1) == region


def test_refine_may_widen_the_region_but_not_beyond_the_original():
    region = {RATE: Interval(1e-3, 1e-2, "log")}
    survivors = [{RATE: 1e-3}, {RATE: 1e-2}]
    assert refine(region, survivors, {RATE: SPACE[RATE]}, 1, 0.5)[RATE].low == pytest.approx(10**-3.5)
    assert refine(region, survivors, {RATE: region[RATE]}, 1, 0.5) == region
    assert refine(region, survivors, {RATE: SPACE[RATE]}, 1, 100)[RATE] == SPACE[RATE]


def test_refined_stages_close_in_on_the_best():
    """Three stages on a known bowl: each region holds the optimum and is narrower than the last."""
    space, width = {RATE: SPACE[RATE]}, []
    for stage in range(3):
        points = [params for _, params in drawn([space], 16, seed=0, stage=stage)]
        best_first = sorted(points, key=lambda params: abs(SPACE[RATE].at(0.4) - params[RATE]))
        space = refine(space, best_first, {RATE: SPACE[RATE]}, 0.25, 0.1)
        width.append(space[RATE].high / space[RATE].low)
        assert space[RATE].low < SPACE[RATE].at(0.4) < space[RATE].high
    assert width == sorted(width, reverse=True)
    assert width[-1] < 1.2
