"""What is asked of a whole config before anything is run."""

import re

import pytest

from pipeline.building import built
from pipeline.checks import check, naming
from pipeline.errors import InputError
from tests.conftest import composed
from tests.workers.jobs import with_value as changed


@pytest.fixture(scope="module")
def default():
    return composed().record


def check_record(record):
    check(built(record))


def test_the_default_config_passes(default):
    check_record(default)
    assert default["train"]["epochs"] == 20
    assert default["model"]["norm_placement"] == "before_activation"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.epochs", 0, "train.epochs=0 must be a whole number at least 1."),
        ("dataset.test_fraction", "0.2", """'dataset.test_fraction="${oc.decode:${oc.env:NAME}}"'."""),
        ("train.early_stopping.patience", 0, "train.early_stopping.patience=0 must be"),
        ("sweep.stages.random.epochs", -5, "sweep.stages.random.epochs=-5 must be"),
        (
            "model.head",
            "softmx",
            "model.head=softmx is not known. Allowed: softmax, sigmoid, cost. Did you mean 'softmax'?",
        ),
        ("model.hidden_units", [64, -1], "model.hidden_units=-1 must be a whole number at least 1."),
        ("sweep.metric", "accuracy", "sweep.metric=accuracy is not known. Allowed: val_loss, val_accuracy."),
        ("sweep.metric", "test_accuracy", "sweep.metric=test_accuracy is not known."),
        ("sweep.name", "../elsewhere", "sweep.name='../elsewhere' names a folder"),
        ("sweep.name", "a/b", "sweep.name='a/b' names a folder"),
        ("sweep.name", "", "sweep.name='' names a folder"),
        ("sweep.name", ".hidden", "sweep.name='.hidden' names a folder"),
        ("sweep.name", "two words", "sweep.name='two words' names a folder"),
        ("sweep.name", "line\n", "names a folder"),
    ],
)
def test_check_refuses_values(default, key, value, message):
    with pytest.raises(InputError, match=re.escape(message)):
        check_record(changed(default, key, value))


@pytest.mark.parametrize("metric", ["val_accuracy", "val_acuracy"])
def test_a_head_without_classes_is_measured_by_its_loss(default, metric):
    quadratic = changed(changed(default, "model.head", "cost"), "sweep.direction", "minimize")
    check_record(changed(quadratic, "sweep.metric", "val_loss"))
    with pytest.raises(InputError, match=f"sweep.metric={metric}.*val_loss"):
        check_record(changed(quadratic, "sweep.metric", metric))


@pytest.mark.parametrize(("metric", "direction"), [("val_loss", "maximize"), ("val_accuracy", "minimize")])
def test_a_metric_has_its_direction(default, metric, direction):
    wrong = changed(changed(default, "sweep.metric", metric), "sweep.direction", direction)
    with pytest.raises(InputError, match=f"sweep.direction={direction}: {metric} is to be .*d. Leave"):
        check_record(wrong)


def test_a_head_without_classes_has_no_labels_to_smooth(default):
    smoothed = changed(default, "train.label_smoothing", 0.1)
    check_record(smoothed)
    cost = changed(changed(smoothed, "model.head", "cost"), "sweep.direction", "minimize")
    with pytest.raises(InputError, match=r"train.label_smoothing=0.1: with model.head=cost there are no labels"):
        check_record(changed(cost, "sweep.metric", "val_loss"))


@pytest.mark.parametrize("name", ["first", "2026-01-01", "a.b_c-d", "Ünï", "7"])
def test_check_takes_names_of_folders(default, name):
    check_record(changed(default, "sweep.name", name))


@pytest.mark.parametrize("group", ["dataset", "model", "optimizer", "schedule"])
@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "os._exit",
        "joblib.load",
        "subprocess.run",
        "builtins.eval",
        "pathlib.Path",
        "keras.models.load_model",
        "keras.utils.get_file",
        "kerasx.optimizers.Adam",
        "pipeline.jsonl.write_atomically",
        "pipeline.workers.worker.main",
        "",
        "keras",
        None,
        3,
    ],
)
def test_check_refuses_targets_outside_the_allowed(default, group, target):
    with pytest.raises(InputError) as raised:
        check_record(changed(default, f"{group}._target_", target))
    assert f"{group}._target_={target} is not allowed: it must begin with one of pipeline." in str(raised.value)


def test_check_finds_a_target_however_deep(default):
    with pytest.raises(InputError, match=r"model\.inner\.deep\._target_=os\.system is not allowed"):
        check_record(changed(default, "model.inner", {"deep": {"_target_": "os.system"}}))


@pytest.mark.parametrize("key", ["train.callbacks", "tracking.subscribers"])
def test_check_finds_a_target_in_a_list(default, key):
    entries = [{"_target_": "pipeline.training.callbacks.Callback"}, {"_target_": "os.system"}]
    with pytest.raises(InputError, match=r"_target_=os\.system is not allowed"):
        check_record(changed(default, key, entries))


def test_allowed_targets_extend(default):
    mine = changed(default, "model._target_", "my_package.my_model")
    with pytest.raises(InputError, match=r"my_package\.my_model is not allowed"):
        check_record(mine)
    check_record(changed(mine, "allowed_targets", [*mine["allowed_targets"], "my_package."]))


def test_search_ranges_are_not_taken_for_values(default):
    check_record(changed(default, "train.search", {"epochs": {"tier": 1, "range": "choice(1, 2)"}}))


def test_which_overrides_say_what_names_mean():
    maps = ["+heads.mine=a.B", "heads={}", "~metrics.accuracy=a.B", "++scales.s=a.S", "formats.f=a.f"]
    words = [*maps, "~metrics.accuracy", "allowed_targets=[a.]", "model.head=mine", "+headset=1", "dataset.file=x"]
    assert naming(words) == [*maps, "allowed_targets=[a.]"]
