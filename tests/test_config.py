import inspect
import math
import os
import re
import shlex
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from pipeline import user_folder
from pipeline.building import built
from pipeline.checks import check
from pipeline.command_line import at_home
from pipeline.config import Composed, differences
from pipeline.errors import InputError
from pipeline.limits import LIMITS, Number, limit
from pipeline.schema import leaves
from pipeline.search.ranges import declared, distribution, parse
from pipeline.targets import locate
from tests.conftest import composed
from tests.workers.jobs import VALUES, with_value

CONF = Path(__file__).parents[1] / "conf"
SCALES = OmegaConf.load(CONF / "config.yaml").scales
# An experiment changes several groups at once; tests/experiments has its rules.
FILES = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name not in ("hydra", "experiment"))
NAMES = [f"{path.parent.name}/{path.stem}" for path in FILES]


def load(path):
    return OmegaConf.to_container(OmegaConf.load(path), resolve=False)


# --- numbers and limits

EPSILON = 1e-9


@pytest.mark.parametrize(
    ("number", "accepted", "refused", "text"),
    [
        (Number(), [-1e300, 0, 2.5], [None, "1", True, math.nan, [1]], "a number"),
        (Number(0, 1), [0, 1, 0.5, 1.0], [-EPSILON, 1 + EPSILON], "a number at least 0 and at most 1"),
        (Number(0, 1, open="low"), [EPSILON, 1], [0, 0.0, 1.1], "a number above 0 and at most 1"),
        (Number(0, 1, open="high"), [0, 1 - EPSILON], [1, 1.0], "a number at least 0 and below 1"),
        (Number(0, 1, open="low high"), [0.5], [0, 1], "a number above 0 and below 1"),
        (Number(1, integer=True), [1, 10**9], [0, 1.0, 1.5, True, "1", None], "a whole number at least 1"),
        (Number(high=3, integer=True), [3, -(10**9)], [4, 3.0], "a whole number at most 3"),
        (Number(0, nullable=True), [None, 0], [-1, False, "null"], "a number at least 0 or null"),
    ],
)
def test_number(number, accepted, refused, text):
    assert [value for value in accepted if not number.accepts(value)] == []
    assert [value for value in refused if number.accepts(value)] == []
    assert str(number) == text


def test_a_rule_of_numbers_refuses_what_is_not_finite():
    for number in (Number(), Number(0), Number(0, nullable=True), Number(1, integer=True)):
        assert [value for value in (math.nan, math.inf, -math.inf) if number.accepts(value)] == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.epochs", 0, "train.epochs=0 must be a whole number at least 1."),
        ("sweep.n_trials", 1.5, "sweep.n_trials=1.5 must be a whole number at least 1 and at most 100000 or null."),
        ("sweep.stages.any.epochs", -5, "sweep.stages.any.epochs=-5 must be a whole number at least 1 or null."),
        ("model.hidden_units", [64, 0, -1], "model.hidden_units=0 must be a whole number at least 1."),
        ("model.hidden_units", [], "model.hidden_units=[] must be a whole number at least 1."),
        ("dataset.size", [32, "64"], "dataset.size=64 must be a whole number at least 1."),
        ("device.precision", "float61", "device.precision=float61 is not known. Allowed: float32, mixed_float16,"),
        ("model.norm_placement", None, "model.norm_placement=None is not known."),
        ("executor.fuse", True, "executor.fuse=True is not known. Allowed: auto, always, never."),
    ],
)
def test_a_value_outside_its_limits_is_refused(key, value, message):
    with pytest.raises(InputError) as raised:
        limit(key, value)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.epochs", 1),
        ("sweep.n_trials", None),
        ("sweep.stages.any.epochs", 3),
        ("model.hidden_units", [128, 64]),
        ("model.hidden_units", 64),
        ("device.precision", "float32"),
        # without a rule
        ("model.n_heads", "whatever"),
        ("sweep.stages.coarse.note", -1),
    ],
)
def test_a_value_within_its_limits_is_taken(key, value):
    limit(key, value)


