import math
import random
import re

import pytest

from pipeline.errors import InputError
from pipeline.search.scales import LINEAR, LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval, coordinates_of, params_at

ALMOST = 1 - 1e-12
US = [i / 1000 for i in range(1000)]

CONTINUOUS = [
    Interval(-3, 5),
    Interval(0, 0.5),
    Interval(1e-4, 1, LOG),
    Interval(1e-10, 1e-4, LOG),
    Interval(0.9, 0.999, ONE_MINUS_LOG),
    Interval(0.5, 0.9999, ONE_MINUS_LOG),
    Interval(-9, 0, ONE_MINUS_LOG),
]
INTEGERS = [
    Interval(1, 4, integer=True),
    Interval(-2, 2, integer=True),
    Interval(16, 256, LOG, integer=True),
    Interval(1, 8, LOG, integer=True),
    Interval(-6, 0, ONE_MINUS_LOG, integer=True),
]


@pytest.mark.parametrize("dist", CONTINUOUS + INTEGERS, ids=str)
def test_draws_reach_both_ends_rise_and_stay_inside(dist):
    values = [dist.at(u) for u in US]
    assert dist.at(0) == dist.low
    assert dist.at(ALMOST) == pytest.approx(dist.high, rel=1e-5)
    assert dist.at(ALMOST) <= dist.high
    assert values == sorted(values)
    assert dist.low <= values[0] and values[-1] <= dist.high
    if dist.integer:
        assert {type(value) for value in values} == {int}
        assert set(values) == set(range(dist.low, dist.high + 1))
    else:
        assert {type(value) for value in values} == {float}
        assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    ("dist", "above", "share"),
    [
        (Interval(0.9, 0.999, ONE_MINUS_LOG), 0.99, 0.5),  # a decade of 1 - value each: 0.1 to 0.01 to 0.001
        (Interval(0.9, 0.999), 0.99, 0.009 / 0.099),
        (Interval(1e-4, 1, LOG), 1e-2, 0.5),
        (Interval(1e-4, 1, LOG), 1e-1, 0.25),
        (Interval(1e-4, 1), 1e-2, 0.99),
        (Interval(0.9, 0.9999, ONE_MINUS_LOG), 0.999, 1 / 3),
        (Interval(0, 10), 7.5, 0.25),
    ],
    ids=str,
)
def test_shares_of_the_draws(dist, above, share):
    assert sum(dist.at(u) > above for u in US) / len(US) == pytest.approx(share, abs=0.002)
    rng = random.Random(0)
    draws = [dist.at(rng.random()) for _ in range(5000)]
    assert sum(value > above for value in draws) / len(draws) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    ("dist", "u", "value"),
    [
        (Interval(0, 10), 0.25, 2.5),
        (Interval(1e-4, 1, LOG), 0.5, 1e-2),
        (Interval(1, 100, LOG), 0.5, 10.0),
        (Interval(0.9, 0.999, ONE_MINUS_LOG), 0.5, 0.99),
        (Interval(0.5, 0.999, ONE_MINUS_LOG), 0.25, 1 - 0.5 * (0.001 / 0.5) ** 0.25),
        (Interval(1, 4, integer=True), 0.51, 3),
        (Interval(1, 4, integer=True), 0.24, 1),
        (Interval(3, 3), 0.7, 3),
        (Interval(5, 5, LOG, integer=True), 0.7, 5),
        (Choice(("a", "b", "c")), 0.34, "b"),
        (Choice((7,)), 0.99, 7),
    ],
    ids=str,
)
def test_at(dist, u, value):
    assert dist.at(u) == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)


def test_values_have_six_digits_of_their_distance_from_the_edge():
    rng = random.Random(1)
    for _ in range(200):
        log, near_one = (
            Interval(1e-7, 1, LOG).at(rng.random()),
            Interval(0.9, 0.99999, ONE_MINUS_LOG).at(rng.random()),
        )
        assert log == float(f"{log:.6g}")
        assert 1 - near_one == pytest.approx(float(f"{1 - near_one:.6g}"), abs=1e-15)
        assert len(repr(near_one)) <= 2 + 11


@pytest.mark.parametrize("dist", INTEGERS, ids=str)
def test_every_integer_is_drawn_as_often_as_its_step_of_the_scale_is_wide(dist):
    coordinate = dist.coordinate
    whole = coordinate(dist.high + 0.5) - coordinate(dist.low - 0.5)
    n = 20_000
    draws = [dist.at((i + 0.5) / n) for i in range(n)]
    for value in range(dist.low, dist.high + 1):
        # The ends own half a step on either side as every other integer does.
        share = (coordinate(value + 0.5) - coordinate(value - 0.5)) / whole
        assert draws.count(value) / n == pytest.approx(share, abs=2 / n), value


