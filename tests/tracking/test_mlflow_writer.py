"""A trial's run in a real MLflow store: one, whatever happens between its first epoch and its end."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.store.db.utils import _get_latest_schema_revision
from mlflow.tracking import MlflowClient

from pipeline.errors import InputError
from pipeline.events import STATUSES
from pipeline.records import Ended, EpochEnded, Interrupted, Paused, Restarting, Started
from pipeline.tracking import owner, store_checks
from pipeline.tracking.earlier import EarlierStart
from pipeline.tracking.mlflow_writer import MlflowWriter
from pipeline.tracking.tracked_run import OWN_STATUS, Summary, TrackedRun, event_values


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One for all tests: making MLflow's tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def epoch(n):
    return EpochEnded(1000.0 + n, n, {"loss": 1 / n}, seconds=1.0)


def ended(status):
    return Ended(1010.0, status, None, 5, 5, {"loss": 0.2})


def test_hyperparameters_that_change_are_metrics_by_epoch():
    """Those that are numbers: MLflow has no other metrics."""
    changing = {"optimizer.momentum": 0.9, "optimizer.nesterov": True, "optimizer.weight_decay": None}
    values = dict(event_values(replace(epoch(3), hyperparameters=changing)))
    assert values["optimizer.momentum"] == 0.9
    assert values["optimizer.nesterov"] == 1
    assert "optimizer.weight_decay" not in values


@pytest.mark.parametrize(
    ("last", "status", "tag"),
    [
        ([ended("completed")], "FINISHED", "completed"),
        ([ended("pruned")], "FINISHED", "pruned"),
        ([ended("diverged")], "FAILED", "diverged"),
        ([Interrupted(1010.0)], "KILLED", "interrupted"),
        ([ended("failed")], "FAILED", "failed"),
        ([], "KILLED", "interrupted"),  # in a job that was not begun
        ([Paused(1010.0, 5, 5, {"loss": 0.2})], "KILLED", "paused"),  # when the sweep was stopped
        (
            [replace(ended("failed"), lacked="disk"), Restarting(1011.0, ""), ended("completed")],
            "FINISHED",
            "completed",
        ),
    ],
    ids=["completed", "pruned", "diverged", "interrupted", "failed", "waits", "paused", "had no disk"],
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
                tags = {"kind": "trial", "trial": "0"}
                writer.open(TrackedRun("trial 000", {"optimizer": "adam"}, tags, number=0, folder=tmp_path))
                writer.take(0, Started(time.time(), 1))
            print(json.dumps(event.to_json()), file=log, flush=True)
            writer.take(0, event)
            writer.flush_all()  # as its thread does when it waits
    writer.summary(Summary("completed" if status == "FINISHED" else "interrupted"))
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("caviar").experiment_id
    (run,) = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert (run.info.status, run.data.tags["status"]) == (status, tag)
    assert run.data.params == {"optimizer": "adam"}
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3, 4, 5]


def test_every_status_but_of_a_trial_that_waits_has_one_of_mlflow_s():
    assert tuple(OWN_STATUS) == STATUSES[:-1]
    assert [*OWN_STATUS.values()] == ["FINISHED"] * 2 + ["FAILED"] * 2 + ["KILLED"] * 2


def test_a_trial_that_had_ended_for_want_of_disk_and_starts_again_is_not_told_of_that_end(store, tmp_path):
    with (tmp_path / "events.jsonl").open("a") as log:
        for event in [epoch(1), replace(ended("failed"), lacked="disk"), Restarting(1011.0, "")]:
            print(json.dumps(event.to_json()), file=log)
    writer = MlflowWriter(store, "again", tmp_path)
    writer.connect()
    writer.open(TrackedRun("trial", {}, {}, number=0, folder=tmp_path))
    writer.flush_all()
    run = MlflowClient(store).get_run(writer.runs[0].run_id)
    assert (run.info.status, run.data.tags.get("status"), run.data.metrics["loss"]) == ("RUNNING", None, 1.0)


def test_a_trial_that_failed_before_it_started_is_stored(store, tmp_path):
    writer = MlflowWriter(store, "failed", tmp_path)
    writer.connect()
    writer.open(TrackedRun("trial", {}, {}, number=0))
    writer.take(0, Ended(1010.0, "failed", "no such layer", input_error=True))
    writer.flush_all()
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


def written(store, tmp_path, run, *events, experiment="caviar", **options):
    """What the store has of a run, of a writer that is told of these events."""
    writer = MlflowWriter(store, experiment, tmp_path, **options)
    writer.connect()
    writer.open(run)
    for event in events:
        writer.take(run.number, event)
    writer.flush_all()
    return MlflowClient(store).get_run(writer.stored(run.number)), writer


NAMES = {  # as a config, a table's columns or a layer may have them -> as they are stored
    "size (cm)": "size _cm_",
    "size [cm]": "size _cm_ 2",
    "a/../b": "a/__/b",
    "/a//b/": "_a_/b_",
    "..": "__",
    "": "_",
    "x" * 300: "x" * 250,
    "é:.- 1": "é:.- 1",
}
VALUES = {"\udcff": "?", "a\0b": "a?b", "": "", "it's (1)": "it's (1)", 0.1: "0.1", None: "None"}


def test_any_name_and_value_of_a_parameter_a_tag_and_a_metric_is_stored(store, tmp_path):
    values = {str(i): value for i, value in enumerate(VALUES)}
    tags = {f"{name} tag": "1" for name in ("a(b)", "x/./y")} | {f"value {key}": str(v) for key, v in values.items()}
    run = TrackedRun("n" * 999, dict.fromkeys(NAMES, "1") | values, tags, number=0)
    event = EpochEnded(1.0, 1, dict.fromkeys(NAMES, 2.0))
    found, _ = written(store, tmp_path, run, event, Ended(2.0, "failed", "why \udcff"))
    stored = {str(i): text for i, text in enumerate(VALUES.values())}
    assert found.data.params == dict.fromkeys(NAMES.values(), "1") | stored
    assert set(NAMES.values()) <= set(found.data.metrics)
    assert {f"value {key}": text for key, text in stored.items()}.items() <= found.data.tags.items()
    assert (found.data.tags["a_b_ tag"], found.data.tags["x/_/y tag"]) == ("1", "1")
    assert (found.info.status, found.data.tags["reason"]) == ("FAILED", "why ?")


@pytest.mark.parametrize("name", ["it's", 'a "b"', "what?", "50%25", "a;b\nc"])
def test_a_run_in_a_folder_of_any_name_is_found_again(name, store, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    run = TrackedRun("run", {}, {"kind": "run", "folder": str(folder)}, number=0, folder=folder)
    (folder / "file").write_text("x")
    earlier = EarlierStart(folder=str(folder))
    first, writer = written(store, folder, run, epoch(1), experiment=ascii(name))
    writer.artifact(0, folder / "file")
    assert (folder / first.info.run_id / "artifacts/file").exists()
    second, _ = written(store, folder, replace(run, run_id=None), epoch(1), experiment=ascii(name), earlier=earlier)
    stages = [MlflowClient(store).get_run(found.info.run_id).info.lifecycle_stage for found in (first, second)]
    assert stages == ["deleted", "active"]


MARKS = "import time; from pipeline.tracking import owner; print(owner.mark(), flush=True); time.sleep(999)"


def test_runs_of_processes_that_are_gone_are_closed_and_no_others(store, tmp_path):
    processes = [subprocess.Popen([sys.executable, "-c", MARKS], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    killed, living = (process.stdout.readline() for process in processes)
    processes[0].kill()
    marks = {  # -> whether its run is closed
        "killed": (killed, True),
        "its number is another's by now": (json.dumps({**json.loads(living), "started": "1"}), True),
        "before the machine started": (json.dumps({**json.loads(living), "boot": "b"}), True),
        "living": (living, False),
        "another machine": (json.dumps({**json.loads(killed), "host": "h"}), False),
        "a container": (json.dumps({**json.loads(killed), "host": json.loads(killed)["host"] + "1"}), False),
        "another program": ("server", False),
        "an earlier version": (None, False),
    }
    client = MlflowClient(store)
    experiment = client.create_experiment("of another sweep")
    runs = {
        kind: client.create_run(experiment, tags={owner.TAG: mark} if mark else {}) for kind, (mark, _) in marks.items()
    }
    processes[0].wait()
    MlflowWriter(store, "caviar", tmp_path).connect()
    processes[1].kill()
    processes[1].communicate()
    now = {kind: client.get_run(run.info.run_id) for kind, run in runs.items()}
    expected = {kind: "KILLED" if closed else "RUNNING" for kind, (_, closed) in marks.items()}
    assert {kind: run.info.status for kind, run in now.items()} == expected
    assert now["killed"].data.tags["status"] == "interrupted"


def forwarded(store, tmp_path, earlier):
    """A sweep of two trials, both ended before this start; returns what was noted, and the runs that there are."""
    noted = []
    writer = MlflowWriter(store, "swept", tmp_path, earlier=earlier, on_parent=noted.append, on_recorded=noted.extend)
    writer.connect()
    writer.open(TrackedRun("sweep s", {}, {"kind": "sweep", "sweep_id": str(tmp_path)}))
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        lines = [epoch(1), ended("completed"), replace(ended("completed"), time=1011.0)]  # which a crash had said twice
        (folder / "events.jsonl").write_text("".join(f"{json.dumps(event.to_json())}\n" for event in lines))
        tags = {"kind": "trial", "trial": str(number)}
        writer.open(TrackedRun(f"trial {number}", {}, tags, number=number, folder=folder, has_ended=True))
    writer.summary(Summary("completed", {"best_val_accuracy": 0.9}, {"n": 2}, winner="trial 0"))
    client, parent = MlflowClient(store), writer.stored(None)
    runs = client.search_runs([writer.experiment_id], f"tags.sweep_id = '{tmp_path}'")
    children = client.search_runs([writer.experiment_id], "tags.kind = 'trial'")
    return noted, parent, runs, children


def test_the_parent_is_found_again_or_made_anew_with_all_its_trials(store, tmp_path):
    client, identity = MlflowClient(store), str(tmp_path)
    noted, parent, *_ = forwarded(store, tmp_path, None)
    assert noted == [parent, 0, 1]
    whole = EarlierStart(identity, parent, frozenset({0, 1}))
    noted, same, runs, children = forwarded(store, tmp_path, whole)
    assert (noted, same, len(runs), len(children)) == ([], parent, 1, 2)
    history = {name: len(client.get_metric_history(parent, name)) for name in runs[0].data.metrics}
    assert history == {"best_val_accuracy": 1}
    assert [len(client.get_metric_history(child.info.run_id, "best_loss")) for child in children] == [1, 1]

    # A kill came before the parent was noted.
    noted, same, runs, children = forwarded(store, tmp_path, EarlierStart(identity))
    assert (noted, same, len(runs), len(children)) == ([parent, 0, 1], parent, 1, 2)

    client.delete_run(parent)
    noted, another, runs, children = forwarded(store, tmp_path, whole)
    assert (noted, len(runs), len(children)) == ([another, 0, 1], 1, 2)
    assert another != parent
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {another}
    assert (runs[0].info.status, runs[0].data.params) == ("FINISHED", {"n": "2"})

    # As of a store that was deleted, or another one.
    noted, same, runs, children = forwarded(store, tmp_path, replace(whole, parent_id="f" * 32))
    assert (noted, same, len(runs), len(children)) == ([another, 0, 1], another, 1, 2)


def test_a_deleted_experiment_is_refused_with_the_command_that_restores_it(store, tmp_path):
    client = MlflowClient(store)
    deleted = client.create_experiment("deleted")
    client.delete_experiment(deleted)
    store_checks.check_experiment(store, "never there")
    with pytest.raises(InputError, match="was deleted") as refused:
        store_checks.check_experiment(store, "deleted")
    assert f"MLFLOW_TRACKING_URI={store} mlflow experiments restore --experiment-id {deleted}" in str(refused.value)
    client.restore_experiment(deleted)
    store_checks.check_experiment(store, "deleted")


def test_the_tables_of_a_store_are_known_to_be_those_of_this_mlflow(store):
    store_checks.check_store(store, Path())
    assert store_checks.schema_versions()[1] == _get_latest_schema_revision()


def test_a_note_is_replaced_unless_it_is_the_users(store, tmp_path):
    run, writer = written(store, tmp_path, TrackedRun("sweep", {}, {"kind": "sweep"}))
    client, run_id = MlflowClient(store), run.info.run_id
    first, more, grown = "[Compare](#/1)", "[Compare](#/1)\n\n100 of 101 trials", "[Compare](#/1)\n\n100 of 500 trials"
    for written_by_hand, note, after in [
        (None, first, first),
        (None, more, more),
        (None, grown, grown),
        (f"{grown}. Best so far!", more, f"{grown}. Best so far!"),
    ]:
        if written_by_hand:
            client.set_tag(run_id, "mlflow.note.content", written_by_hand)
        assert writer.view("mlflow.sharedViewState.x", "{}", note)
        assert client.get_run(run_id).data.tags["mlflow.note.content"] == after