def _has_numbers(value):
    if isinstance(value, list):
        return any(map(_has_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(path):
    """(full key, value) of every number in a file of conf/."""
    prefix = "" if path.parent == CONF or path.parent.name == "experiment" else f"{path.parent.name}."
    values = leaves({key: value for key, value in load(path).items() if key != "search"})
    return [(f"{prefix}{key}", value) for key, value in values if _has_numbers(value)]


NUMBERS = sorted({str(pair): pair for path in CONF.rglob("*.yaml") for pair in _numbers(path)}.values(), key=str)
# The functions that make these data, and a sampler, say what they take; one of the user's own may mean another thing by
# such a name.
OF_ONE_SAMPLER = "sweep.sampler."
OF_ONE_DATA_SET = {"dataset.spread", "dataset.noise", "dataset.turns", "dataset.coefficients"}


RULED = [pair for pair in NUMBERS if pair[0] not in OF_ONE_DATA_SET and not pair[0].startswith(OF_ONE_SAMPLER)]


@pytest.mark.parametrize(("key", "value"), RULED)
def test_every_number_in_conf_has_a_rule_that_takes_it(key, value):
    assert isinstance(LIMITS[re.sub(r"^sweep\.stages\.\w+", "sweep.stages.*", key)], Number)
    limit(key, value)


def test_there_are_numbers_in_conf():
    keys = {key for key, _ in NUMBERS}
    assert keys >= {"seed", "train.epochs", "optimizer.learning_rate", "sweep.stages.fine.epochs", *OF_ONE_DATA_SET}


# --- a config as Hydra composed it


@pytest.mark.parametrize(
    ("tree", "flat"),
    [
        ({}, []),
        ({"a": 1}, [("a", 1)]),
        ({"a": {"b": {"c": 1}, "d": None}, "e": [1, {"f": 2}]}, [("a.b.c", 1), ("a.d", None), ("e", [1, {"f": 2}])]),
        ({"a": {}}, [("a", {})]),
    ],
)
def test_leaves(tree, flat):
    assert list(leaves(tree)) == flat


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": {"c": 2}}, {"b": {"c": 2}, "a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a: was 1, is 2"]),
        ({"b": {"c": 1}}, {"b": {"c": None}}, ["b.c: was 1, is None"]),
        ({"a": 1}, {}, ["a: was 1, is absent"]),
        ({}, {"a": None}, ["a: was absent, is None"]),
        ({"a": {"b": 1}}, {"a": 1}, ["a: was absent, is 1", "a.b: was 1, is absent"]),
        ({"z": 1, "a": [1, 2]}, {"z": 2, "a": [2, 1]}, ["a: was [1, 2], is [2, 1]", "z: was 1, is 2"]),
        ({"a": {}}, {"a": {"b": 1}}, ["a: was {}, is absent", "a.b: was absent, is 1"]),
    ],
)
def test_differences(old, new, lines):
    assert differences(old, new) == lines


