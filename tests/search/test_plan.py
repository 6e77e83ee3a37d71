import copy
import functools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from pipeline.building import built
from pipeline.config import Composed, differences
from pipeline.errors import InputError
from pipeline.hydra_schema import register
from pipeline.records import Trial
from pipeline.search.plan import search_of
from pipeline.search.planning import make_plan, sizes
from pipeline.search.ranges import parse
from pipeline.search.samplers.random import Random
from pipeline.search.samplers.sampler import Search
from pipeline.search.scales import LOG
from pipeline.search.space import Choice, Interval, params_at
from pipeline.study.opening import changes, header

CONF = Path(__file__).parents[2] / "conf"
LOSS = ["sweep.metric=val_loss", "sweep.direction=minimize"]
GRID = "pipeline.search.samplers.grid.Grid"
UNITS, RATE, BATCH = "model.hidden_units", "optimizer.learning_rate", "train.batch_size"


@pytest.fixture(scope="module", autouse=True)
def hydra():
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@functools.cache
def composed(overrides):
    return Composed(compose("config", list(overrides)))


def plan_of(*lines):
    return make_plan(
        parse(lines, GlobalHydra.instance().config_loader()),
        lambda overrides: composed(tuple(overrides)),
        lambda override: [getattr(value, "text", value) for value in override.sweep_iterator()],
    )


def arms_of(*lines):
    return [(arm.describe(), list(arm.space)) for arm in plan_of(*lines).arms]


@pytest.mark.parametrize(
    ("lines", "arms"),
    [
        ([], [("", [UNITS, RATE, BATCH])]),
        (["optimizer=adam"], [("", [UNITS, RATE, BATCH])]),
        (["optimizer=momentum"], [("", [UNITS, RATE, "optimizer.momentum", BATCH])]),
        (["model=softmax_regression"], [("", [RATE, BATCH])]),
        # tiers
        (["sweep.max_tier=0"], [("", [])]),
        (["sweep.max_tier=1"], [("", [RATE])]),
        (["sweep.max_tier=3"], [("", [UNITS, "model.hidden_layers", "model.dropout_rate", "model.l2", RATE, BATCH])]),
        # pins
        ([f"{RATE}=0.1"], [("", [UNITS, BATCH])]),
        ([f"{RATE}=0.1", f"{UNITS}=[64,32]", f"++{BATCH}=16"], [("", [])]),
        # ranges typed: they replace, or add whatever the tier
        ([f"{RATE}=interval(0.1, 1)"], [("", [UNITS, RATE, BATCH])]),
        (["optimizer.beta_1=interval(0, 0.9)"], [("", [UNITS, RATE, BATCH, "optimizer.beta_1"])]),
        (["sweep.max_tier=0", "model.activation=choice(relu, tanh)"], [("", ["model.activation"])]),
        (["optimizer.weight_decay=interval(0, 0.1)"], [("", [UNITS, RATE, BATCH, "optimizer.weight_decay"])]),
        # arms
        (["optimizer=adam,sgd"], [("optimizer=adam", [UNITS, RATE, BATCH]), ("optimizer=sgd", [UNITS, RATE, BATCH])]),
        (
            ["optimizer=sgd,momentum", "sweep.max_tier=2", f"{UNITS}=8", f"{BATCH}=64"],
            [("optimizer=sgd", [RATE]), ("optimizer=momentum", [RATE, "optimizer.momentum"])],
        ),
        ([f"{RATE}=0.1,0.2"], [(f"{RATE}=0.1", [UNITS, BATCH]), (f"{RATE}=0.2", [UNITS, BATCH])]),
        ([f"{RATE}=0.1", f"{UNITS}=[64,32],[128]"], [(f"{UNITS}=[64,32]", [BATCH]), (f"{UNITS}=[128]", [BATCH])]),
        (
            ["sweep.max_tier=0", "optimizer=adam,sgd", "model.activation=relu,tanh"],
            [
                (f"optimizer={optimizer}, model.activation={activation}", [])
                for optimizer in ("adam", "sgd")
                for activation in ("relu", "tanh")
            ],
        ),
        (["sweep.max_tier=0", "schedule=glob(co*)"], [("schedule=constant", []), ("schedule=cosine", [])]),
        (["sweep.max_tier=0", "seed=1,2"], [("seed=1", []), ("seed=2", [])]),
        (["sweep.max_tier=0", "model.activation='relu'"], [("", [])]),
    ],
)
def test_arms_and_their_spaces(lines, arms):
    assert arms_of(*lines) == arms


