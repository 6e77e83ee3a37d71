"""`python run.py` on streamed data: the wait for it as it is recorded, augmentation, and a killed run."""

import json
import os
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_digits

from tests.conftest import PATIENCE, TINY, command, here

LINE = ("dataset=hdf5", "dataset.file=data.h5", *TINY[1:3], "train.batch_size=64")
STREAMED = (*LINE, "dataset.memory=never")


@pytest.fixture
def folder(tmp_path):
    """With 900 digits as images of bytes."""
    bunch = load_digits()
    images = bunch.images[:900, :, :, None].astype(np.uint8)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("inputs", data=images, chunks=(32, 8, 8, 1), compression="gzip")
        file["labels"] = bunch.target[:900]
        file["inputs"].attrs["units"] = "counts"
    return tmp_path


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def curve(folder):
    metrics = ("loss", "accuracy", "val_loss", "val_accuracy")
    return {e["epoch"]: [e[name] for name in metrics] for e in events(folder) if e["event"] == "epoch"}


def runs(folder):
    return sorted((folder / "outputs/runs").iterdir())


@pytest.mark.slow
def test_a_streamed_run_records_its_wait_and_its_data(folder):
    done = here(*STREAMED, "train.epochs=2", "executor=inline", cwd=folder)
    assert done.returncode == 0, done.stderr
    (run,) = runs(folder)
    waits = [e["data_wait"] for e in events(run) if e["event"] == "epoch"]
    assert all(0 < wait < 1 for wait in waits)
    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    (stored,) = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    history = client.get_metric_history(stored.info.run_id, "data_wait")
    assert [(m.step, m.value) for m in history] == list(enumerate(waits, 1))
    (fingerprint,) = {e["data_fingerprint"] for e in events(run) if e["event"] == "started"}
    assert stored.data.tags["data_fingerprint"] == fingerprint
    with h5py.File(run / "model.h5") as file:
        assert file.attrs["data_fingerprint"] in (fingerprint, json.dumps(fingerprint))
        assert json.loads(file.attrs["data_attributes"]) == {"units": "counts"}


@pytest.mark.slow
def test_a_fused_sweep_on_streamed_and_augmented_images_equals_its_trials_alone(folder):
    line = ["-m", "sweep.n_trials=2", "sweep.max_tier=1", "train.epochs=2", "tracking=none", "executor.xla=never"]
    line += ["train.augment.flip=true", "train.augment.shift=1", *STREAMED]
    for fuse in ("always", "never"):
        done = here(*line, "executor=inline", f"sweep.name={fuse}", f"executor.fuse={fuse}", cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    for number in range(2):
        together, alone = (curve(folder / f"outputs/sweeps/{fuse}/{number}") for fuse in ("always", "never"))
        assert len(together) == 2
        for epoch, metrics in together.items():
            assert metrics == pytest.approx(alone[epoch], rel=1e-4)
    assert events(folder / "outputs/sweeps/always/0")[0]["cohort"] == 2
    assert events(folder / "outputs/sweeps/never/0")[0]["cohort"] == 1


@pytest.mark.slow
def test_a_fused_sweep_on_data_in_memory_never_waits(folder):
    line = ["-m", "sweep.name=s", "sweep.n_trials=2", "sweep.max_tier=1", "train.epochs=2", "tracking=none", *LINE]
    done = here(*line, "executor=inline", "executor.fuse=always", "executor.xla=never", cwd=folder)
    assert done.returncode == 0, done.stderr
    for number in range(2):
        assert [e["data_wait"] for e in events(folder / f"outputs/sweeps/s/{number}") if e["event"] == "epoch"] == [
            0,
            0,
        ]


@pytest.mark.slow
def test_12_a_killed_streamed_run_resumes_to_the_bit(folder):
    """Augmented too: everything follows from the seed, the epoch and the step. Row 12 of the fault matrix."""
    line = [*STREAMED, "train.epochs=60", "train.early_stopping=null", "train.checkpoint_seconds=0", "tracking=none"]
    line += ["train.augment.shift=1", "model.dropout_rate=0.2"]
    done = here(*line, "executor=inline", cwd=folder)
    assert done.returncode == 0, done.stderr
    (whole,) = runs(folder)
    with subprocess.Popen(command(*line), cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + PATIENCE
        while not any((run / "state.h5").exists() and len(curve(run)) > 5 for run in runs(folder) if run != whole):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    (killed,) = [run for run in runs(folder) if run != whole]
    assert len(curve(killed)) < 60
    resumed = here(*line, f"resume={killed}", "executor=inline", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on after epoch" in resumed.stdout
    assert curve(killed) == curve(whole)