def test_a_record_resolves_references():
    node = OmegaConf.create({"a": 1, "b": {"c": "${a}", "d": ["${a}", "x${a}"]}})
    assert Composed(node).record == {"a": 1, "b": {"c": 1, "d": [1, "x1"]}}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": {"b": "???"}}, "a.b is not given: add a.b=VALUE."),
        ({"a": {"b": "${nowhere}"}}, "a.b: Interpolation key 'nowhere' not found"),
        ({"a": "${oc.env:NO_SUCH_VARIABLE_HERE}"}, "Environment variable 'NO_SUCH_VARIABLE_HERE' not found"),
    ],
)
def test_what_can_not_be_resolved_is_refused(tree, message):
    with pytest.raises(InputError) as raised:
        _ = Composed(OmegaConf.create(tree)).config
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("tree", "values"),
    [
        ({"a": {"x": 1}, "b": 2}, {"a.x": 5, "b": [1, 2]}),
        ({"a": {"x": 1}, "b": "${a.x}"}, {"a.x": 5}),
        ({"a": {"x": 1}, "b": "${a}"}, {"a.x": 5}),
        ({"a": {"x": 1}, "b": {"c": "${..a.x}", "d": ["${a.x}!"]}}, {"a.x": 5}),
        ({"a": {"x": 1}, "b": "${a[x]}"}, {"a.x": 5}),
        ({"a": [0, 1], "b": "${a[0]}"}, {"a": [5, 6]}),
        ({"a": {"x": [0, 1]}, "b": "${a.x[1]}"}, {"a.x": [5, 6]}),
        ({"n": "x", "a": {"x": 1, "y": 2}, "b": "${a.${n}}"}, {"n": "y"}),
        ({"n": "x", "a": {"x": 1, "y": 2}, "b": "${a.${n}}"}, {"a.x": 9}),
    ],
)
def test_what_refers_to_a_value_that_a_trial_sets_follows_it(tree, values):
    node = OmegaConf.create(tree)
    for key, value in values.items():
        OmegaConf.update(node, key, value, merge=False)
    made = Composed(OmegaConf.create(tree)).with_values(values)
    assert yaml.safe_load(made.yaml) == OmegaConf.to_container(node)
    assert made.record == OmegaConf.to_container(node, resolve=True)


ENV = "${oc.env:CAVIAR_SECRET}"


@pytest.mark.parametrize(
    ("tree", "record"),
    [
        ({"uri": ENV}, {"uri": ENV}),
        (
            {"uri": f"https://me:{ENV}@host/${{path}}", "path": "x"},
            {"uri": f"https://me:{ENV}@host/x", "path": "x"},
        ),
        ({"a": {"b": {"c": ENV, "d": "${e}"}}, "e": 1}, {"a": {"b": {"c": ENV, "d": 1}}, "e": 1}),
        ({"list": [ENV, {"in": ENV}, [ENV], "plain"]}, {"list": [ENV, {"in": ENV}, [ENV], "plain"]}),
        ({"uri": ENV, "again": "${uri}", "within": "<${uri}>"}, {"uri": ENV, "again": ENV, "within": f"<{ENV}>"}),
        ({"again": "${uri}", "uri": ENV}, {"again": ENV, "uri": ENV}),
        ({"uri": "${oc.env:NO_SUCH_VARIABLE_HERE}"}, {"uri": "${oc.env:NO_SUCH_VARIABLE_HERE}"}),
        ({"uri": "${oc.env:NO_SUCH_VARIABLE_HERE,fallback}"}, {"uri": "${oc.env:NO_SUCH_VARIABLE_HERE,fallback}"}),
        ({"n": "${oc.decode:${oc.env:CAVIAR_SECRET}}"}, {"n": ENV}),
        ({"a": "${oc.env :CAVIAR_SECRET}"}, {"a": ENV}),
        ({"n": "oc.env", "a": "${${n}:CAVIAR_SECRET}"}, {"n": "oc.env", "a": ENV}),
        ({"o": {"p": ENV}, "q": "${o}"}, {"o": {"p": ENV}, "q": {"p": ENV}}),
        ({"a": 1, "b": "${a}", "c": None, "d": {}, "e": []}, {"a": 1, "b": 1, "c": None, "d": {}, "e": []}),
    ],
)
def test_a_record_keeps_the_environment_out(monkeypatch, tree, record):
    monkeypatch.setenv("CAVIAR_SECRET", "hunter2")
    node = OmegaConf.create(tree)
    before = OmegaConf.to_yaml(node)
    assert Composed(node).record == record
    assert "hunter2" not in str(Composed(node).record)
    assert OmegaConf.to_yaml(node) == before  # the config itself is left alone
    if "CAVIAR_SECRET" in str(tree):
        assert "hunter2" in str(OmegaConf.to_container(node, resolve=True))  # it was there to be found