@pytest.mark.parametrize(
    ("lines", "key", "dist"),
    [
        ([], RATE, Interval(1e-4, 0.1, LOG)),
        (["optimizer=sgd"], RATE, Interval(1e-3, 1.0, LOG)),
        ([], UNITS, Interval(16, 256, LOG, integer=True)),
        ([], BATCH, Choice((16, 32, 64, 128))),
        ([f"{RATE}=interval(0.1, 0.2)"], RATE, Interval(0.1, 0.2)),
        ([f"{BATCH}=int(interval(10, 20))"], BATCH, Interval(10, 20, integer=True)),
        ([f"{BATCH}=choice(10)"], BATCH, Choice((10,))),
        ([f"{UNITS}=choice([64,32],[128])"], UNITS, Choice(([64, 32], [128]))),
        (["model.search.hidden_units.range='int(interval(1,2))'"], UNITS, Interval(1, 2, integer=True)),
    ],
)
def test_a_range_comes_from_the_yaml_or_from_the_command_line(lines, key, dist):
    [arm] = plan_of(*lines).arms
    assert arm.space[key] == dist


def test_an_arm_is_composed_with_its_pins_and_its_values():
    plan = plan_of("optimizer=sgd,adam", "train.epochs=3", f"{UNITS}=[7]", "+optimizer.global_clipnorm=1.0")
    assert plan.pins == ["train.epochs=3", f"{UNITS}=[7]", "+optimizer.global_clipnorm=1.0"]
    for arm, target in zip(plan.arms, ("keras.optimizers.SGD", "keras.optimizers.Adam"), strict=True):
        config = arm.config
        assert config.optimizer.target == target
        assert (config.train.epochs, config.model.arguments["hidden_units"]) == (3, [7])
        assert config.optimizer.arguments["global_clipnorm"] == 1
    assert [arm.crossed for arm in plan.arms] == [{"optimizer": "sgd"}, {"optimizer": "adam"}]


def test_columns_are_every_crossed_and_searched_key_once():
    plan = plan_of("optimizer=sgd,momentum", "schedule=constant,exponential")
    assert plan.columns() == ["optimizer", "schedule", UNITS, RATE, BATCH, "optimizer.momentum"]


@pytest.mark.parametrize(
    ("lines", "stages"),
    [
        ([], [("random", 24, None)]),
        (["sweep.n_trials=7"], [("random", 7, None)]),
        (["sweep.stages.random.epochs=2", "sweep.n_trials=3"], [("random", 3, 2)]),
        (["sweep=coarse_to_fine"], [("coarse", 12, 5), ("medium", 12, 10), ("fine", 12, 20)]),
        (
            ["sweep=coarse_to_fine", "sweep.n_trials=20", "sweep.stages.coarse.n_trials=15"],
            [("coarse", 15, 5), ("medium", 3, 10), ("fine", 2, 20)],
        ),
        (["sweep=coarse_to_fine", "~sweep.stages.medium"], [("coarse", 18, 5), ("fine", 18, 20)]),
        (["sweep=grid"], [("grid", 5 * 5 * 4, None)]),
        (["sweep=grid", "sweep.points=2", f"{UNITS}=8"], [("grid", 2 * 4, None)]),
        (["sweep=grid", "sweep.points=3", "sweep.max_tier=1", "optimizer=adam,sgd"], [("grid", 6, None)]),
        (["sweep=grid", "sweep.max_tier=0"], [("grid", 1, None)]),
        (["sweep=grid", "sweep.max_tier=1", "sweep.n_trials=5"], [("grid", 5, None)]),
    ],
)
def test_stages(lines, stages):
    assert [(stage.name, stage.n_trials, stage.epochs) for stage in plan_of(*lines).stages] == stages


def test_a_stage_may_search_the_whole_space_anew():
    plan = plan_of("sweep=coarse_to_fine", "sweep.stages.fine.refine=false")
    assert [stage.refine for stage in plan.stages] == [True, True, False]
    # nothing refines, so that nothing needs to be said of how
    anew = [f"sweep.stages.{name}.refine=false" for name in ("medium", "fine")]
    plan_of("sweep=coarse_to_fine", *anew, "sweep.keep=null", "sweep.margin=null")


