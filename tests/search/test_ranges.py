import math
import re
from pathlib import Path

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.overrides import to_text
from pipeline.search.ranges import declared, distribution, is_arm, parse
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval
from tests.workers.jobs import config

SCALES = yaml.safe_load((Path(__file__).parents[2] / "conf/config.yaml").read_text())["scales"]


def only(text):
    [override] = parse([text])
    return override


@pytest.mark.parametrize(
    ("text", "dist"),
    [
        ("interval(0, 1)", Interval(0.0, 1.0)),
        ("interval(1, 10)", Interval(1.0, 10.0)),  # without int() it is continuous
        ("interval(-1e-3, 1e3)", Interval(-0.001, 1000.0)),
        ("int(interval(1, 4))", Interval(1, 4, integer=True)),
        ("interval(start=1, end=4)", Interval(1.0, 4.0)),
        ("tag(log, interval(1e-4, 1))", Interval(1e-4, 1.0, LOG)),
        ("tag(linear, interval(0, 1))", Interval(0.0, 1.0)),
        ("tag(one_minus_log, interval(0.9, 0.999))", Interval(0.9, 0.999, ONE_MINUS_LOG)),
        ("tag(log, int(interval(16, 256)))", Interval(16, 256, LOG, integer=True)),
        ("int(tag(log, interval(16, 256)))", Interval(16, 256, LOG, integer=True)),
        ("choice(16, 32)", Choice((16, 32))),
        ("choice(relu, tanh)", Choice(("relu", "tanh"))),
        ("choice(true, 1, 1.5, a, 'b c')", Choice((True, 1, 1.5, "a", "b c"))),
        ("choice([64, 32], [128])", Choice(([64, 32], [128]))),
        ("choice(['a b'], ['c'])", Choice((["a b"], ["c"]))),
        ("choice(5)", Choice((5,))),
        ("int(choice(1, 2))", Choice((1, 2))),
        ("sort(choice(3, 1, 2))", Choice((1, 2, 3))),
        ("shuffle(choice(3, 1, 2))", Choice((3, 1, 2))),  # trials follow from the seed, not from chance
        ("range(1, 4)", Choice((1, 2, 3))),
        ("range(4)", Choice((0, 1, 2, 3))),
        ("range(0, 1, 0.25)", Choice((0, 0.25, 0.5, 0.75))),
        ("range(10, 0, -5)", Choice((10, 5))),
        ("16,32", Choice((16, 32))),
    ],
)
def test_distribution(text, dist):
    read = distribution(only(f"key={text}"), SCALES)
    assert read == dist
    values, expected = ([*getattr(d, "values", ())] or [d.low, d.high] for d in (read, dist))
    if "range" not in text:
        assert [type(value) for value in values] == [type(value) for value in expected]  # 1 is not True, nor 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("interval(2, 1)", "a.b=interval(2, 1): low=2.0 is above high=1.0"),
        ("tag(log, interval(0, 1))", "a.b=tag(log, interval(0, 1)): low=0.0 must be above 0"),
        ("tag(one_minus_log, interval(0.9, 1))", "high=1.0 must be below 1"),
        ("interval(nan, 1)", "low=nan must be finite"),
        ("interval(0, inf)", "high=inf must be finite"),
        ("tag(lgo, interval(1, 2))", "a.b: scale=lgo is not known. Allowed: linear, log, one_minus_log. Did you"),
        ("tag(log, linear, interval(1, 2))", "a.b: one scale, not linear, log"),
        ("tag(log, choice(1, 2))", "a.b: a scale goes with interval(), not with a list of values"),
        ("tag(log, range(1, 4))", "a.b: a scale goes with interval()"),
        ("range(0, 0)", "choice() needs at least one value"),
        ("3", "a.b: 'a.b=3' is not a range. Write interval(low, high)"),
        ("adam", "is not a range"),
        ("[1, 2]", "is not a range"),
        ("glob(*)", "is not a range"),
    ],
)
def test_distribution_refuses(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        distribution(only(f"a.b={text}"), SCALES)


@pytest.mark.parametrize(
    "text",
    [
        "a=choice()",
        "a=interval(null, 1)",
        "a=tag(log, interval(1e-4, 1)",
        "a=interval(1)",
        "a=interval(x, y)",
        "a=[1",
        "a",
        "a b=1",
    ],
)
def test_parse_refuses_on_one_line(text):
    with pytest.raises(InputError) as raised:
        parse(["fine=1", text])
    assert str(raised.value).startswith(f"'{text}' is not understood: ")
    assert "\n" not in str(raised.value)


def test_parse_keeps_order_and_text():
    overrides = parse(["b.c=1", "a=interval(0, 1)", "+d=x", "~e"])
    assert [o.key_or_group for o in overrides] == ["b.c", "a", "d", "e"]
    assert [o.input_line for o in overrides] == ["b.c=1", "a=interval(0, 1)", "+d=x", "~e"]
    assert parse([]) == []


@pytest.mark.parametrize(
    ("text", "sweeps", "arm"),
    [
        ("adam,sgd", True, True),
        ("1,2,3", True, True),
        ("[64,32],[128]", True, True),
        ("sort(3,1,2)", True, True),
        ("glob(*)", True, True),
        ("choice(adam, sgd)", True, False),
        ("interval(0, 1)", True, False),
        ("tag(log, interval(1, 2))", True, False),
        ("range(1, 4)", True, False),
        ("adam", False, False),
        ("[1,2]", False, False),
        ("null", False, False),
        ("'a,b'", False, False),
    ],
)
def test_arms_and_sampled_ranges(text, sweeps, arm):
    override = only(f"key={text}")
    assert override.is_sweep_override() == sweeps
    assert is_arm(override) == arm


SEARCHED = {
    "optimizer.beta_1": 0.9,
    "optimizer.search": {
        "learning_rate": {"tier": 1, "range": "tag(log, interval(1e-4, 1))"},
        "beta_1": {"tier": 4, "range": "tag(one_minus_log, interval(0.5, 0.999))"},
    },
    "train.search": {"batch_size": {"tier": 2, "range": "choice(16, 32)"}},
    "model.search": None,
    "schedule.search": {},
}
LEARNING_RATE = ("optimizer.learning_rate", Interval(1e-4, 1.0, LOG))
BETA_1 = ("optimizer.beta_1", Interval(0.5, 0.999, ONE_MINUS_LOG))
BATCH_SIZE = ("train.batch_size", Choice((16, 32)))


@pytest.mark.parametrize(
    ("max_tier", "found"),
    [
        (0, []),
        (1, [LEARNING_RATE]),
        (2, [LEARNING_RATE, BATCH_SIZE]),
        (3, [LEARNING_RATE, BATCH_SIZE]),
        (4, [LEARNING_RATE, BETA_1, BATCH_SIZE]),
    ],
)
def test_declared_ranges_up_to_a_tier(max_tier, found):
    assert list(declared(config(SEARCHED), max_tier).items()) == found


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        ("gone", {"tier": 1, "range": "interval(0, 1)"}, "model.search.gone: model.gone is not in the config"),
        ("units", "interval(0, 1)", "model.search.units=interval(0, 1) must be {tier: 1, range: '...'}"),
        ("units", None, "model.search.units=None must be"),
        *(
            ("units", entry, "must be {tier: 1, range: '...'}")
            for entry in (
                {"range": "interval(0, 1)"},
                {"tier": 1},
                {"tier": 1, "range": "interval(0, 1)", "scale": "log"},
                *({"tier": tier, "range": "interval(0, 1)"} for tier in ("first", 1.5, 0, 5, None)),
            )
        ),
        ("units", {"tier": 1, "range": "interval(0, 1"}, "'model.units=interval(0, 1' is not understood"),
        ("units", {"tier": 1, "range": "interval(1, 0)"}, "model.units=interval(1, 0): low=1.0 is above high=0.0"),
        ("units", {"tier": 1, "range": 5}, "model.units: 'model.units=5' is not a range"),
        ("units", {"tier": 1, "range": None}, "model.units: 'model.units=None' is not a range"),
    ],
)
def test_declared_refuses(key, entry, message):
    with pytest.raises(InputError, match=re.escape(message)):
        declared(config({"model.units": 3, "model.search": {key: entry}}), 4)