def test_a_secret_is_in_the_config_and_not_in_its_records(monkeypatch):
    monkeypatch.setenv("CAVIAR_SECRET", "hunter2")
    with_secret = composed("tracking.uri='https://${oc.env:CAVIAR_SECRET}@host'", "output_dir=elsewhere")
    assert with_secret.config.tracking.uri == "https://hunter2@host"
    assert "hunter2" not in with_secret.yaml
    record = with_secret.record
    assert record["tracking"]["uri"] == "https://${oc.env:CAVIAR_SECRET}@host"
    assert differences(composed("output_dir=elsewhere").record, record) == [
        "tracking.uri: was sqlite:///elsewhere/mlflow.db, is https://${oc.env:CAVIAR_SECRET}@host"
    ]


@pytest.mark.parametrize(
    ("key", "suggestion", "hint"),
    [
        (
            "optimizer.learning_rat",
            " Did you mean 'optimizer.learning_rate'?",
            ", and keras.optimizers.Adam takes learning_rate, beta_1, ",
        ),
        ("optimizer.amsgrad", "", "; `+optimizer.amsgrad=...` adds one that the target takes."),
        ("model.widths_", " Did you mean 'model.widths'?", ", and pipeline.models.mlp.mlp takes hidden_units, "),
        ("sweep.sampler.seed", "", "; pipeline.search.samplers.random.Random takes none."),
        ("scales.sqrt", "", "; `+scales.sqrt=my_package.NAME` adds a name."),
        # closed: what the config does not have nothing reads, with a + or without
        ("train.learning_rate", " Did you mean 'optimizer.learning_rate'?", "; those of train: batch_size, epochs, "),
        ("train.augment.rotate", "", "; those of train.augment: flip, shift."),
        ("sweep.trials", " Did you mean 'sweep.n_trials'?", "; those of sweep: name, sampler, n_trials, "),
        ("trian", " Did you mean 'train'?", "."),
        ("zebra.crossing", "", "."),
    ],
)
def test_an_unknown_key_suggests_the_nearest_and_a_plus_only_where_it_helps(key, suggestion, hint):
    first, second = str(composed().unknown_key(key)).splitlines()
    assert first == f"{key} is not in the config.{suggestion}"
    assert second.startswith(f"`python run.py --cfg job` shows every key{hint}")
    assert ("`+" in second) == ("`+" in hint)


@pytest.mark.parametrize(
    "key", ["train.class_weight", "device.foo", "executor.foo", "tracking.foo", "sweep.halving.foo", "foo"]
)
def test_a_plus_adds_no_key_where_nothing_would_read_it(key):
    with pytest.raises(InputError, match=f"^{key} is not a key that anything reads. "):
        _ = composed(f"+{key}=1").config


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("model.hidden_units", "24", 24),
        ("dataset.test_fraction", "2.5e-1", 0.25),
        ("optimizer.learning_rate", ".5", 0.5),
        ("train.epochs", "7", 7),
    ],
)
def test_the_environment_may_say_a_number(key, text, value, monkeypatch):
    monkeypatch.setenv("NUMBER_FOR_TESTS", text)
    read = composed(f"{key}=${{oc.env:NUMBER_FOR_TESTS}}")
    check(read.config)
    found = reduce(getitem, key.split("."), read.config.plain())
    assert (found, type(found)) == (value, type(value))
    assert "oc.env" in str(reduce(getitem, key.split("."), read.record))  # which shows nothing of the environment


@pytest.mark.parametrize("text", ["24.5", "a", "1_000", "", "0x10"])
def test_what_is_no_such_number_is_refused(text, monkeypatch):
    monkeypatch.setenv("NUMBER_FOR_TESTS", text)
    with pytest.raises(InputError, match=r"model.hidden_units=.* must be a whole number at least 1\."):
        check(composed("model.hidden_units=${oc.env:NUMBER_FOR_TESTS}").config)