def test_a_range_is_for_the_arms_that_have_its_key():
    plan = plan_of("optimizer=sgd,adam,nadam", "optimizer.beta_1=interval(0.5,0.9)", "sweep.max_tier=1")
    assert [[key.split(".")[1] for key in arm.space] for arm in plan.arms] == [
        ["learning_rate"],
        ["learning_rate", "beta_1"],
        ["learning_rate", "beta_1"],
    ]
    (note,) = plan.notes
    assert note == "optimizer.beta_1 is searched with optimizer=adam | optimizer=nadam; the other arms have no such key"
    assert plan_of("optimizer=sgd,adam", "optimizer.learning_rate=interval(0.5,0.9)").notes == ()


def test_an_arm_without_anything_searched_is_said_to_be_tried_once():
    line = ["optimizer=sgd,adam", "optimizer.beta_1=interval(0.5,0.9)", "sweep.max_tier=0"]
    note = "nothing is searched with optimizer=sgd: each is tried once a stage, the other arms get the rest"
    assert plan_of(*line).notes[1:] == (note,)
    assert plan_of("optimizer=sgd,adam", "sweep.max_tier=0").notes == ()


@pytest.mark.parametrize(
    ("lines", "seeds"),
    [(["seed=3"], [3]), (["seed=2,1"], [2, 1]), (["optimizer=sgd,adam", "seed=1,2"], [1, 2, 1, 2])],
)
def test_each_arm_has_its_seed(lines, seeds):
    plan = plan_of(*lines)
    assert search_of(plan.arms, plan.spaces, 0, None).seeds == tuple(seeds)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        # what can't be searched
        (["sweep=random,grid"], "sweep=random,grid: sweep sets up the sweep and can't be searched."),
        (["sweep.max_tier=1,2"], "sweep.max_tier=1,2: sweep sets up the sweep"),
        (["executor.workers=int(interval(1,4))"], "executor sets up the sweep and can't be searched."),
        (["executor=local,inline"], "executor sets up the sweep"),
        (["tracking.experiment=a,b"], "tracking sets up the sweep"),
        (["output_dir=a,b"], "output_dir sets up the sweep"),
        (["resume=a,b"], "resume sets up the sweep"),
        (["hydra.verbose=true,false"], "hydra sets up the sweep"),
        (["model.search.hidden_units.tier=1,2"], "can't be searched"),
        (["optimizer=choice(adam,sgd)"], "optimizer is a group: compare its choices as arms, optimizer=a,b"),
        (["train.early_stopping=choice(1,2)"], "train.early_stopping is a group"),
        # keys
        (["optimizer.learning_rat=interval(0,1)"], "optimizer.learning_rat is not in the config. Did you mean 'optim"),
        (["optimizer.momentum=interval(0,0.9)"], "optimizer.momentum is not in the config."),
        (["optimizer=sgd,adam", "optimizer.rho=interval(0,0.9)"], "optimizer.rho is not in the config."),
        (
            ["optimizer=momentum,adam", "optimizer.beta_1=interval(0,1)"],
            "optimizer.beta_1=1.0 must be a number at least",
        ),
        (["+model.foo=1,2"], "+model.foo=1,2: a range is for a key that the config has. Drop the + or ~, or add"),
        (["++train.epochs=choice(1,2)"], "Drop the + or ~, or add the key to a file"),
        ([f"{RATE}=0.1,0.2", f"{RATE}=interval(0.3,0.4)"], "optimizer.learning_rate is given more than once"),
        ([f"{RATE}=0.1", f"{RATE}=interval(0.3,0.4)"], "optimizer.learning_rate is given more than once"),
        (["sweep=coarse_to_fine", "train.epochs=choice(1,50)"], "train.epochs does not apply: stage coarse sets"),
        (["model.hidden_layers=range(1,400000000)"], "more than 10000 values. Write int(interval(low, high))."),
        (["~sweep.stages.random"], "sweep.stages is empty"),
        (["~model.head"], "model.head is missing: the runner needs it."),
        # ends and choices within the limits of the key
        ([f"{BATCH}=choice(0,16)"], "train.batch_size=0 must be a whole number at least 1 and at most 2147483647."),
        ([f"{BATCH}=16,0"], "train.batch_size=0 must be"),
        (["model.dropout_rate=interval(0,1)"], "model.dropout_rate=1.0 must be a number at least 0 and below 1."),
        ([f"{RATE}=interval(-1,1)"], "optimizer.learning_rate=-1.0 must be a number above 0."),
        (["model.head=choice(softmax,softmx)"], "model.head=softmx is not known. Allowed: softmax, sigmoid, cost."),
        (["model.norm_placement=none,before"], "model.norm_placement=before is not known."),
        ([f"{UNITS}=choice([8,0],[4])"], "model.hidden_units=0 must be a whole number"),
        (
            [f"{UNITS}=interval(8,16)"],
            "model.hidden_units=interval(8, 16): it must be a whole number at least 1. Write",
        ),
        (["train.epochs=0"], "train.epochs=0 must be"),
        (["optimizer.learning_rate=tag(log,interval(0,1))"], "low=0.0 must be above 0"),
        (["model.search.hidden_units.range=7"], "model.hidden_units: 'model.hidden_units=7' is not a range."),
        (["dataset._target_=os.system"], "dataset._target_=os.system is not allowed"),
        # stages and totals
        (["sweep.n_trials=null"], "sweep.n_trials is null: random search needs the number of trials"),
        (["sweep.n_trials=0"], "sweep.n_trials=0 must be a whole number at least 1 and at most 100000"),
        (["sweep=coarse_to_fine", "sweep.n_trials=2"], "sweep.n_trials=2 is the total of all stages (coarse, medium"),
        (
            ["sweep=coarse_to_fine", f"sweep.sampler._target_={GRID}"],
            "a sweep of several stages can't have the sampler",
        ),
        (["sweep=coarse_to_fine", "sweep.keep=null"], "several stages needs sweep.keep and sweep.margin."),
        (["sweep=coarse_to_fine", "sweep.stages.fine.refine=false", "sweep.keep=null"], "sweep.keep and sweep.margin."),
        (["sweep=coarse_to_fine", "sweep.margin=null"], "several stages needs sweep.keep and sweep.margin."),
        (["sweep=grid", "sweep.n_trials=99"], "sweep=grid has 100 trials (model.hidden_units (5) x optimizer.learning"),
    ],
)
def test_make_plan_refuses(lines, message):
    with pytest.raises(InputError, match=re.escape(message)):
        plan_of(*lines)


