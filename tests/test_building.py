"""A config from plain values: what is the target's, what is the runner's, and what is refused."""

import pytest

from pipeline.building import built, target
from pipeline.errors import InputError
from pipeline.schema import EarlyStopping, SearchRange, Target
from tests.workers.jobs import VALUES, config, with_value

RANGE = {"tier": 1, "range": "interval(0, 1)"}


@pytest.mark.parametrize(
    ("group", "node", "arguments", "own"),
    [
        ("model", {"_target_": "m", "search": {}, "head": "softmax", "units": 3}, {"units": 3}, {"head": "softmax"}),
        ("model", {"_target_": "m", "head": "cost", "widths": ["u"], "u": 2}, {"u": 2}, {"widths": ["u"]}),
        ("model", {"_target_": "m", "head": "cost", "widths": None}, {}, {"widths": None}),
        ("dataset", {"_target_": "d", "normalize": False}, {}, {"normalize": False}),
        ("dataset", {"_target_": "d", "normalize": "minmax"}, {"normalize": "minmax"}, {"normalize": None}),
        ("schedule", {"_target_": "s", "search": {}, "warmup_epochs": 2, "decay": 0.1}, {"decay": 0.1},
         {"warmup_epochs": 2}),
        ("optimizer", {"_target_": "o", "learning_rate": 1, "head": 1, "warmup_epochs": 2},
         {"learning_rate": 1, "head": 1, "warmup_epochs": 2}, {"learning_rate": 1.0}),
        ("dataset", {"_target_": "d", "seed": 1, "nested": {"a": [1]}}, {"seed": 1, "nested": {"a": [1]}}, {}),
        ("dataset", {"_target_": "d", "n": 1, "search": {"n": RANGE}}, {"n": 1},
         {"search": {"n": SearchRange(1, "interval(0, 1)")}}),
    ],
)  # fmt: skip
def test_a_groups_arguments_are_all_that_the_runner_does_not_read(group, node, arguments, own):
    made = getattr(built(with_value(VALUES, group, node)), group)
    assert (made.target, made.arguments) == (node["_target_"], arguments)
    assert {name: getattr(made, name) for name in own} == own
    assert made.plain() == {key: value for key, value in node.items() if key != "search" and value is not None}


def test_sections_become_classes_with_their_defaults():
    made = config({"train.early_stopping": {"patience": 3}, "train.callbacks": [{"_target_": "a.B", "c": 1}]})
    assert made.train.early_stopping == EarlyStopping(3)
    assert made.train.callbacks == [Target("a.B", {"c": 1})]
    assert made.sweep.sampler == Target("pipeline.search.samplers.random.Random")
    assert (made.sweep.max_tier, made.executor.fuse, made.output_dir, made.experiment) == (2, "auto", "outputs", None)
    assert config({"train.early_stopping": None}).train.early_stopping is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model", {"_target_": "m"}, "model.head is missing: the runner needs it."),
        ("model", {"head": "softmax"}, "model._target_ is missing: the runner needs it."),
        ("optimizer", {"_target_": "o"}, "optimizer.learning_rate is missing: the runner needs it."),
        ("dataset", None, "dataset._target_ is missing: the runner needs it."),
        ("sweep.sampler", {}, "sweep.sampler._target_ is missing: a sweep file names its sampler"),
        ("train.epochs", "many", "train.epochs=many must be a whole number."),
        (
            "train.epochz",
            3,
            "train.epochz is not a key that anything reads. Did you mean 'train.epochs'? Those of train: batch",
        ),
        ("train.augment", {"flip": "yes"}, "train.augment.flip=yes must be true or false."),
        ("device.visible", 0, "device.visible=0 must be a list."),
        ("model.widths", 4, "model.widths=4 must be a list."),
        ("model.widths", [4], "model.widths=4 must be text."),
        ("nothing", 1, "nothing is not a key that anything reads. All: dataset, model, "),
    ],
)
def test_what_is_no_config_is_refused_by_its_key(key, value, message):
    with pytest.raises(InputError) as raised:
        config({key: value})
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"_target_": "a.b"}, Target("a.b")),
        ({"_target_": "a.b", "c": {"d": 1}}, Target("a.b", {"c": {"d": 1}})),
        ({"c": 1}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_target_is_what_a_mapping_calls(node, expected):
    assert target(node) == expected


def test_a_config_as_it_stands_in_yaml_builds_the_same_config():
    made = config({"model.search": {"hidden_units": RANGE}, "train.early_stopping": {"patience": 3}})
    plain = made.plain()
    assert "search" not in plain["model"]
    again = built(plain)
    assert again.plain() == plain
    assert again.train == made.train
