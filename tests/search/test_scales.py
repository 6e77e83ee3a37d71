"""What a scale owns, and one of a user's own in all that has to do with scales."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.errors import InputError
from pipeline.experiments import scales as figure_of_scales
from pipeline.search.ranges import distribution, parse
from pipeline.search.refine import refine
from pipeline.search.samplers.grid import Grid
from pipeline.search.samplers.random import Random
from pipeline.search.samplers.sampler import Search
from pipeline.search.scales import LINEAR, LOG, ONE_MINUS_LOG, scale_named
from pipeline.search.space import Choice, Interval, params_at
from tests.experiments.made_up import epochs_of, finished, results

NAMES = yaml.safe_load((Path(__file__).parents[2] / "conf/config.yaml").read_text())["scales"]
OWN = """
import math

from pipeline.search.scales import Scale

SQRT = Scale(math.sqrt, lambda c: c * c, "at least 0", lambda v: 0 <= v < math.inf)
NUMBER = 3
"""


@pytest.fixture
def names(tmp_path, monkeypatch):
    """The config's map with a scale from a package of a user's own."""
    (tmp_path / "scales_for_tests.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return {**NAMES, "sqrt": "scales_for_tests.SQRT"}


@pytest.fixture
def sqrt(names):
    return scale_named("sqrt", names, "scale")


def test_the_config_names_every_scale_of_ours():
    found = {name: scale_named(name, NAMES, "scale") for name in NAMES}
    assert found == {"linear": LINEAR, "log": LOG, "one_minus_log": ONE_MINUS_LOG}


@pytest.mark.parametrize("name", [*NAMES, "sqrt"])
@pytest.mark.parametrize("value", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_scale_and_its_coordinate_are_inverse(names, name, value):
    scale = scale_named(name, names, "scale")
    assert scale.value(scale.coordinate(value)) == pytest.approx(value, rel=1e-12)


# scale, value -> coordinate; label and place on an even axis; label, kind and place in a figure
TABLE = [
    ("linear", 0.25, 0.25, ("{}", 0.25), ("{}", "linear", 0.25)),
    ("log", 1000, 3, ("log10 {}", 3), ("{}", "log", 1000)),
    ("log", 1e-4, -4, ("log10 {}", -4), ("{}", "log", 1e-4)),
    ("one_minus_log", 0.9, 1, ("log10 1-{}", -1), ("window 1 / (1 - {}) (steps)", "log", 10)),
    ("one_minus_log", 0.999, 3, ("log10 1-{}", -3), ("window 1 / (1 - {}) (steps)", "log", 1000)),
    ("one_minus_log", 0, 0, ("log10 1-{}", 0), ("window 1 / (1 - {}) (steps)", "log", 1)),
    ("one_minus_log", -9, -1, ("log10 1-{}", 1), ("window 1 / (1 - {}) (steps)", "log", 0.1)),
    ("sqrt", 0.25, 0.5, ("sqrt {}", 0.5), ("sqrt {}", "linear", 0.5)),
    ("sqrt", 0, 0, ("sqrt {}", 0), ("sqrt {}", "linear", 0)),
]


@pytest.mark.parametrize(("name", "value", "coordinate", "even", "figure"), TABLE)
def test_coordinates_and_axes(names, name, value, coordinate, even, figure):
    scale = scale_named(name, names, "scale")
    assert scale.coordinate(value) == pytest.approx(coordinate, abs=1e-12)
    assert scale.even_axis.label == even[0]
    assert scale.even_axis.place(value) == pytest.approx(even[1], abs=1e-12)
    assert (scale.figure_axis.label, scale.figure_axis.kind) == figure[:2]
    assert scale.figure_axis.place(value) == pytest.approx(figure[2])


@pytest.mark.parametrize(
    ("text", "dist"),
    [
        ("tag(sqrt, interval(0, 1))", lambda sqrt: Interval(0.0, 1.0, sqrt)),
        ("tag(sqrt, int(interval(0, 9)))", lambda sqrt: Interval(0, 9, sqrt, integer=True)),
        ("tag(log, interval(1, 2))", lambda sqrt: Interval(1.0, 2.0, LOG)),
    ],
)
def test_a_range_on_it_is_read_and_written(names, sqrt, text, dist):
    assert distribution(parse([f"a.b={text}"])[0], names) == dist(sqrt)
    assert str(dist(sqrt)) == text


@pytest.mark.parametrize(
    ("target", "text", "message"),
    [
        ("scales_for_tests.SQRT", "tag(sqrt, interval(-1, 1))", "low=-1.0 must be at least 0 on the scale sqrt."),
        ("scales_for_tests.SQRT", "tag(sqr, interval(0, 1))", "a.b: scale=sqr is not known. Allowed: linear, log, "),
        ("scales_for_tests.SQRT", "tag(sqr, interval(0, 1))", "Did you mean 'sqrt'?"),
        ("scales_for_tests.SQRTT", "tag(sqrt, interval(0, 1))", "has no Scale 'SQRTT'. Did you mean 'SQRT'?"),
        ("scales_for_tests.NUMBER", "tag(sqrt, interval(0, 1))", "scale=sqrt: scales_for_tests has no Scale 'NUMBER'"),
        ("no_such_module.SQRT", "tag(sqrt, interval(0, 1))", "a.b: scale=sqrt: no_such_module.SQRT can't be imported"),
        ("SQRT", "tag(sqrt, interval(0, 1))", "a.b: scale=sqrt: SQRT can't be imported"),
    ],
)
def test_what_is_no_scale_is_refused(names, target, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        distribution(parse([f"a.b={text}"])[0], {**names, "sqrt": target})


def points(sampler, space):
    return [params_at(space, p.coordinates, p.exact)["m"] for p in sampler.ask(sampler.total())]


def test_it_is_drawn_evenly_in_its_coordinate_at_random_and_on_a_grid(sqrt):
    space = {"m": Interval(0, 1, sqrt)}
    drawn = points(Random(Search((space,), (0,), 0, 2000)), space)
    assert sum(value < 0.25 for value in drawn) / 2000 == pytest.approx(0.5, abs=0.05)
    assert all(value == float(f"{value:.6g}") for value in drawn)
    assert points(Grid(Search((space,), (0,), 0, None), points=5), space) == [0, 0.0625, 0.25, 0.5625, 1]
    whole = {"m": Interval(0, 4, sqrt, integer=True)}  # -0.5, half a step below, has no coordinate
    assert set(points(Random(Search((whole,), (0,), 0, 200)), whole)) == set(range(5))


def test_a_region_is_a_box_in_its_coordinate(sqrt):
    space = {"m": Interval(0, 1, sqrt)}
    region = refine(space, [{"m": 0.04}, {"m": 0.16}], space, 1, 0.5)["m"]
    assert (region.low, region.high) == (pytest.approx(0.1**2), pytest.approx(0.5**2))
    assert str(region) == "tag(sqrt, interval(0.01, 0.25))"


RATE = "optimizer.learning_rate"


def searched(space, n):
    """Trials of which those near the middle of the space are the best."""
    rng, trials = np.random.default_rng(0), []
    for number in range(n):
        places = {key: rng.random() for key in space}
        loss = 0.1 + sum((u - 0.5) ** 2 for u in places.values())
        params = {key: space[key].at(u) for key, u in places.items()}
        metrics = {"val_loss": loss}
        trials.append(finished(number, {**params, "seed": 0}, "completed", metrics, epochs_of([metrics])))
    return results(trials, space)


def test_a_figure_draws_it(sqrt, tmp_path):
    one = {"m": Interval(0, 9, sqrt)}
    canvas, finding = figure_of_scales.figure(searched(one, 40))
    canvas.savefig(tmp_path / "scales.png")
    assert re.match(r"Draws from 4 to 9, exactly: 5\d% on the linear scale, 3\d% on the sqrt scale\.", finding)


def test_a_choice_has_no_scale():
    assert not hasattr(Choice((1, 2)), "scale")