def test_integers_on_a_linear_scale_are_equally_likely():
    draws = [Interval(1, 4, integer=True).at((i + 0.5) / 1000) for i in range(1000)]
    assert [draws.count(value) for value in (1, 2, 3, 4)] == [250] * 4


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_choices_are_equally_likely(n):
    draws = [Choice(tuple(range(n))).at((i + 0.5) / (n * 100)) for i in range(n * 100)]
    assert [draws.count(value) for value in range(n)] == [100] * n
    assert Choice(tuple(range(n))).at(ALMOST) == n - 1


@pytest.mark.parametrize(
    ("dist", "points", "values"),
    [
        (Interval(0, 1), 5, [0, 0.25, 0.5, 0.75, 1]),
        (Interval(0, 1), 1, [0.5]),
        (Interval(0, 1), 2, [0, 1]),
        (Interval(1e-4, 1, LOG), 5, [1e-4, 1e-3, 1e-2, 1e-1, 1]),
        (Interval(1e-4, 1, LOG), 1, [1e-2]),
        (Interval(0.9, 0.999, ONE_MINUS_LOG), 3, [0.9, 0.99, 0.999]),
        (Interval(1, 4, integer=True), 4, [1, 2, 3, 4]),
        (Interval(1, 4, integer=True), 9, [1, 2, 3, 4]),
        (Interval(1, 3, integer=True), 2, [1, 3]),
        (Interval(16, 256, LOG, integer=True), 5, [16, 32, 64, 128, 256]),
        (Interval(1, 3, LOG, integer=True), 7, [1, 2, 3]),
        (Interval(2, 2), 4, [2]),
        (Choice((3, "a", [1])), 2, [3, "a", [1]]),
    ],
    ids=str,
)
def test_grid(dist, points, values):
    grid = [dist.value(c, exact=True) for c in dist.grid(points)]
    assert (
        grid == pytest.approx(values, rel=1e-9) if all(isinstance(v, int | float) for v in values) else grid == values
    )
    if isinstance(dist, Interval) and points > 1:
        assert (grid[0], grid[-1]) == (dist.low, dist.high)  # the very ends, not a rounding away
        assert {type(value) for value in grid} <= ({int} if dist.integer else {float, int})


@pytest.mark.parametrize(
    ("dist", "values", "margin", "low", "high"),
    [
        # widened by margin x width, in coordinates
        (Interval(0, 100), [20, 40], 0.1, 18, 42),
        (Interval(0, 100), [40, 30, 20], 0.5, 10, 50),
        (Interval(0, 100), [20, 40], 0, 20, 40),
        (Interval(1e-6, 1, LOG), [1e-4, 1e-2], 0.5, 1e-5, 1e-1),
        (Interval(0, 0.999999, ONE_MINUS_LOG), [0.99, 0.9999], 0.5, 0.9, 0.99999),
        # clipped to the range itself
        (Interval(0, 100), [5, 95], 0.1, 0, 100),
        (Interval(1e-4, 1, LOG), [1e-4, 1e-2], 0.5, 1e-4, 1e-1),
        # a single survivor, or equal ones: margin of the whole range
        (Interval(0, 100), [50], 0.1, 40, 60),
        (Interval(0, 100), [50, 50], 0.1, 40, 60),
        (Interval(1e-6, 1, LOG), [1e-3], 0.1, 10**-3.6, 10**-2.4),
        (Interval(0, 100), [100], 0.1, 90, 100),
        (Interval(0, 100), [50], 0, 50, 50),
        # integers are rounded outwards
        (Interval(0, 100, integer=True), [20, 41], 0.1, 17, 44),
        (Interval(0, 100, integer=True), [20, 40], 0.1, 18, 42),
        (Interval(16, 256, LOG, integer=True), [32, 64], 0.1, 29, 69),
        (Interval(1, 4, integer=True), [2], 0.1, 1, 3),
        (Interval(1, 4, integer=True), [2, 2], 0, 2, 2),
        (Interval(7, 7, integer=True), [7], 0.1, 7, 7),
    ],
)  # fmt: skip
def test_around(dist, values, margin, low, high):
    box = dist.around(values, margin)
    assert (box.low, box.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))
    assert (box.scale, box.integer) == (dist.scale, dist.integer)
    assert dist.low <= box.low <= box.high <= dist.high
    assert all(box.low <= value * (1 + 1e-12) and value * (1 - 1e-12) <= box.high for value in values)
    if dist.integer:
        assert (type(box.low), type(box.high)) == (int, int)


@pytest.mark.parametrize("dist", CONTINUOUS + INTEGERS, ids=str)
def test_around_the_whole_range_is_the_range(dist):
    assert dist.around([dist.low, dist.high], 0.1) == dist


