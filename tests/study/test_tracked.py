"""What the tracking store is told of sweeps and runs by themselves, so that they rank side by side, and of trials."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from mlflow.tracking import MlflowClient

from pipeline.config import Composed, chosen
from pipeline.hydra_schema import register
from pipeline.records import DataFacts, Ended, EpochEnded, HandedOut, Trial
from pipeline.search.plan import Plan
from pipeline.search.planning import make_plan
from pipeline.study.folders import write_config
from pipeline.study.tracked import TrackedRuns
from pipeline.tracking.earlier import EarlierStart
from pipeline.tracking.mlflow_writer import MlflowWriter
from pipeline.tracking.recorder import MlflowRecorder
from pipeline.tracking.tracked_run import Summary
from tests.conftest import ROOT, composed

DATA = DataFacts("f" * 8, "blobs", {}, {"source (cm)": "made"})
RATE = "optimizer.learning_rate"
SWEEP = ("optimizer=adam,sgd", f"{RATE}=tag(log,interval(1e-4,1))", "dataset=blobs", "sweep.n_trials=4")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One for all tests: making MLflow's tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def plan_of(*lines) -> Plan:
    overrides = OverridesParser.create().parse_overrides(list(lines))
    values = lambda override: [getattr(value, "text", value) for value in override.sweep_iterator()]  # noqa: E731
    return make_plan(overrides, lambda lines: composed(*lines), values)


def winner(plan: Plan, arm: int, **measured: float) -> Trial:
    params = {**plan.arms[arm].crossed, RATE: 0.03125}
    return Trial(arm, plan.stages[0].name, arm, params, status="completed", metrics=measured, best_epoch=2)


def recorder(store, runs, folder, **options):
    return MlflowRecorder(MlflowWriter(store, "caviar", folder, **options), runs.trial)


def test_sweeps_and_runs_by_themselves_have_the_same_keys_and_sort_by_their_best(store, tmp_path):
    plan, one = plan_of(*SWEEP), composed("optimizer=sgd", "dataset=blobs")
    measured = {"val_accuracy": 0.9, "val_loss": 0.3}
    sweep = TrackedRuns(plan, tmp_path / "s", [DATA] * 2)
    parent = recorder(store, sweep, tmp_path)
    parent.open(sweep.parent("identity"))
    parent.summary(sweep.summary("completed", winner(plan, 1, **measured), {"test_accuracy": 0.8}))
    assert parent.close() is None
    for accuracy in (0.95, 0.85):
        run = TrackedRuns(Plan.of_one(one, []), tmp_path / str(accuracy), [DATA])
        single, trial = recorder(store, run, tmp_path), Trial(0, "run", 0, {})
        for event in (
            HandedOut(1.0),
            EpochEnded(2.0, 1, {**measured, "loss": 0.3}),
            Ended(3.0, "completed", None, 1, 1, {**measured, "val_accuracy": accuracy}),
        ):
            single.on(trial, event)
        single.measures(0, {"test_accuracy": 0.8})
        assert single.close() is None
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("caviar").experiment_id
    order = ["metrics.best_val_accuracy DESC"]
    first, swept, last = client.search_runs([experiment], "tags.kind != 'trial'", order_by=order)
    assert [run.data.tags["kind"] for run in (first, swept, last)] == ["run", "sweep", "run"]
    assert set(swept.data.params) == set(first.data.params)
    assert swept.data.params[RATE] == "0.03125"
    assert swept.data.metrics == {f"best_{k}": v for k, v in measured.items()} | {"best_epoch": 2, "test_accuracy": 0.8}
    assert set(swept.data.metrics) <= set(first.data.metrics)
    assert set(first.data.tags) - {"reason"} <= set(swept.data.tags)
    for tags in (first.data.tags, swept.data.tags):
        about = {key: tags[key] for key in ("dataset", "model", "optimizer", "data_fingerprint", "data.source__cm_")}
        assert [*about.values()] == ["blobs", "mlp", "SGD", "f" * 8, "made"]
        assert tags["version.keras"]
    assert (swept.data.tags["winner"], swept.data.tags["optimizer"]) == ("trial 1", "SGD")


@pytest.mark.parametrize("server", [False, True])
def test_another_winner_has_its_parameters_on_the_parent_or_it_says_whose_they_are(server, store, tmp_path):
    if server:  # to which all goes through MLflow's client, which lets nobody change a parameter
        store = store.replace("sqlite", "sqlite+pysqlite")
    plan = plan_of(*SWEEP)
    runs, earlier = TrackedRuns(plan, tmp_path, [DATA] * 2), None
    for arm, accuracy in ((0, 0.8), (1, 0.9)):
        writer = recorder(store, runs, tmp_path, earlier=earlier)
        writer.open(runs.parent(str(tmp_path)))
        parent = writer.run_id(None)
        writer.summary(runs.summary("completed", winner(plan, arm, val_accuracy=accuracy, val_loss=0.1), {}))
        assert writer.close() is None
        earlier = EarlierStart(str(tmp_path), parent)
    run = MlflowClient(store).get_run(parent)
    assert (run.data.metrics["best_val_accuracy"], run.data.tags["winner"]) == (0.9, "trial 1")
    kept = 0 if server else 1
    assert run.data.tags["params_of"] == f"trial {kept}"
    assert run.data.params["optimizer._target_"] == f"keras.optimizers.{('Adam', 'SGD')[kept]}"
    assert ("optimizer.beta_1" in run.data.params) == server


@pytest.mark.parametrize(
    ("overrides", "optimizer"),
    [
        (["optimizer=sgd"], "sgd"),
        (["optimizer=momentum"], "momentum"),
        (["optimizer=nesterov", "optimizer.learning_rate=0.1"], "nesterov"),
        (["optimizer=nesterov", "optimizer._target_=keras.optimizers.SGD"], "SGD"),  # no longer what the file says
    ],
)
def test_optimizers_of_one_class_are_told_apart(overrides, optimizer, tmp_path):
    register()
    overrides = ["dataset=blobs", *overrides]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        choices = compose("config", overrides, return_hydra_config=True).hydra.runtime.choices
        node = compose("config", overrides)
    plan = Plan.of_one(Composed(node, chosen(choices, overrides)), [])
    tags = TrackedRuns(plan, tmp_path, [DATA]).trial(Trial(0, "run", 0, {})).tags
    assert (tags["optimizer"], tags["model"], tags["dataset"]) == (optimizer, "mlp", "blobs")


@pytest.mark.parametrize(
    ("lines", "sampler"),
    [
        (["sweep=tpe"], "tpe"),
        (["sweep=coarse_to_fine"], "random"),
        (["sweep=cma_es"], "cma_es"),
        (["sweep.sampler._target_=optuna.samplers.NSGAIISampler"], "NSGAIISampler"),
    ],
)
def test_a_sweep_names_its_sampler_as_it_is_typed(lines, sampler, tmp_path):
    plan = plan_of("dataset=blobs", *lines)
    assert TrackedRuns(plan, tmp_path, [DATA]).parent("identity").tags["sampler"] == sampler


def test_data_in_a_file_are_called_by_its_name(tmp_path):
    plan = Plan.of_one(composed("dataset=csv", "dataset.file=/data/wines.csv", "dataset.label=x"), [])
    tags = TrackedRuns(plan, tmp_path, [DATA]).trial(Trial(0, "run", 0, {})).tags
    assert (tags["kind"], tags["dataset"], tags["optimizer"]) == ("run", "wines.csv", "Adam")


def test_a_trial_has_what_was_searched_as_parameters_and_its_whole_config_as_an_artifact(store, tmp_path):
    plan = plan_of(*SWEEP)
    trial = Trial(0, plan.stages[0].name, 1, {"optimizer": "sgd", RATE: 0.03125})
    write_config(tmp_path / "0", plan.composed(trial), [])
    runs = TrackedRuns(plan, tmp_path, [DATA] * 2)
    told = recorder(store, runs, tmp_path / "artifacts", on_recorded=(recorded := {}).update)
    told.open(runs.parent(str(tmp_path)))
    for event in (HandedOut(1.0), Ended(3.0, "completed", None, 1, 1, {"val_accuracy": 0.5, "val_loss": 0.5})):
        told.on(trial, event)
    assert told.close() is None
    client = MlflowClient(store)
    run = client.get_run(recorded[0])
    assert run.data.params == {"optimizer": "sgd", RATE: "0.03125", "log10 learning_rate": "-1.5051"}
    (file,) = client.list_artifacts(recorded[0])
    config = Composed.from_file(client.download_artifacts(recorded[0], file.path)).config
    assert (config.optimizer.target, config.optimizer.learning_rate) == ("keras.optimizers.SGD", 0.03125)


def test_trials_sort_as_in_the_leaderboard_and_a_rank_that_stays_is_stored_once(store, tmp_path):
    plan, client = plan_of(*SWEEP), MlflowClient(store)
    runs, earlier, recorded, parents = TrackedRuns(plan, tmp_path, [DATA] * 2), None, {}, set()
    for places in ({0: 2, 1: 1, 2: 3}, {0: 2, 1: 1, 3: 3, 2: 4}):  # all with one accuracy
        told = recorder(store, runs, tmp_path / "artifacts", earlier=earlier, on_recorded=recorded.update)
        told.open(runs.parent(str(tmp_path)))
        for number in places.keys() - recorded.keys():
            trial = Trial(number, plan.stages[0].name, 0, {"optimizer": "adam", RATE: 0.1})
            told.on(trial, HandedOut(1.0))
            told.on(trial, Ended(2.0, "completed", None, 1, 1, {"val_accuracy": 0.5}))
        told.ranks(places)
        told.summary(Summary("completed"))
        parents.add(told.run_id(None))
        assert told.close() is None
        experiment = client.get_experiment_by_name("caviar").experiment_id
        rows = client.search_runs([experiment], f"tags.sweep = '{tmp_path.name}'", order_by=["metrics.rank"])
        assert [int(run.data.tags["trial"]) for run in rows] == sorted(places, key=places.get)
        earlier = EarlierStart(str(tmp_path), *parents, frozenset(recorded))
    history = {number: len(client.get_metric_history(run_id, "rank")) for number, run_id in recorded.items()}
    assert history == {0: 1, 1: 1, 2: 2, 3: 1}
