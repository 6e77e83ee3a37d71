"""What QuasiRandom adds to drawing: the sequence; test_learning.py has what all samplers have in common."""

import random

import pytest
from scipy.stats import qmc

from pipeline.search.samplers.quasi_random import BITS, DIMENSIONS, QuasiRandom, sobol
from pipeline.search.samplers.sampler import Search
from pipeline.search.scales import LOG
from pipeline.search.space import Choice, Interval, params_at

RATE, UNITS, DEPTH = "optimizer.learning_rate", "model.hidden_units", "model.hidden_layers"
SPACE = {RATE: Interval(1e-4, 1, LOG), UNITS: Interval(16, 256, LOG, integer=True), DEPTH: Choice((1, 2, 3, 4))}


def points_of(spaces, n, seeds=None, stage=0):
    """(arm, parameters) of each trial."""
    seeds = seeds or [0] * len(spaces)
    points = QuasiRandom(Search(tuple(spaces), tuple(seeds), stage, n)).ask(n)
    return [(point.arm, params_at(spaces[point.arm], point.coordinates)) for point in points]


def test_it_is_the_sobol_sequence():
    expected = qmc.Sobol(DIMENSIONS, scramble=False).random(512)
    for n, row in enumerate(expected):
        assert [sobol(n, dimension) / 2**BITS for dimension in range(DIMENSIONS)] == row.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_of_sixteen_points_each_sixteenth_of_a_scale_has_one(seed):
    space = {RATE: Interval(1e-4, 1, LOG), "b": Interval(0, 1), "c": Interval(0, 1)}
    for key, dist in space.items():
        low, high = dist.ends()
        points = QuasiRandom(Search((space,), (seed,), 0, 32)).ask(32)
        for half in (points[:16], points[16:]):
            cells = sorted(int(16 * (p.coordinates[key] - low) / (high - low)) for p in half)
            assert cells == list(range(16))


def test_its_points_leave_smaller_gaps_than_random_ones():
    """The discrepancy of 64 points in four dimensions, on the average over seeds."""
    space = {f"k{i}": Interval(0, 1) for i in range(4)}

    def discrepancy(rows):
        return qmc.discrepancy(rows)

    even = [
        discrepancy([list(p.coordinates.values()) for p in QuasiRandom(Search((space,), (seed,), 0, 64)).ask(64)])
        for seed in range(5)
    ]
    source = random.Random(0)
    drawn = [discrepancy([[source.random() for _ in space] for _ in range(64)]) for _ in range(5)]
    assert max(even) < 0.3 * min(drawn)


def test_arms_of_one_seed_are_tried_on_the_same_points_also_where_one_has_a_key_more():
    more = {**SPACE, "optimizer.momentum": Interval(0, 0.9)}
    trials = points_of([SPACE, more, SPACE], 30, seeds=[0, 0, 1])
    first, second, other = ([params for arm, params in trials if arm == i] for i in range(3))
    assert first == [{key: params[key] for key in SPACE} for params in second]
    assert not {repr(params) for params in first} & {repr(params) for params in other}


@pytest.mark.parametrize(
    ("spaces", "per_arm"),
    [
        ([{DEPTH: Choice((1, 2)), UNITS: Choice((8, 16, 32))}], [6]),
        ([{}, {RATE: SPACE[RATE]}], [1, 23]),
        ([{DEPTH: Choice((1, 2))}, {UNITS: Interval(1, 3, integer=True)}], [2, 3]),
    ],
)
def test_a_small_space_is_tried_whole_and_once(spaces, per_arm):
    trials = points_of(spaces, 24)
    assert len({repr(trial) for trial in trials}) == len(trials)
    assert [sum(arm == i for arm, _ in trials) for i in range(len(spaces))] == per_arm


def test_more_extend_fewer_and_another_stage_or_seed_draws_others():
    assert points_of([SPACE], 20)[:7] == points_of([SPACE], 7)
    several = [repr(points_of([SPACE], 7, seeds=[seed], stage=stage)) for seed in (0, 1) for stage in (0, 1)]
    assert len(set(several)) == 4


def test_a_key_past_the_last_dimension_is_drawn_too():
    space = {f"k{i}": Interval(0, 1) for i in range(DIMENSIONS + 2)}
    points = QuasiRandom(Search((space,), (0,), 0, 50)).ask(50)
    for key in list(space)[-2:]:
        values = [point.coordinates[key] for point in points]
        assert len(set(values)) == 50 and max(values) > 0.8 and min(values) < 0.2