HOME = str(Path.home())


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("output_dir='~/x'", "output_dir", f"{HOME}/x"),
        ("output_dir='~/x'", "tracking.uri", f"sqlite:///{HOME}/x/mlflow.db"),
        ("output_dir='~'", "output_dir", HOME),
        ("output_dir='~nobody.knows/x'", "output_dir", "~nobody.knows/x"),
        ("output_dir='a/~/x'", "output_dir", "a/~/x"),
        ("resume='~/x'", "resume", f"{HOME}/x"),
        ("tracking.uri='sqlite:///~/x.db'", "tracking.uri", f"sqlite:///{HOME}/x.db"),
        ("+dataset.validation={file: '~/x'}", "dataset.validation.file", f"{HOME}/x"),
        ("+dataset.files=['~/x',y]", "dataset.files", [f"{HOME}/x", "y"]),
        ("+dataset.missing_values=['~']", "dataset.missing_values", ["~"]),
    ],
)
def test_a_path_may_begin_at_home(line, key, value):
    for plain in ((read := composed(line)).config.plain(), read.record):
        assert reduce(getitem, key.split("."), plain) == value


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("output_dir=~/x", f"output_dir={HOME}/x"),
        ("output_dir=~", f"output_dir={HOME}"),
        ("--config-dir=~/conf", f"--config-dir={HOME}/conf"),
        ("dataset.file=~/x,~/y", f"dataset.file={HOME}/x,{HOME}/y"),
        ("+dataset.validation={file:~/x}", f"+dataset.validation={{file:{HOME}/x}}"),
        ("tracking.uri=sqlite:///~/x.db", f"tracking.uri=sqlite:///{HOME}/x.db"),
        ("~model.l2", "~model.l2"),
        ("a=b/~/c", "a=b/~/c"),
        ("a=b~/c", "a=b~/c"),
        ("a='~/c'", "a='~/c'"),  # which the config writes out
    ],
)
def test_so_it_may_on_a_command_line_whose_grammar_has_no_such_sign(word, written):
    assert at_home(word) == written


def test_so_may_a_value_of_a_trial():
    assert composed().with_values({"output_dir": "~/x"}).config.output_dir == f"{HOME}/x"