# --- stages


@pytest.mark.parametrize(
    ("stages", "n_trials", "expected"),
    [
        ({"a": None}, 24, {"a": 24}),
        ({"a": None, "b": None, "c": None}, 36, {"a": 12, "b": 12, "c": 12}),
        ({"a": None, "b": None, "c": None}, 38, {"a": 13, "b": 13, "c": 12}),
        ({"a": None, "b": None, "c": None}, 3, {"a": 1, "b": 1, "c": 1}),
        ({"a": 20, "b": None, "c": None}, 30, {"a": 20, "b": 5, "c": 5}),
        ({"a": None, "b": 7, "c": None}, 12, {"a": 3, "b": 7, "c": 2}),
        ({"a": 10, "b": 5}, 15, {"a": 10, "b": 5}),
        ({"a": 10, "b": 5}, None, {"a": 10, "b": 5}),
        ({"a": 10, "b": None}, None, {"a": 10, "b": None}),
        ({"a": None}, None, {"a": None}),
    ],
)
def test_sizes(stages, n_trials, expected):
    assert sizes(stages, n_trials) == expected
    assert list(sizes(stages, n_trials)) == list(stages)  # in the order of the stages


@pytest.mark.parametrize(
    ("stages", "n_trials", "message"),
    [
        ({"a": 10, "b": 5}, 16, "sweep.n_trials=16 is the total of all stages (a, b), of which 15 are given"),
        ({"a": 10, "b": 5}, 16, "It must be 15."),
        ({"a": 10, "b": 5}, 14, "It must be 15."),
        ({"a": 10, "b": None}, 10, "It must be at least 11."),
        ({"a": 10, "b": None, "c": None}, 11, "It must be at least 12."),
        ({"a": 10, "b": None}, 5, "It must be at least 11."),
        ({"a": None, "b": None}, 1, "It must be at least 2."),
    ],
)
def test_sizes_refuses(stages, n_trials, message):
    with pytest.raises(InputError, match=re.escape(message)):
        sizes(stages, n_trials)


# --- trials


