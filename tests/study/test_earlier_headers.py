"""What earlier versions wrote is read as if this one had."""

import copy
import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from pipeline import compatibility
from pipeline.config import Composed
from pipeline.errors import InputError
from pipeline.hydra_schema import register
from pipeline.records import DataFacts
from pipeline.search.plan import make_plan
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
    ],
)
def test_a_changed_sampler_is_refused_with_the_difference(tmp_path, begun_with, resumed_with, difference):
    start(plan_of(tmp_path, *begun_with))
    with pytest.raises(InputError) as raised:
        start(plan_of(tmp_path, *resumed_with))
    assert difference in str(raised.value)


def test_the_config_of_an_earlier_run():
    """`export` and `resume=` read it."""
    begun = OmegaConf.load(ROOT / "tests/fixtures/begun_earlier/run/.hydra/config.yaml")
    sweep = compatibility.current(OmegaConf.to_container(begun))["sweep"]
    assert sweep["sampler"] == {"_target_": RANDOM}
    assert "strategy" not in sweep