def test_a_command_to_repeat_has_the_words_that_name_other_files(tmp_path, monkeypatch):
    for name in ("PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "conf").mkdir()
    user_folder.adopt(["-m", "--config-dir", f"{tmp_path}/conf", "-cn=mine", "seed=1"])
    assert user_folder.run_option() == ["--config-dir", f"{tmp_path}/conf", "--config-name", "mine"]
    assert user_folder.option() == ["--config-dir", f"{tmp_path}/conf"]  # of commands that read no such file
    user_folder.adopt(["--config-name", "mine"])
    assert user_folder.run_option() == ["--config-name", "mine"]
    user_folder.adopt([])
    assert user_folder.run_option() == []


# --- the YAML files

BY_RUNNER = {  # arguments of a target that the config does not have
    "dataset": ((), {"seed": 0}),
    "model": ((object(), 10), {}),
    "optimizer": ((), {}),
    "schedule": ((0, 20), {}),
}


def config_with(group, node):
    """One whose group is what a file says."""
    return built(with_value(VALUES, group, node))


def test_every_group_has_files():
    groups = {path.parent.name for path in FILES}
    assert groups >= {*BY_RUNNER, "train", "device", "sweep", "executor", "tracking"}
    assert len(FILES) >= 24


@pytest.mark.parametrize("path", [CONF / "config.yaml", *FILES], ids=["config", *NAMES])
def test_a_file_opens_with_a_command_that_uses_it(path):
    first = path.read_text().splitlines()[0]
    command = re.match(r"# python run\.py(?: -m)?((?: [^\s#=]+=[^\s#]+)*)(?:\s|$)", first)
    assert command, first
    overrides = shlex.split(command[1])
    check(composed(*overrides).config)
    group, choice = path.parent.name, path.stem
    if path.parent != CONF and f"{group}={choice}" not in overrides:
        # The file that is there by default may instead show one of its keys.
        assert {group: choice} in load(CONF / "config.yaml")["defaults"]
        assert any(word.startswith(f"{group}.") for word in overrides)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_file_composes_with_the_schema_and_passes_the_limits(path):
    group, choice = path.parent.name, path.stem
    written = {key: "given" if value == "???" else value for key, value in load(path).items()}
    overrides = [f"{group}.{key}=given" for key in written if written[key] == "given"]
    overrides += ["sweep.metric=val_loss", "sweep.direction=minimize"] if written.get("head") == "cost" else []
    of_file = composed(f"{group}={choice}", *overrides)
    check(of_file.config)
    values = dict(leaves(yaml.safe_load(of_file.yaml)[group]))  # with what only the schema says
    assert {key: values[key] for key, _ in leaves(written)} == dict(leaves(written))


BOUND = [(path, name) for path, name in zip(FILES, NAMES) if path.parent.name in BY_RUNNER]


@pytest.mark.parametrize("path", [path for path, _ in BOUND], ids=[name for _, name in BOUND])
def test_a_file_fits_the_signature_of_its_target(path):
    group = path.parent.name
    node = load(path)
    target = locate(node["_target_"])
    keywords = getattr(config_with(group, node), group).arguments
    positional, of_runner = BY_RUNNER[group]
    parameters = inspect.signature(target).parameters
    of_runner = {**of_runner, "formats": {}} if "formats" in parameters else of_runner
    inspect.signature(target).bind(*positional, **keywords, **of_runner)
    if path.stem != "file":  # whose other keys go to readers
        # Keras optimizers take **kwargs and complain only when called.
        assert set(keywords) <= set(parameters)
    if group == "optimizer":
        optimizer = target(**keywords)
        assert {key: _close(value) for key, value in optimizer.get_config().items() if key in keywords} == {
            key: _close(value) for key, value in keywords.items()
        }
    if group == "schedule":
        assert target(0, 20, **keywords) == 1


def _close(value):
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value


SEARCHES = [(f"{name}: {key}", path, key) for path, name in zip(FILES, NAMES) for key in load(path).get("search") or {}]


def test_there_are_ranges():
    names = {name for name, _, _ in SEARCHES}
    assert {"optimizer/adam: learning_rate", "optimizer/momentum: momentum", "train/default: batch_size"} <= names


@pytest.mark.parametrize(("path", "key"), [row[1:] for row in SEARCHES], ids=[row[0] for row in SEARCHES])
def test_a_range_parses_and_stands_beside_its_value(path, key):
    node, group = load(path), path.parent.name
    entry = node["search"][key]
    assert set(entry) == {"tier", "range"}
    assert entry["tier"] in (1, 2, 3, 4)
    assert key in node
    name = f"{group}.{key}"
    [override] = parse([f"{name}={entry['range']}"])
    dist = distribution(override, SCALES)
    for end in (dist.at(0), dist.at(1 - 1e-12)):
        limit(name, end)
    assert declared(config_with(group, node), 4)[name] == dist
    assert name not in declared(config_with(group, node), entry["tier"] - 1)
    if isinstance(node[key], int | float) and hasattr(dist, "low") and node[key]:
        assert dist.low <= node[key] <= dist.high  # the default is within its own range


@pytest.mark.parametrize("path", sorted((CONF / "optimizer").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_learning_rate_of_every_optimizer_is_searched_first_and_by_logarithm(path):
    space = declared(config_with("optimizer", load(path)), 1)
    assert list(space) == ["optimizer.learning_rate"]
    assert space["optimizer.learning_rate"].scale.name == "log"


def test_beta_and_momentum_are_searched_on_one_minus_log():
    scales = {}
    for path in sorted((CONF / "optimizer").glob("*.yaml")):
        for key, dist in declared(config_with("optimizer", load(path)), 4).items():
            if key.split(".")[1] in ("momentum", "beta_1", "beta_2", "rho"):
                scales[path.stem, key] = dist.scale.name
    assert len(scales) >= 9
    assert set(scales.values()) == {"one_minus_log"}
