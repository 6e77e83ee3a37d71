"""A trial's run in a real MLflow store: one, whatever happens between its first epoch and its end."""

import json
import time
from dataclasses import replace

import pytest
from mlflow.tracking import MlflowClient

from pipeline.records import Ended, EpochEnded, Interrupted, Started
from pipeline.tracking.mlflow_writer import MlflowWriter, TrackedRun


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One for all tests: making MLflow's tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def epoch(n):
    return EpochEnded(1000.0 + n, n, {"loss": 1 / n}, seconds=1.0)


def ended(status):
    return Ended(1010.0, status, None, 5, 5, {"loss": 0.2})


@pytest.mark.parametrize(
    ("last", "status", "tag"),
    [
        ([ended("completed")], "FINISHED", "completed"),
        ([ended("pruned")], "FINISHED", "pruned"),
        ([ended("diverged")], "FAILED", "diverged"),
        ([Interrupted(1010.0)], "KILLED", "interrupted"),
        ([], "KILLED", "interrupted"),  # paused at a rung when the sweep was stopped
    ],
    ids=["completed", "pruned", "diverged", "interrupted", "paused"],
)
@pytest.mark.parametrize("opened_before", [(1,), (1, 2, 4)], ids=["once", "at_each_rung"])
def test_a_trial_has_one_run_that_ends_as_it_did(opened_before, last, status, tag, store, tmp_path):
    writer = MlflowWriter(store, "caviar", tmp_path)
    writer.connect()
    writer.open(TrackedRun("sweep s", {}, {"kind": "sweep"}))
    parent = writer.stored(None)
    with (tmp_path / "events.jsonl").open("a") as log:
        for event in [*map(epoch, range(1, 6)), *last]:
            if getattr(event, "epoch", None) in opened_before:
                tags = {"kind": "trial", "trial": "0", "status": "running"}
                writer.open(TrackedRun("trial 000", {"optimizer": "adam"}, tags, number=0, folder=tmp_path))
                writer.take(0, Started(time.time(), 1))
            print(json.dumps(event.to_json()), file=log, flush=True)
            writer.take(0, event)
            writer.flush_all()  # as its thread does when it waits
    writer.summary({}, {}, "FINISHED" if status == "FINISHED" else "KILLED")
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("caviar").experiment_id
    (run,) = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert (run.info.status, run.data.tags["status"]) == (status, tag)
    assert run.data.params == {"optimizer": "adam"}
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3, 4, 5]


def test_a_trial_that_failed_before_it_started_is_stored(store, tmp_path):
    writer = MlflowWriter(store, "failed", tmp_path)
    writer.connect()
    writer.open(TrackedRun("trial", {}, {}, number=0))
    writer.take(0, Ended(1010.0, "failed", "no such layer", input_error=True))
    run = MlflowClient(store).get_run(writer.runs[0].run_id)
    assert (run.info.status, run.info.start_time, run.data.tags["reason"]) == ("FAILED", 1_010_000, "no such layer")


def test_layers_of_any_name_are_stored(store, tmp_path):
    """MLflow would refuse all metrics of the trial for one name that it does not take."""
    names = {"a=b(c)+d": "a_b_c__d", "dense: 1.x-y": "dense: 1.x-y", "..": "_", "a\nb\n": "a_b_", "é" * 300: "é" * 200}
    writer = MlflowWriter(store, "names", tmp_path)
    writer.connect()
    writer.open(TrackedRun("trial", {}, {}, number=0))
    layers = {name: {"pre_activation_mean": 2.0} for name in names} | {"l" * 200: {"m" * 200: 3.0}}
    writer.take(0, replace(epoch(1), diagnostics=layers))
    writer.flush_all()
    metrics = MlflowClient(store).get_run(writer.runs[0].run_id).data.metrics
    assert metrics.pop(f"diagnostics/{'l' * 200}/{'m' * 37}") == 3.0
    assert metrics == {"loss": 1.0, "seconds": 1.0, "learning_rate": 0.0, "data_wait": 0.0} | {
        f"diagnostics/{name}/pre_activation_mean": 2.0 for name in names.values()
    }


def test_an_address_that_is_relative_means_another_store_in_another_folder(tmp_path, monkeypatch):
    """As executor=inline does in a notebook, which goes on with a study in another folder."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        writer = MlflowWriter("sqlite:///mlflow.db", name, tmp_path)
        writer.connect()
        stored = MlflowClient(f"sqlite:///{tmp_path}/{name}/mlflow.db").search_experiments()
        assert {experiment.name for experiment in stored} == {"Default", name}