@pytest.mark.parametrize("dist", CONTINUOUS + INTEGERS, ids=str)
def test_every_box_holds_its_points_and_lies_in_the_range(dist):
    rng = random.Random(2)
    for _ in range(100):
        values = [dist.at(rng.random()) for _ in range(rng.randint(1, 4))]
        margin = rng.choice([0, 0.1, 1])
        box = dist.around(values, margin)
        assert dist.low <= box.low <= box.high <= dist.high
        slack = 1e-9 * max(abs(dist.low), abs(dist.high))
        assert box.low - slack <= min(values) and max(values) <= box.high + slack
        if len(set(values)) > 1:
            again = box.around([box.at(rng.random()) for _ in range(3)], margin)
            assert box.low <= again.low <= again.high <= box.high


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (["b"], ("b",)),
        (["c", "a", "c"], ("a", "c")),
        ([[1, 2]], ([1, 2],)),
        (["b", "a", "c", [1, 2]], ("a", "b", "c", [1, 2])),
    ],
)
def test_a_choice_keeps_the_survivors_in_its_own_order(values, kept):
    assert Choice(("a", "b", "c", [1, 2])).around(values, 0.1) == Choice(kept)


@pytest.mark.parametrize(
    ("dist", "text"),
    [
        (Interval(0, 0.5), "interval(0, 0.5)"),
        (Interval(1e-4, 1, LOG), "tag(log, interval(0.0001, 1))"),
        (Interval(16, 256, LOG, integer=True), "tag(log, int(interval(16, 256)))"),
        (Interval(0.9, 0.9999, ONE_MINUS_LOG), "tag(one_minus_log, interval(0.9, 0.9999))"),
        (Interval(1, 3, integer=True), "int(interval(1, 3))"),
        (Choice((16, "a", [1, 2])), "choice(16, a, [1, 2])"),
    ],
)
def test_text(dist, text):
    assert str(dist) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 0), "low=1 is above high=0"),
        ((1, 0.5, LOG), "low=1 is above high=0.5"),
        ((0, 1, LOG), "low=0 must be above 0 on the scale log. Begin at a small number, such as 0.0001."),
        ((-1, 1, LOG), "low=-1 must be above 0 on the scale log"),
        ((1, math.inf, LOG), "high=inf must be above 0 on the scale log"),
        ((0.9, 1, ONE_MINUS_LOG), "high=1 must be below 1 on the scale one_minus_log. End before 1, such as at 0.999."),
        ((0.9, 1.5, ONE_MINUS_LOG), "high=1.5 must be below 1"),
        ((-math.inf, 0, ONE_MINUS_LOG), "low=-inf must be below 1"),
        ((-math.inf, 1), "low=-inf must be finite"),
        ((0, math.inf), "high=inf must be finite"),
        ((math.nan, 1), "low=nan must be finite"),
        ((1, math.nan, LOG), "high=nan must be above 0"),
        ((0, math.nan, ONE_MINUS_LOG), "high=nan must be below 1"),
        ((0.5, 3, LINEAR, True), "low=0.5 must be a whole number"),
        ((1, 2.5, LOG, True), "high=2.5 must be a whole number"),
    ],
)
def test_interval_refuses(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Interval(*arguments)


def test_an_empty_choice_is_refused():
    with pytest.raises(InputError, match=r"choice\(\) needs at least one value"):
        Choice(())


@pytest.mark.parametrize("dist", [*CONTINUOUS, *INTEGERS, Choice((True, 1, 1.0, "a", [1, 2]))], ids=str)
def test_a_draw_is_the_value_at_a_coordinate_between_the_ends(dist):
    low, high = dist.ends()
    for u in US:
        assert low <= dist.place(u) <= high
        value = dist.at(u)
        assert value == dist.value(dist.place(u))
        again = dist.value(dist.coordinate(value))  # what was tried, told to a sampler as a coordinate
        assert again == (pytest.approx(value, rel=1e-9) if isinstance(dist, Interval) else value)
        assert type(again) is type(value)


@pytest.mark.parametrize("dist", [*CONTINUOUS, *INTEGERS, Choice(("a", "b"))], ids=str)
def test_a_coordinate_beyond_the_ends_is_the_value_there(dist):
    low, high = dist.ends()
    assert [dist.value(low - 5), dist.value(high + 5)] == [dist.value(low), dist.value(high)]


def test_parameters_at_coordinates_and_back():
    space = {"rate": Interval(1e-4, 1, LOG), "depth": Interval(1, 4, integer=True), "kind": Choice(("a", "b"))}
    at = {"rate": -2.0, "depth": 2.6, "kind": 1}
    assert params_at(space, at) == {"rate": 0.01, "depth": 3, "kind": "b"}
    assert coordinates_of(space, {"optimizer": "adam", "rate": 0.01, "depth": 3, "kind": "b"}) == {**at, "depth": 3}


@pytest.mark.parametrize(
    ("dist", "coordinate", "drawn", "exact"),
    [
        (Interval(1e-4, 1, LOG), -1.23456789, 0.0582683, 0.0582682681262),
        (Interval(0.5, 0.999, ONE_MINUS_LOG), 2.34567, 0.99548841, 0.995488406108),
        (Interval(0, 1), 1 / 3, 0.333333, 0.333333333333),
        (Interval(1, 9, integer=True), 2.5000000000001, 3, 2),  # 2.5 but for roundings, and even
    ],
    ids=str,
)
def test_values_have_the_digits_that_matter_or_all(dist, coordinate, drawn, exact):
    assert (dist.value(coordinate), dist.value(coordinate, exact=True)) == (drawn, exact)
