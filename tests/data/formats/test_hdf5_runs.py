"""`python run.py dataset=hdf5`: data that is bad, that changes while it is trained on, and before a resume."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from tests.conftest import TINY, files, here, wait_for

N = 600
SMALL = (*TINY[1:3], "train.batch_size=64", "tracking=none", "dataset=hdf5", "dataset.file=data.h5")
STREAMED = (*SMALL, "dataset.memory=never")


def write(path, seed=0, **changes):
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % 3
    angle = 2 * np.pi * labels / 3
    inputs = np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 0.3, (N, 2))
    other = path.with_name("writing.h5")
    with h5py.File(other, "w") as file:
        for key, value in {"inputs": inputs.astype(np.float32), "labels": labels, **changes}.items():
            if value is not None:
                file[key] = value
    other.replace(path)


def events(folder):
    path = folder / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_folder(folder):
    return next((folder / "outputs/runs").iterdir())


NAN = np.full((N, 2), np.nan, np.float32)
# what is wrong: (datasets, arguments, what stderr must say)
BAD = {
    "no file": ({}, ["dataset.file=dat.h5"], "dat.h5: there is no such file."),
    "no name of a file": ({}, ["dataset.file=null"], "dataset.file is not given; name the file"),
    "no dataset": ({}, ["dataset.labels=lables"], "data.h5: there is no dataset 'lables' for the labels; name one of"),
    "nan": ({"inputs": NAN}, [], "data.h5: inputs has values that are not finite as float32, first in row 0; remove"),
    "labels": ({"labels": np.arange(N) % 3 - 1}, [], "data.h5: labels has the label -1; number the classes from 0."),
    "a link": ({"inputs": h5py.ExternalLink("/etc/passwd", "/x")}, [], "data.h5: 'inputs' is a link to another file"),
    "a sweep": ({"inputs": NAN}, ["-m", "sweep.n_trials=2"], "data.h5: inputs has values that are not finite"),
    "no images": ({}, ["train.augment.flip=true"], "train.augment is for images [height, width, channels]; an example"),
    "a sweep without images": ({}, ["-m", "sweep.n_trials=2", "train.augment.shift=1"], "train.augment is for images"),
    "memory": ({}, ["dataset.memory=nevr"], "dataset.memory=nevr is not known. Allowed: auto, always, never."),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_refused_in_a_line_and_leaves_nothing(name, tmp_path):
    changes, arguments, message = BAD[name]
    write(tmp_path / "data.h5", **changes)
    result = here(*SMALL, *arguments, "executor=inline", cwd=tmp_path)
    assert result.returncode == 2, result.stdout + result.stderr
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in result.stderr
    said = result.stdout.splitlines()  # of a sweep, before its data are loaded
    assert [line for line in said if not line.startswith(("composing the sweep", "sweep: ", "space: "))] == []
    assert files(tmp_path) == ["data.h5"]


def replaced_while_training(folder, *arguments, pattern):
    """The output and status of a command whose data is replaced once an epoch has been trained."""
    write(folder / "data.h5")
    line = [*STREAMED, "train.epochs=100000", "train.early_stopping=null", "executor=inline", *arguments]
    ended = threading.Event()

    def begun():
        return any(e["event"] == "epoch" and e["epoch"] >= 3 for p in folder.glob(pattern) for e in events(p))

    def replace():
        wait_for(lambda: ended.is_set() or begun())
        write(folder / "data.h5", seed=1)

    with ThreadPoolExecutor(1) as pool:
        replaced = pool.submit(replace)
        done = here(*line, cwd=folder)
        ended.set()
        replaced.result()
    return done.stdout + done.stderr, done.returncode


def test_data_that_is_replaced_while_it_is_trained_on_ends_the_run_and_keeps_its_state(tmp_path):
    output, status = replaced_while_training(tmp_path, "train.checkpoint_seconds=0", pattern="outputs/runs/*")
    assert status == 1, output
    said = "data.h5: the file changed after training on it began; start again."
    assert re.search(rf"^failed: .*{said}$", output, re.MULTILINE)
    assert "Traceback" not in output
    folder = run_folder(tmp_path)
    last = events(folder)[-1]
    assert (last["event"], last["status"]) == ("ended", "failed")
    assert last["reason"].endswith(said)
    with h5py.File(folder / "state.h5") as file:
        assert file.attrs["caviar_sha256"]
        names: list[str] = []
        file.visit(names.append)
    assert any(name.startswith("best") for name in names)
    assert any("optimizer" in name for name in names)


@pytest.mark.slow
def test_every_trial_of_a_cohort_says_that_its_data_was_replaced(tmp_path):
    output, status = replaced_while_training(
        tmp_path,
        "-m",
        "sweep.name=s",
        "sweep.n_trials=3",
        "sweep.max_tier=1",
        "executor.fuse=always",
        "executor.xla=never",
        pattern="outputs/sweeps/s/*",
    )
    assert status == 1, output
    for number in range(3):
        last = events(tmp_path / f"outputs/sweeps/s/{number}")[-1]
        assert last["status"] == "failed"
        assert last["reason"].endswith("data.h5: the file changed after training on it began; start again.")
    assert "Traceback" not in output


CALLBACK = """
import os
import signal

from pipeline.training.callbacks import Callback


class Interrupts(Callback):
    def after_epoch(self, moment):
        if moment.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_its_data_only(tmp_path, monkeypatch):
    """Of the same content: a copy of the file is as good."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/interrupts_for_tests.py").write_text(CALLBACK)
    monkeypatch.syspath_prepend(tmp_path / "own")
    write(tmp_path / "data.h5")
    line = [*STREAMED, "train.epochs=6", "train.early_stopping=null", "executor=inline"]
    allowed = "allowed_targets=[pipeline.,keras.optimizers.,interrupts_for_tests.]"
    begun = here(*line, allowed, "train.callbacks=[{_target_:interrupts_for_tests.Interrupts}]", cwd=tmp_path)
    assert begun.returncode == 130, begun.stderr
    folder = run_folder(tmp_path)
    before = files(folder)
    write(tmp_path / "data.h5", seed=1)
    refused = here(*line, f"resume={folder}", cwd=tmp_path)
    assert refused.returncode == 2
    assert re.fullmatch(
        rf"resume={folder}: the data has changed since it was begun \(its fingerprint was \w{{16}}, is \w{{16}}\)\.\n"
        r"Bring back the data as it was, or start a new run, without resume\.\n",
        refused.stderr,
    )
    assert refused.stdout == ""
    assert files(folder) == before
    write(tmp_path / "data.h5")
    resumed = here(*line, f"resume={folder}", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert int(re.search(r"going on after epoch (\d+)", resumed.stdout)[1]) >= 3
    assert [e["epoch"] for e in events(folder) if e["event"] == "epoch"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_sweep_is_not_resumed_on_changed_data(tmp_path):
    write(tmp_path / "data.h5")
    line = ["-m", "sweep.name=s", "sweep.n_trials=2", "sweep.max_tier=1", "train.epochs=1", *STREAMED]
    line += ["executor=inline", "executor.fuse=never"]
    done = here(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ledger = (tmp_path / "outputs/sweeps/s/ledger").read_text()
    write(tmp_path / "data.h5", seed=1)
    refused = here(*line, cwd=tmp_path)
    assert refused.returncode == 2
    assert re.match(
        r"sweep.name=s: the data has changed since it was begun \(its fingerprint was \w{16}, is \w{16}\)\.\n"
        r"Bring back the data as it was, or give this sweep another name\.\n$",
        refused.stderr,
    )
    assert (tmp_path / "outputs/sweeps/s/ledger").read_text() == ledger
