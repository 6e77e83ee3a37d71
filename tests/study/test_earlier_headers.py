"""What earlier versions wrote is read as if this one had."""

import copy
import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from pipeline import compatibility
from pipeline.config import Composed
from pipeline.errors import InputError
from pipeline.eventlog import events_of
from pipeline.hydra_schema import register
from pipeline.records import DataFacts, Started
from pipeline.search.plan import Plan
from pipeline.search.planning import make_plan
from pipeline.search.ranges import parse
from pipeline.study.opening import header, open_study

ROOT = Path(__file__).parents[2]
RANDOM, GRID = "pipeline.search.samplers.random.Random", "pipeline.search.samplers.grid.Grid"
REST = {"keep": None, "margin": None, "metric": "val_accuracy", "direction": "maximize"}


@pytest.fixture(scope="module", autouse=True)
def hydra():
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


def plan_of(folder, *lines):
    """That of a sweep named s."""
    overrides = parse([*lines, f"output_dir={folder}", "sweep.name=s"], GlobalHydra.instance().config_loader())
    return make_plan(overrides, lambda words: Composed(compose("config", words)), lambda override: [])


def start(plan):
    """Makes the folder of the sweep, or opens it."""
    open_study(plan, [DataFacts("data", "", {}, {})]).ledger.close()


BLOBS = "pipeline.data.planar.blobs", "pipeline.data.sets.planar.blobs"
SAME = [
    {"dataset": {"_target_": "my.data", "strategy": "random"}},  # an argument that is only called so
    {"optimizer": [{"strategy": 1}], "x": None},
]


@pytest.mark.parametrize(
    ("record", "now"),
    [
        ({"strategy": "random", "points": None, **REST}, {"sampler": {"_target_": RANDOM}, "points": None, **REST}),
        (
            {"strategy": "grid", "points": 5, **REST},
            {"sampler": {"_target_": GRID, "points": 5}, "points": 5, **REST},
        ),
        (
            {"strategy": {"strategy": "random", "points": 7, **REST}, "data": "x"},
            {"strategy": {"sampler": {"_target_": RANDOM}, "points": 7, **REST}, "data": "x"},
        ),
        ({"dataset": {"_target_": BLOBS[0]}}, {"dataset": {"_target_": BLOBS[1]}}),
        *((record, record) for record in SAME),
    ],
)
def test_an_earlier_record(record, now):
    before = copy.deepcopy(record)
    assert compatibility.current(record) == now
    assert record == before
    assert compatibility.current(now) == now


def begun(folder, plan, strategy):
    """A sweep as the version before samplers had targets began it."""
    record = {"record": "study", "header": {**header(plan, "data"), "strategy": strategy}}
    (folder / "sweeps/s").mkdir(parents=True)
    (folder / "sweeps/s/ledger").write_text(json.dumps(record) + "\n")


@pytest.mark.parametrize(
    ("lines", "strategy"),
    [
        ([], {"strategy": "random", "points": None, **REST}),
        ([], {"strategy": "random", "points": 3, **REST, "keep": 0.5, "margin": 0.1}),  # which changed nothing
        (["sweep=grid"], {"strategy": "grid", "points": 5, **REST}),
        (["sweep=grid", "sweep.points=3"], {"strategy": "grid", "points": 3, **REST}),
        (["sweep=grid", "sweep.points=null"], {"strategy": "grid", "points": None, **REST}),
    ],
)
@pytest.mark.parametrize(
    ("changes", "differences"),
    [
        ([], []),
        (["sweep=grid", "sweep.points=2"], ["strategy.points: was", "strategy.sampler"]),
        (["sweep=random", "sweep.metric=val_loss", "sweep.direction=minimize"], ["strategy.metric: was val_accuracy"]),
    ],
    ids=["the same", "another grid", "another metric"],
)  # fmt: skip
def test_a_sweep_begun_earlier_resumes_and_a_changed_one_does_not(tmp_path, lines, strategy, changes, differences):
    begun(tmp_path, plan_of(tmp_path, *lines), strategy)
    changed = [line for line in lines if line.split("=")[0] not in {c.split("=")[0] for c in changes}]
    if not changes:
        start(plan_of(tmp_path, *lines))
        return
    with pytest.raises(InputError, match="was begun otherwise") as raised:
        start(plan_of(tmp_path, *changed, *changes))
    assert [text for text in differences if text not in str(raised.value)] == []
    start(plan_of(tmp_path, *lines))  # who was refused did not keep the sweep


@pytest.mark.parametrize(
    ("begun_with", "resumed_with", "difference"),
    [
        ([], ["sweep=grid"], f"strategy.sampler._target_: was {RANDOM}, is {GRID}"),
        (["sweep=grid"], [], f"strategy.sampler._target_: was {GRID}, is {RANDOM}"),
        (["sweep=grid"], ["sweep=grid", "sweep.points=9"], "strategy.sampler.points: was 5, is 9"),
        (["sweep=tpe"], ["sweep=tpe", "sweep.generation=8"], "strategy.generation: was 16, is 8"),
    ],
)
def test_a_changed_sampler_is_refused_with_the_difference(tmp_path, begun_with, resumed_with, difference):
    start(plan_of(tmp_path, *begun_with))
    with pytest.raises(InputError) as raised:
        start(plan_of(tmp_path, *resumed_with))
    assert difference in str(raised.value)


