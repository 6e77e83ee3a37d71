"""`python run.py`: what one trial leaves behind, and going on with an interrupted one."""

import json
import re
import shlex
import shutil
import signal
import subprocess

import h5py
import pytest
from mlflow.tracking import MlflowClient

from pipeline.study.ledger import Ledger
from tests.conftest import PATIENCE, ROOT, TINY, command, files, here


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    result = here(*TINY, "schedule=inverse_time", "executor=inline", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, result, next((folder / "outputs/runs").iterdir())


def test_the_folder_has_the_documented_layout(run):
    _, _, trial = run
    expected = [
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        ".lock",
        "events.jsonl",
        "learning_curve.png",
        "model.h5",
        "state.h5",
    ]
    assert files(trial) == expected


def test_events_tell_the_whole_run(run):
    events = [json.loads(line) for line in (run[2] / "events.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events] == ["started", "epoch", "epoch", "ended"]
    assert [e["epoch"] for e in events[1:3]] == [1, 2]
    # conf/schedule/inverse_time.yaml: 0.001 / (1 + 0.1 * epoch)
    assert [e["learning_rate"] for e in events[1:3]] == pytest.approx([0.001, 0.001 / 1.1])
    best = min(events[1:3], key=lambda e: (-e["val_accuracy"], e["val_loss"]))
    assert events[-1]["status"] == "completed"
    assert events[-1]["best_epoch"] == best["epoch"]
    assert events[-1]["metrics"]["val_loss"] == best["val_loss"]


def test_the_terminal_shows_epochs_result_and_addresses(run):
    lines = run[1].stdout.splitlines()
    header = next(line for line in lines if line.startswith("epoch"))
    assert header.split() == [
        "epoch",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "data_wait",
        "left",
    ]
    assert len([line for line in lines if line.split()[:1] in (["1"], ["2"])]) == 2
    assert any(line.startswith("best epoch") for line in lines)
    assert any(re.fullmatch(r"test: accuracy [01]\.\d{4}, loss \d+\.\d{4} on 180 examples", line) for line in lines)
    averages = "averages: each reaches back about 1 / (1 - its weight) steps: optimizer.beta_1 10, "
    assert any(line.startswith(averages) for line in lines)
    assert any("http://127.0.0.1:5000/#/experiments/" in line for line in lines)


def test_mlflow_has_parameters_metrics_picture_and_model(run):
    folder, _, trial = run
    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    experiment = client.get_experiment_by_name("caviar")
    (stored,) = client.search_runs([experiment.experiment_id])
    assert stored.info.status == "FINISHED"
    assert stored.data.params["optimizer.learning_rate"] == "0.001"
    assert stored.data.params["dataset.n_classes"] == "3"
    assert [m.step for m in client.get_metric_history(stored.info.run_id, "val_loss")] == [1, 2]
    ended = json.loads((trial / "events.jsonl").read_text().splitlines()[-1])
    assert stored.data.metrics["best_val_accuracy"] == ended["metrics"]["val_accuracy"]
    assert stored.data.tags["version.keras"]
    assert stored.data.tags["optimizer"] == "adam"  # the file that was chosen, not its class
    names = {artifact.path for artifact in client.list_artifacts(stored.info.run_id)}
    assert names == {"config.yaml", "learning_curve.png", "model.h5"}


def test_a_run_that_has_ended_is_forwarded_if_the_store_lacks_it_and_else_refused(run):
    folder, _, trial = run
    line = [*TINY, "schedule=inverse_time", "executor=inline", f"resume={trial}"]
    refused = here(*line, cwd=folder)
    assert refused.returncode == 2
    assert refused.stderr.strip() == f"resume={trial}: this run has ended (completed); start a new one."
    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    experiment = client.get_experiment_by_name("caviar").experiment_id
    (before,) = client.search_runs([experiment])
    artifacts = {artifact.path for artifact in client.list_artifacts(before.info.run_id)}
    events = logged(trial)
    client.delete_run(before.info.run_id)
    for _ in range(2):
        done = here(*line, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "best epoch" in done.stdout
        assert logged(trial) == events  # nothing was trained
        (after,) = client.search_runs([experiment])
        assert (after.info.status, after.data.params) == ("FINISHED", {**before.data.params, "resume": str(trial)})
        tested = {"test_accuracy", "test_loss"}  # which was printed, and is on no disk
        assert after.data.metrics == {k: v for k, v in before.data.metrics.items() if k not in tested}
        assert tested <= before.data.metrics.keys()
        kept = ("status", "data_fingerprint", "version.keras", "folder")
        assert [after.data.tags[key] for key in kept] == [before.data.tags[key] for key in kept]
        assert {artifact.path for artifact in client.list_artifacts(after.info.run_id)} == artifacts
        # The next time the model is missing, which is stored last.
        model = folder / "outputs/mlartifacts" / after.info.run_id / "artifacts/model.h5"
        model.rename(folder / "model.h5")
    (folder / "model.h5").rename(model)
    assert "this run has ended (completed)" in here(*line, cwd=folder).stderr


def test_model_h5_describes_itself(run):
    with h5py.File(run[2] / "model.h5") as file:
        assert json.loads(file.attrs["caviar_config"])["optimizer"]["beta_2"] == 0.999
        assert json.loads(file.attrs["class_names"]) == ["class 0", "class 1", "class 2"]
        assert json.loads(file.attrs["input_shape"]) == [2]
        assert set(file.attrs) >= {"metrics", "epoch", "input_dtype", "data_fingerprint", "library_versions", "created"}


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_stood_as_one_in_this_process_does(tmp_path):
    line = ["dataset=spirals", "train.epochs=40", "train.batch_size=16", "train.early_stopping=null"]
    process = subprocess.Popen(
        command(*line), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for text in process.stdout:
        if text.split()[:1] == ["3"]:
            break
    process.send_signal(signal.SIGINT)
    output = process.stdout.read()
    assert process.wait(PATIENCE) == 130, output
    trial = next((tmp_path / "outputs/runs").iterdir())
    assert f"resume={trial.relative_to(tmp_path)}" in output

    changed = here(*line, "seed=1", f"resume={trial}", "executor=inline", cwd=tmp_path)
    assert changed.returncode == 2
    first, second = changed.stderr.splitlines()  # another seed splits other data
    begins = re.escape(f"resume={trial} was begun otherwise (seed: was 0, is 1; data: was ")
    assert re.fullmatch(begins + r"\w+, is \w+\)\.", first)
    assert second == "Repeat its own command to resume it, or start a new run, without resume."

    resumed = here(*line, f"resume={trial}", "executor=inline", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on after epoch" in resumed.stdout
    whole = here(*line, "tracking=none", "executor=inline", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    other = next(f for f in (tmp_path / "outputs/runs").iterdir() if f != trial)

    def epochs(folder):
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        return {e["epoch"]: (e["loss"], e["val_loss"]) for e in events if e["event"] == "epoch"}

    assert epochs(trial) == epochs(other)  # to the bit
    assert len(epochs(trial)) == 40

    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (stored,) = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    assert [m.step for m in client.get_metric_history(stored.info.run_id, "loss")] == list(range(1, 41))

    again = here(*line, f"resume={trial}", "executor=inline", cwd=tmp_path)
    assert again.returncode == 2
    assert "this run has ended (completed)" in again.stderr


BEGUN = ROOT / "tests/fixtures/begun_earlier/run"


@pytest.fixture
def begun(tmp_path):
    """A run that was interrupted, and the line that goes on with it."""
    folder = tmp_path / "outputs/runs/begun"
    shutil.copytree(BEGUN, folder)
    return folder, [*shlex.split((BEGUN / "command").read_text()), f"resume={folder}", "executor=inline"]


def logged(folder):
    return (folder / "events.jsonl").read_bytes()


def test_a_run_that_another_process_goes_on_with_is_refused(begun, tmp_path):
    folder, line = begun
    before, holder = logged(folder), Ledger(folder, what="this test", file=None)
    refused = here(*line, cwd=tmp_path)
    holder.close()
    assert (refused.returncode, logged(folder)) == (2, before)
    assert refused.stderr.strip() == f"resume={folder} is running in another process. Wait for it, or end it."


def test_a_run_whose_data_has_changed_is_refused_with_both_fingerprints(begun, tmp_path):
    folder, line = begun
    (folder / "events.jsonl").write_bytes(re.sub(rb'("data_fingerprint": )"\w+"', rb'\1"another"', logged(folder)))
    before = logged(folder)
    refused = here(*line, cwd=tmp_path)
    assert (refused.returncode, logged(folder)) == (2, before)
    first, second = refused.stderr.splitlines()
    begins = f"resume={folder}: the data has changed since it was begun (its fingerprint was another, is "
    assert re.fullmatch(re.escape(begins) + r"\w+\)\.", first)
    assert second == "Bring back the data as it was, or start a new run, without resume."


CALLBACK = """
from pipeline.errors import InputError
from pipeline.training.callbacks import Callback


class Complains(Callback):
    def after_epoch(self, moment):
        if moment.epoch == 2:
            raise InputError("this callback does not like what it sees")
"""


def test_what_was_trained_stays_though_a_callback_complains(tmp_path, monkeypatch):
    """A config that can't be trained leaves nothing behind; one that was trained for hours is no such config."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/complains_for_tests.py").write_text(CALLBACK)
    monkeypatch.syspath_prepend(tmp_path / "own")
    line = [
        *TINY,
        "tracking=none",
        "executor=inline",
        "allowed_targets=[pipeline.,keras.optimizers.,complains_for_tests.]",
    ]
    result = here(*line, "train.callbacks=[{_target_:complains_for_tests.Complains}]", cwd=tmp_path)
    assert result.returncode == 1
    assert "failed: this callback does not like what it sees" in result.stdout
    (folder,) = (tmp_path / "outputs/runs").iterdir()
    events = [json.loads(text) for text in logged(folder).splitlines()]
    assert [event["event"] for event in events] == ["started", "epoch", "epoch", "ended"]
