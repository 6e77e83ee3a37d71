import pytest

from pipeline.search.refine import refine, widened
from pipeline.search.samplers.random import Random
from pipeline.search.samplers.sampler import Search
from pipeline.search.scales import LOG, ONE_MINUS_LOG
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


# the box that was searched, the best in it, the next region -> the next region, widened, and the edges that it passed
WIDER = [
    ((1e-3, 1e-2), 1.1e-3, (1e-3, 2e-3), (10**-3.5, 2e-3), [1e-3]),  # half a width, half a decade, down
    ((1e-3, 1e-2), 1e-2, (5e-3, 1e-2), (5e-3, 10**-1.5), [1e-2]),
    ((1e-3, 1e-2), 3e-3, (2e-3, 4e-3), (2e-3, 4e-3), []),  # within
    ((1e-3, 1e-2), 1.2e-3, (1e-3, 2e-3), (1e-3, 2e-3), []),  # an eighth of the way
    ((1e-3, 1e-1), 1e-3, (1e-3, 2e-3), (1e-4, 2e-3), [1e-3]),  # not beyond the original range
    ((1e-4, 1e-2), 1e-4, (1e-4, 2e-4), (1e-4, 2e-4), []),  # which ends there
    ((1e-3, 1e-2), 1e-3, (2e-4, 2e-3), (2e-4, 2e-3), []),  # the next region reaches as far anyway
    ((1e-3, 1e-3), 1e-3, (1e-3, 1e-3), (1e-3, 1e-3), []),  # no width
]


@pytest.mark.parametrize(("box", "best", "region", "expected", "edges"), WIDER)
def test_the_next_region_goes_past_the_edge_at_which_the_best_sits(box, best, region, expected, edges):
    spaces = [{RATE: Interval(*ends, LOG)} for ends in (region, box)]
    space, widenings = widened(*spaces, {RATE: best}, SPACE)
    assert (space[RATE].low, space[RATE].high) == pytest.approx(expected, rel=1e-9)
    assert [widening.edge for widening in widenings] == edges
    assert all(widening.to in (space[RATE].low, space[RATE].high) for widening in widenings)


def test_whole_numbers_widen_to_whole_ones_and_choices_not_at_all():
    whole = {UNITS: Interval(8, 256, LOG, integer=True), "k": Choice(("a", "b", "c"))}
    box = {UNITS: Interval(32, 64, LOG, integer=True), "k": Choice(("a", "b"))}
    space, (widening,) = widened(box, box, {UNITS: 32, "k": "a"}, whole)
    assert (space[UNITS].low, space[UNITS].high, space["k"]) == (22, 64, box["k"])
    assert (widening.key, widening.edge, widening.best, widening.to) == (UNITS, 32, 32, 22)


def test_a_range_near_one_widens_in_its_own_coordinate():
    whole, box = ({"m": Interval(*ends, ONE_MINUS_LOG)} for ends in ((0.5, 0.9999), (0.9, 0.99)))
    space, _ = widened(box, box, {"m": 0.99}, whole)
    assert 1 - space["m"].high == pytest.approx(10**-2.5)


def test_values_that_the_range_lacks_do_not_count():
    region = refine(MIXED, [{RATE: 1e-3, UNITS: [64, 32]}, {RATE: 1e-2, UNITS: 40}], MIXED, 1, 0)
    assert (region[UNITS].low, region[UNITS].high, region["model.activation"]) == (40, 40, MIXED["model.activation"])