def test_a_sweep_that_says_nothing_of_generations_had_those_of_its_own_sampler(tmp_path):
    now = header(plan_of(tmp_path, "sweep=tpe"), "data")
    before = {**now, "strategy": {key: value for key, value in now["strategy"].items() if key != "generation"}}
    assert compatibility.with_entries(before, now) == now
    assert "generation" not in header(plan_of(tmp_path), "data")["strategy"]


OWN = """
from dataclasses import replace

from pipeline.heads.metrics import Accuracy
from pipeline.heads.softmax import Softmax
from pipeline.search.scales import LOG


class Right(Accuracy):
    pass


class Soft(Softmax):
    pass


ROOT = replace(LOG, name="root")
"""
RANGE = "optimizer.learning_rate=tag({}, interval(0.001, 0.1))"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's, and the override that allows it."""
    (tmp_path / "own_names.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "allowed_targets=[pipeline.,keras.optimizers.,own_names.]"
    sys.modules.pop("own_names", None)


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize(
    ("begun_with", "resumed_with", "changes"),
    [
        ([], ["+metrics.other=own_names.Right", "+heads.other=own_names.Soft", "+scales.other=own_names.ROOT"], None),
        (["+metrics.other=own_names.Right", "+heads.other=own_names.Soft"], [], None),
        (["+metrics.other=own_names.Right"], ["+metrics.other=own_names.Gone"], None),
        (
            ["metrics.accuracy=own_names.Right"],
            [],
            "metrics.accuracy: was own_names.Right, is pipeline.heads.metrics.Accuracy",
        ),
        (
            ["model.head=other", "+heads.other=own_names.Soft"],
            ["model.head=other", "+heads.other=pipeline.heads.softmax.Softmax"],
            "heads.other: was own_names.Soft, is pipeline.heads.softmax.Softmax",
        ),
    ],
)
def test_names_that_are_used_decide_alone(tmp_path, own, earlier, begun_with, resumed_with, changes):
    plan = plan_of(tmp_path, own, *begun_with)
    if earlier:  # all names stood in the config
        record = header(plan, "data")
        for kind in ("heads", "metrics", "scales"):
            del record["arms"]["0"][kind]
        record["arms"]["0"]["config"] |= compatibility.reduced(
            {kind: plan.arms[0].composed.record[kind] for kind in ("heads", "metrics")}
        )
        (tmp_path / "sweeps/s").mkdir(parents=True)
        (tmp_path / "sweeps/s/ledger").write_text(json.dumps({"record": "study", "header": record}) + "\n")
    else:
        start(plan)
    if changes is None:
        start(plan_of(tmp_path, own, *resumed_with))
        return
    with pytest.raises(InputError) as raised:
        start(plan_of(tmp_path, own, *resumed_with))
    first, second = str(raised.value).splitlines()
    assert changes in first
    assert first.count(": was ") == 1
    assert second == "Repeat its own command to resume it, or give this sweep another name."


def test_a_scale_that_means_another_is_refused(tmp_path, own):
    line = ["+scales.mine=pipeline.search.scales.LOG", RANGE.format("mine")]
    start(plan_of(tmp_path, own, *line))
    start(plan_of(tmp_path, own, *line, "+scales.unused=own_names.ROOT"))
    with pytest.raises(InputError) as raised:
        start(plan_of(tmp_path, own, "+scales.mine=own_names.ROOT", line[1]))
    assert "scales.mine: was pipeline.search.scales.LOG, is own_names.ROOT" in str(raised.value)


def test_a_sweep_begun_before_headers_said_what_scales_are(tmp_path, own):
    line = ["+scales.mine=own_names.ROOT", RANGE.format("mine")]
    record = header(plan_of(tmp_path, own, *line), "data")
    assert record["arms"]["0"].pop("scales")["mine"] == "own_names.ROOT"
    (tmp_path / "sweeps/s").mkdir(parents=True)
    (tmp_path / "sweeps/s/ledger").write_text(json.dumps({"record": "study", "header": record}) + "\n")
    start(plan_of(tmp_path, own, *line))


def test_a_run_resumes_with_another_name_in_the_maps(tmp_path, own):
    folder = tmp_path / "begun"
    shutil.copytree(ROOT / "tests/fixtures/begun_earlier/run", folder)
    words = [*shlex.split((folder / "command").read_text()), f"resume={folder}", own]
    fingerprint = next(e.data_fingerprint for e in events_of(folder) if isinstance(e, Started))

    def resume(*more):
        plan = Plan.of_one(Composed(compose("config", [*words, *more])), [])
        open_study(plan, [DataFacts(fingerprint, "", {}, {})]).ledger.close()

    resume("+metrics.other=own_names.Right", "+heads.other=own_names.Soft")
    with pytest.raises(InputError, match=r"metrics.accuracy: was pipeline.heads.metrics.Accuracy, is own_names.Right"):
        resume("metrics.accuracy=own_names.Right")


def test_the_config_of_an_earlier_run():
    """`export` and `resume=` read it."""
    begun = OmegaConf.load(ROOT / "tests/fixtures/begun_earlier/run/.hydra/config.yaml")
    sweep = compatibility.current(OmegaConf.to_container(begun))["sweep"]
    assert sweep["sampler"] == {"_target_": RANDOM}
    assert "strategy" not in sweep
