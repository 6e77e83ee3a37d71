import re

import pytest

from pipeline.errors import InputError
from pipeline.search.samplers.grid import Grid
from pipeline.search.samplers.sampler import Search
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval, params_at

RATE, UNITS, DEPTH = "optimizer.learning_rate", "model.hidden_units", "model.hidden_layers"
SPACE = {
    RATE: Interval(1e-4, 1, LOG),
    UNITS: Interval(16, 256, LOG, integer=True),
    DEPTH: Interval(1, 4, integer=True),
}


def search(spaces, n_trials):
    return Search(tuple(spaces), (0,) * len(spaces), 0, n_trials)


def grid_points(spaces, points):
    """(arm, parameters) of each trial."""
    sampler = Grid(search(spaces, None), points=points)
    return [
        (point.arm, params_at(spaces[point.arm], point.coordinates, point.exact))
        for point in sampler.ask(sampler.total())
    ]


@pytest.mark.parametrize(
    ("spaces", "points", "expected"),
    [
        ([{RATE: Interval(0.01, 1, LOG)}], 3, [(0, {RATE: 0.01}), (0, {RATE: 0.1}), (0, {RATE: 1})]),
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
def test_every_combination_in_order(spaces, points, expected):
    trials = grid_points(spaces, points)
    assert [arm for arm, _ in trials] == [arm for arm, _ in expected]
    for (_, params), (_, wanted) in zip(trials, expected, strict=True):
        assert params == pytest.approx(wanted)
    for n_trials in (None, len(expected), len(expected) + 1):
        assert Grid(search(spaces, n_trials), points=points).total() == len(expected)


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
def test_it_refuses_more_than_asked_for(spaces, n_trials, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Grid(search(spaces, n_trials), points=5).total()


def test_points_are_these():
    """A release that tried others could not resume a sweep that an earlier one began."""
    space = {RATE: Interval(1e-3, 10.0, LOG), "optimizer.momentum": Interval(0.5, 0.999, ONE_MINUS_LOG)}
    assert [tuple(params.values()) for _, params in grid_points([space], 4)][::5] == [
        (0.001, 0.5),
        (0.0215443469003, 0.937003947505),
        (0.464158883361, 0.99206299474),
        (10.0, 0.999),
    ]


def test_without_points_it_tries_five_values_a_range():
    assert len(grid_points([{RATE: SPACE[RATE]}], None)) == 5