def test_a_trials_config_has_its_parameters_and_leaves_the_arm_alone():
    plan = plan_of("optimizer=sgd,adam", f"{UNITS}=choice([8,4],[2])", "sweep.stages.random.epochs=3")
    arm = plan.arms[0]
    before = arm.composed.record
    params = {"optimizer": "sgd", UNITS: [8, 4], RATE: 0.25, BATCH: 16}
    trial = plan.composed(Trial(0, "random", 0, params))
    assert arm.composed.record == before
    expected = copy.deepcopy(before)
    expected["model"]["hidden_units"] = [8, 4]
    expected["optimizer"]["learning_rate"] = 0.25
    expected["train"] |= {"batch_size": 16, "epochs": 3}
    assert trial.record == expected
    assert trial.config.plain() == built(expected).plain()
    assert plan_of().composed(Trial(0, "random", 0, {})).config.train.epochs == before["train"]["epochs"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["sweep=coarse_to_fine", "sweep.name=first", "executor.workers=3", "train.batch_size=7"],
        ["optimizer=sgd,momentum", "optimizer.clipnorm=1.5", "model.norm_placement=none,after_activation"],
        ["model=softmax_regression", "dataset=blobs", "sweep.max_tier=0", "optimizer.learning_rate=0.5,0.25"],
        [f"{UNITS}=choice([64,32],[128])", "model.activation=choice(relu,tanh)", "train.early_stopping=null"],
        [f"{UNITS}=[64,32],[128]", "optimizer.weight_decay=tag(log,interval(1e-6,1e-2))", *LOSS],
        ["sweep=grid", "sweep.max_tier=1", "sweep.metric=val_loss", "sweep.direction=minimize"],
        ["optimizer.epsilon=tag(log,interval(1e-10,1e-4))", "optimizer.beta_2=tag(one_minus_log,interval(0.9,0.9999))"],
        ["sweep.max_tier=0", "optimizer=momentum", "optimizer.nesterov=true,false"],
        ["tracking=none", "output_dir='a folder'", "schedule=cosine,constant", "++schedule.warmup_epochs=2"],
    ],
)  # fmt: skip
def test_the_overrides_of_a_trial_compose_to_its_config(lines):
    plan = plan_of(*lines)
    spaces = plan.spaces
    count = 0
    for stage in plan.stages:
        for point in Random(Search(tuple(spaces), (0,) * len(spaces), 0, None)).ask(len(spaces)):
            arm = plan.arms[point.arm]
            params = {**arm.crossed, **params_at(arm.space, point.coordinates)}
            found = Trial(0, stage.name, point.arm, params)
            overrides = plan.overrides(found)
            alone, trial = composed(tuple(overrides)).record, plan.composed(found).record
            assert alone["sweep"]["metric"] == trial["sweep"]["metric"]
            assert alone["sweep"]["direction"] == trial["sweep"]["direction"]
            for config in (alone, trial):
                del config["sweep"], config["executor"]  # how it was found does not matter to a trial alone
            assert alone == trial
            assert not any(override.is_sweep_override() for override in parse(overrides))
            count += 1
    assert count >= 1


@pytest.mark.parametrize(
    ("lines", "params", "epochs", "overrides"),
    [
        ([], {RATE: 1e-4, UNITS: 12}, None, [f"{RATE}=0.0001", f"{UNITS}=12"]),
        (["train.epochs=7", "sweep.name=x", "sweep.n_trials=3", "executor=inline"], {}, None, ["train.epochs=7"]),
        (["train.epochs=7"], {}, 5, ["train.epochs=5"]),
        (["++sweep.n_trials=3"], {}, None, []),
        (["sweep=random"], {}, None, []),
        (LOSS, {}, None, LOSS),
        # a group before the keys in it
        (["optimizer=sgd,adam"], {RATE: 0.1, "optimizer": "sgd"}, None, ["optimizer=sgd", f"{RATE}=0.1"]),
        (["model.activation=relu,tanh", "optimizer=sgd,adam"], {}, None, ["optimizer=sgd", "model.activation=relu"]),
        ([f"{UNITS}=choice([8,4],[2])"], {UNITS: [8, 4]}, None, [f"{UNITS}=[8,4]"]),
    ],
)
def test_trial_overrides(lines, params, epochs, overrides):
    plan = plan_of(*lines)
    plan = replace(plan, stages=[replace(plan.stages[0], epochs=epochs)])
    assert plan.overrides(Trial(0, plan.stages[0].name, 0, params)) == overrides


# --- the header that decides whether a sweep may be resumed


