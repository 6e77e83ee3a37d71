"""What is said of an unwise space: key and range -> reason and what to write instead."""

import functools
import itertools
from dataclasses import replace

import pytest
from hydra import compose, initialize_config_dir

from pipeline.config import Composed
from pipeline.hydra_schema import register
from pipeline.records import Trial
from pipeline.search.linter import at_edge, lint
from pipeline.search.plan import Arm
from pipeline.search.planning import make_plan
from pipeline.search.ranges import distribution, parse
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval
from tests.conftest import ROOT

RATE, BETA, UNITS, BATCH = "optimizer.learning_rate", "optimizer.momentum", "model.hidden_units", "train.batch_size"
SCALES = {name: f"pipeline.search.scales.{name.upper()}" for name in ("linear", "log", "one_minus_log")}


@pytest.fixture(scope="module", autouse=True)
def hydra():
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


@functools.cache
def composed(words):
    return Composed(compose("config", list(words)))


def plan_of(*lines, values=None):
    """values: of each list at most, for an arm takes a tenth of a second. Seeds change no space: arms that differ in
    them alone are composed once."""
    return make_plan(
        parse(lines),
        lambda words: composed(tuple(word for word in words if not word.startswith("seed="))),
        lambda override: [getattr(value, "text", value) for value in override.sweep_iterator()][:values],
    )


@pytest.fixture(scope="module")
def plain():
    return plan_of("sweep.max_tier=0", "sweep.n_trials=24")


def of(plan, line):
    """What is said of one range."""
    (override,) = parse([line])
    space = {override.key_or_group: distribution(override, SCALES)}
    arms = [Arm(arm.crossed, arm.composed, space) for arm in plan.arms]
    return lint(replace(plan, arms=arms))


SHARES = [  # range, share of the draws, above what, range to write
    (f"{RATE}=interval(0.0001, 1)", "90%", 0.1, "tag(log, interval(0.001, 1))"),
    (f"{RATE}=interval(0.01, 0.2)", "95%", 0.02, "tag(log, interval(0.01, 0.2))"),
    ("optimizer.weight_decay=interval(0, 0.1)", "90%", 0.01, "tag(log, interval(0.0001, 0.1))"),
    (f"{UNITS}=int(interval(16, 1024))", "91%", 102, "tag(log, int(interval(16, 1024)))"),
    (f"{BETA}=interval(0.9, 0.999)", "9%", 0.99, "tag(one_minus_log, interval(0.9, 0.999))"),
    (f"{BETA}=tag(log, interval(0.5, 0.999))", "4%", 0.978, "tag(one_minus_log, interval(0.5, 0.999))"),
]


@pytest.mark.parametrize(("line", "share", "above", "fix"), SHARES)
def test_where_the_draws_lie_says_what_scale_to_write(plain, line, share, above, fix):
    (said,) = of(plain, line)
    assert said.startswith(f"space: {line.partition('=')[0]}=")
    why = "its distance from 1 matters" if "momentum" in line else "it matters by its factor"
    assert said.endswith(f": {why}, and {share} of the draws are above {above}; write {fix}")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "optimizer.beta=interval(0.5, 1.0)",
            "with the weight 1 an average never moves; write tag(one_minus_log, interval(0.5, 0.999))",
        ),
        (f"{RATE}=interval(0.1, 0.1)", f"it never varies; pin it, {RATE}=0.1, or widen it"),
        (f"{BATCH}=choice(32)", f"it never varies; pin it, {BATCH}=32, or give it more values"),
        ("model.dropout_rate=interval(0, 0.99)", "above 0.8 hardly a unit is left; write interval(0, 0.5)"),
        ("model.hidden_layers=tag(log, int(interval(1, 4)))", "50% of the draws are 1; write int(interval(1, 4))"),
    ],
)
def test_a_line_says_what_to_write_instead(plain, line, text):
    (said,) = of(plain, line)
    assert said.startswith(f"space: {line.partition('=')[0]}=")
    assert said.endswith(f": {text}")


@pytest.mark.parametrize(
    "line",
    [
        f"{RATE}=tag(log, interval(1e-4, 1))",
        f"{RATE}=interval(0.01, 0.05)",
        f"{BETA}=tag(one_minus_log, interval(0.5, 0.999))",
        f"{BETA}=interval(0.0, 0.9)",
        f"{UNITS}=tag(log, int(interval(16, 256)))",
        f"{UNITS}=int(interval(16, 128))",
        "model.hidden_layers=int(interval(1, 4))",
        "model.beta=interval(1, 10)",  # no weight of an average
        "model.dropout_rate=interval(0, 0.5)",
        "optimizer.epsilon=interval(-1, 0)",  # of somebody's own optimizer
    ],
)
def test_nothing_is_said_of(plain, line):
    assert of(plain, line) == []


FEWER = "it has 4 values, so that its axis has 4 and not 9 points; write choice(1, 2, 3, 4)"
TWO = "it has 2 values, so that its axis has 2 and not 5 points; write choice(1, 2)"
SAME = "of 5 points 1 fall on the same whole number; write choice(1, 2, 4, 6)"