VALUES = [
    0.1,
    1e-05,
    1e22,
    -0.000123456,
    0.999999999999999,
    5e-324,
    math.inf,
    1.0,
    3,
    -3,
    2**40,
    True,
    False,
    None,
    [],
    [64, 32],
    [0.1, None, True, "x"],
    [[1], [2, 3]],
    ["a b", "c,d"],
    "relu",
    "log_softmax",
    "",
    "two words",
    " leading",
    "it's",
    'say "x"',
    "a,b",
    "key=value",
    "a:b",
    "{a}",
    "[a]",
    "(a)",
    "a/b-c_d.e",
    "naïve word",
    "100%",
    "~/data",
    "tag(log, interval(1, 2))",
    "outputs/sweeps/first",
    "sqlite:///outputs/mlflow.db",
    "http://127.0.0.1:5000",
    *("true", "False", "null", "nan", "inf", "1", "1e3", "-5", "10_000", "é", "a b's"),
]


def unquoted(value):
    return [unquoted(item) for item in value] if isinstance(value, list) else getattr(value, "text", value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_to_text_is_read_back_as_the_same_value(value):
    back = unquoted(only(f"key={to_text(value)}").value())
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "text"), [(0.001, "0.001"), (1e-07, "1e-07"), (None, "null"), ([1, "a b"], "[1,'a b']"), ("adam", "adam")]
)
def test_to_text_is_what_a_person_would_type(value, text):
    assert to_text(value) == text