def header_of(*lines, data="data"):
    # As the ledger gives it back.
    return json.loads(json.dumps(header(plan_of(*lines), data)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        ([], ["sweep.n_trials=48"]),  # a total, which may grow
        ([], ["sweep.name=x", "sweep.dry_run=true"]),
        ([], ["executor=inline", "executor.max_restarts=7", "tracking=none", "output_dir=elsewhere"]),
        ([], ["device=cpu"]),  # where, but not with what precision
        (["device=gpu", "device.visible=[0]"], ["device=multi_gpu", "device.visible=[0,1]"]),
        ([], ["optimizer=adam", "train.epochs=20"]),  # what is so by default
        ([], [f"{RATE}=tag(log, interval(1e-4, 1e-1))"]),  # the same range, typed
        (["optimizer=adam,sgd", "seed=1"], ["seed=1", "optimizer=adam,sgd"]),
        (["sweep=coarse_to_fine"], ["sweep=coarse_to_fine", "sweep.stages.fine.n_trials=12"]),
    ],
)
def test_header_is_the_same(before, after):
    assert differences(header_of(*before), header_of(*after)) == []
    assert header_of(*before) == header_of(*after)


@pytest.mark.parametrize(
    ("before", "after", "listed"),
    [
        ([], ["train.epochs=5"], ["train.epochs: was 20, is 5"]),
        ([], ["seed=1"], ["seed: was 0, is 1"]),
        ([], ["train.early_stopping=null"], ["train.early_stopping: was absent, is None",
                                             "train.early_stopping.patience: was 10, is absent"]),
        ([], ["device.precision=mixed_float16"], ["device.precision: was float32, is mixed_float16"]),
        ([], [f"{RATE}=interval(0.1,1)"], ["scales.linear: was absent, is pipeline.search.scales.LINEAR",
                                           "space.optimizer/learning_rate: was tag(log, interval(0.0001, 0.1)), "
                                           "is interval(0.1, 1)"]),
        ([], [f"{RATE}=0.5"], ["optimizer.learning_rate: was 0.001, is 0.5",
                               "space.optimizer/learning_rate: was tag(log, interval(0.0001, 0.1)), is absent"]),
        ([], ["sweep.metric=val_loss", "sweep.direction=minimize"],
         ["strategy.direction: was maximize, is minimize", "strategy.metric: was val_accuracy, is val_loss"]),
        ([], ["dataset.test_fraction=0.2"], ["dataset.test_fraction: was 0.1, is 0.2"]),
        (["sweep=coarse_to_fine"], ["sweep=coarse_to_fine", "sweep.keep=0.5"], ["strategy.keep: was 0.25, is 0.5"]),
        (["sweep=coarse_to_fine"], ["sweep=coarse_to_fine", "sweep.stages.fine.epochs=30"],
         ["stages.fine.epochs: was 20, is 30"]),
        (["sweep=coarse_to_fine"], ["sweep=coarse_to_fine", "sweep.n_trials=39"],
         ["stages.coarse.n_trials: was 12, is 13", "stages.medium.n_trials: was 12, is 13"]),
        (["sweep=coarse_to_fine"], ["sweep=coarse_to_fine", "sweep.stages.fine.refine=false"],
         ["stages.fine.refine: was absent, is False"]),
    ],
)  # fmt: skip
def test_header_tells_what_changed(before, after, listed):
    assert changes(header_of(*before), header_of(*after)) == listed


def test_header_tells_other_data_and_other_arms():
    assert differences(header_of(data="a"), header_of(data="b")) == ["data: was a, is b"]
    one, two = header_of("optimizer=adam,sgd"), header_of("optimizer=adam,sgd,lion")
    changed = differences(one, two)
    assert {line.split(".")[1] for line in changed if line.startswith("arms.")} == {"optimizer=lion"}
    (moved,) = differences(one, header_of("optimizer=sgd,adam"))  # a trial knows its arm by its place
    assert moved.startswith("order: was")
    assert set(two["arms"]) == {"optimizer=adam", "optimizer=sgd", "optimizer=lion"}


def test_header_keeps_secrets_out(monkeypatch):
    monkeypatch.setenv("CAVIAR_SECRET", "hunter2")
    lines = ["+model.token='${oc.env:CAVIAR_SECRET}'"]
    assert plan_of(*lines).config.model.arguments["token"] == "hunter2"
    assert "hunter2" not in json.dumps(header_of(*lines))
