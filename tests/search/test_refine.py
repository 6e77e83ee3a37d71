import pytest

from pipeline.search.refine import refine
from pipeline.search.samplers.random import Random
from pipeline.search.samplers.sampler import Search
from pipeline.search.scales import LOG
from pipeline.search.space import Choice, Interval, params_at

RATE, UNITS = "optimizer.learning_rate", "model.hidden_units"
SPACE = {RATE: Interval(1e-4, 1, LOG)}


def ranked(*rows):
    return [{RATE: rate, UNITS: units, "model.activation": name} for rate, units, name in rows]


MIXED = {
    RATE: Interval(1e-6, 1, LOG),
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
    region = {RATE: Interval(1e-3, 1e-2, LOG)}
    assert refine(region, [], {RATE: SPACE[RATE]}, 0.25, 0.1) == region


def test_refine_may_widen_the_region_but_not_beyond_the_original():
    region = {RATE: Interval(1e-3, 1e-2, LOG)}
    survivors = [{RATE: 1e-3}, {RATE: 1e-2}]
    assert refine(region, survivors, {RATE: SPACE[RATE]}, 1, 0.5)[RATE].low == pytest.approx(10**-3.5)
    assert refine(region, survivors, {RATE: region[RATE]}, 1, 0.5) == region
    assert refine(region, survivors, {RATE: SPACE[RATE]}, 1, 100)[RATE] == SPACE[RATE]


def test_refined_stages_close_in_on_the_best():
    """Three stages on a known bowl: each region holds the optimum and is narrower than the last."""
    space, width = {RATE: SPACE[RATE]}, []
    for stage in range(3):
        points = [params_at(space, p.coordinates) for p in Random(Search((space,), (0,), stage, 16)).ask(16)]
        best_first = sorted(points, key=lambda params: abs(SPACE[RATE].at(0.4) - params[RATE]))
        space = refine(space, best_first, {RATE: SPACE[RATE]}, 0.25, 0.1)
        width.append(space[RATE].high / space[RATE].low)
        assert space[RATE].low < SPACE[RATE].at(0.4) < space[RATE].high
    assert width == sorted(width, reverse=True)
    assert width[-1] < 1.2