@pytest.mark.parametrize(
    ("points", "line", "text"),
    [
        (9, "model.hidden_layers=int(interval(1, 4))", FEWER),
        (5, "model.hidden_layers=int(interval(1, 4))", None),
        (5, "model.hidden_layers=int(interval(1, 2))", TWO),
        (5, "model.hidden_layers=choice(1, 2)", None),  # what is said to be written
        (5, "model.hidden_layers=tag(log, int(interval(1, 6)))", SAME),
        (5, f"{UNITS}=tag(log, int(interval(16, 256)))", None),
    ],
)
def test_an_axis_of_a_grid_has_its_points(points, line, text):
    plan = plan_of("sweep=grid", "sweep.max_tier=0", f"sweep.points={points}")
    said = [text for text in of(plan, line) if "draws" not in text]
    assert [text.rpartition("): ")[2] for text in said] == ([] if text is None else [text])


def test_a_stage_has_a_trial_for_each_hyperparameter():
    (line,) = lint(plan_of("optimizer=adam,sgd", "sweep.n_trials=4"))
    assert line == (
        "space: stage random has 2 trials for each arm for 3 hyperparameters; raise sweep.n_trials, or lower "
        "sweep.max_tier"
    )
    assert lint(plan_of("optimizer=adam,sgd", "sweep.n_trials=6")) == []


def test_arms_of_one_range_get_one_line():
    assert len(lint(plan_of("optimizer=adam,sgd", f"{RATE}=interval(0.001, 1)"))) == 1


def files(group):
    """Names of a group's files that declare ranges."""
    return [path.stem for path in sorted((ROOT / "conf" / group).glob("*.yaml")) if "range:" in path.read_text()]


ROWS = itertools.zip_longest(files("optimizer"), files("model"), files("schedule"), files("dataset"), files("train"))


@pytest.mark.parametrize("row", [tuple(row) for row in ROWS], ids=str)
def test_the_ranges_of_conf_are_silent_in_all_tiers(row):
    groups = zip(("optimizer", "model", "schedule", "dataset", "train"), row, strict=True)
    assert lint(plan_of("sweep.max_tier=4", *(f"{group}={name}" for group, name in groups if name))) == []


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf/sweep").glob("*.yaml")))
def test_every_sweep_is_silent_as_it_stands(name):
    if name == "gp":
        pytest.importorskip("torch")
    assert lint(plan_of(f"sweep={name}")) == []


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")))
def test_the_spaces_of_experiments_are_silent(name):
    config = composed((f"experiment={name}",))
    lines = [f"experiment={name}", *(f"{key}={text}" for key, text in config.config.experiment.ranges.items())]
    assert lint(plan_of(*lines, values=2)) == []


def best_of(dist, values, key=RATE):
    """What is said once trials of these values have ended, best first."""
    ranked = [Trial(n, "random", 0, {key: value}, status="completed") for n, value in enumerate(values)]
    return at_edge([{key: dist}], ranked[0], ranked)


MIDDLE = [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008, 0.009]


LOGGED, WIDTHS, SIZES = Interval(1e-4, 0.1, LOG), Interval(16, 256, LOG, integer=True), Choice((16, 32, 64, 128))
WEIGHTS = Interval(0.9, 0.999, ONE_MINUS_LOG)


@pytest.mark.parametrize(
    ("key", "dist", "values", "end", "fix"),
    [
        (RATE, LOGGED, [0.09, 0.05, 0.04, *MIDDLE], "upper", "tag(log, interval(0.0001, 3.2))"),
        (RATE, LOGGED, [1.1e-4, 2e-4, 3e-4, *MIDDLE], "lower", "tag(log, interval(3.2e-06, 0.1))"),
        (RATE, LOGGED, [0.09, *MIDDLE[:7]], None, None),  # by chance, the others say
        (RATE, LOGGED, [0.05, 0.09, 0.08, *MIDDLE], None, None),  # the best is not there
        (BETA, WEIGHTS, [0.9988, 0.997, 0.996, *[0.95] * 9], "upper", "tag(one_minus_log, interval(0.9, 0.9999))"),
        (BETA, Interval(0.5, 0.9), [0.899, 0.85, 0.84, *[0.6] * 9], "upper", "interval(0.5, 0.95)"),
        ("model.dropout_rate", Interval(0.0, 0.5), [0.001, 0.02, 0.01, *[0.3] * 9], None, None),  # none is below 0
        (UNITS, WIDTHS, [256, 240, 200, *[64] * 9], "upper", "tag(log, int(interval(16, 1024)))"),
        (BATCH, SIZES, [16, 16, 16, 32, *[64] * 9], "lower", "choice(8, 16, 32, 64, 128)"),
        (BATCH, SIZES, [16, 32, 64, 32, *[64] * 9], None, None),
        (BATCH, Choice((1, 2, 3)), [1, 1, 1, 1, *[2] * 9], None, None),
        ("model.activation", Choice(("relu", "tanh", "elu")), ["relu"] * 9, None, None),
    ],
)
def test_the_best_at_an_edge_gets_the_range_to_try(key, dist, values, end, fix):
    said = f"space: the best {key}, {values[0]:.4g}, is at the {end} end of its range; try '{key}={fix}'" if end else ""
    assert best_of(dist, values, key) == [said] * bool(end)


def test_the_trials_of_other_arms_do_not_count():
    spaces = [{RATE: Interval(1e-4, 0.1, LOG)}] * 2
    trials = [Trial(n, "random", n % 2, {RATE: 0.09 if n % 2 else 0.001}, status="completed") for n in range(12)]
    (line,) = at_edge(spaces, trials[1], trials)
    assert line.startswith("space: the best optimizer.learning_rate, 0.09, is at the upper end")
    assert at_edge(spaces, trials[0], trials) == []
