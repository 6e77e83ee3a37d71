"""Real processes killed in the middle of a sweep; the numbers are the rows of the fault matrix.

"Equal" means the same trials, parameters, epochs' losses and best as a sweep that nothing disturbed.
"""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.conftest import caviar, command

pytestmark = pytest.mark.slow
SEED = 20
LINE = [
    "-m", "sweep.name=s", "sweep.n_trials=4", "sweep.max_tier=1", "dataset=spirals", "train.epochs=40",
    "train.early_stopping=null", "train.checkpoint_seconds=0.2", "train.batch_size=16",
    "executor.fuse=always", "executor.xla=always",  # not what a probe finds on a busy machine
]  # fmt: skip


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*LINE), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def events(folder: Path) -> list[dict]:
    return [json.loads(line) for p in folder.glob("*/events.jsonl") for line in p.read_text().splitlines()]


def result(folder: Path) -> dict:
    """Everything that must not depend on what was killed."""
    records = [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]
    asked = [(r["trial"], r["params"]) for r in records if r["record"] == "asked"]
    ended = sorted(
        (r["trial"], r["status"], r["best_epoch"], r["metrics"]["val_loss"]) for r in records if r["record"] == "ended"
    )
    losses = {}
    for path in folder.glob("*/events.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        losses[path.parent.name] = {e["epoch"]: (e["loss"], e["val_loss"]) for e in lines if e["event"] == "epoch"}
    return {"asked": asked, "ended": ended, "losses": losses, "leaderboard": (folder / "leaderboard.csv").read_text()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = caviar(*LINE, cwd=folder)
    assert done.returncode == 0, done.stderr
    return result(folder / "outputs/sweeps/s")


def mlflow_rows(folder: Path) -> list[tuple[int, str, int]]:
    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    return sorted(
        (int(r.data.tags["trial"]), r.info.status, len(client.get_metric_history(r.info.run_id, "loss")))
        for r in runs
        if r.data.tags["kind"] == "trial"
    )


def finish(folder: Path, undisturbed: dict) -> None:
    """The same command again, until nothing is missing."""
    done = caviar(*LINE, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(folder / "outputs/sweeps/s") == undisturbed
    assert mlflow_rows(folder) == [(n, "FINISHED", 40) for n in range(4)]


def test_1_a_killed_worker_costs_its_trial_a_restart(tmp_path, undisturbed):
    process = start(tmp_path)
    folder = tmp_path / "outputs/sweeps/s"
    rng = random.Random(SEED)
    for _ in range(2):
        seen = len(events(folder)) if folder.exists() else 0
        wait_for(lambda seen=seen: folder.exists() and len(events(folder)) > seen + 20)
        os.kill(rng.choice(children(process.pid)), signal.SIGKILL)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert "starts again: its worker process was killed by SIGKILL" in output
    assert result(folder) == undisturbed
    assert mlflow_rows(tmp_path) == [(n, "FINISHED", 40) for n in range(4)]


def test_2_and_3_a_killed_sweep_resumes_to_the_same_result(tmp_path, undisturbed):
    """First the parent alone, whose workers must go too, then the whole process group."""
    folder = tmp_path / "outputs/sweeps/s"
    rng = random.Random(SEED)
    for kill in (os.kill, os.killpg):
        process = start(tmp_path)
        seen = len(events(folder)) if folder.exists() else 0
        target = seen + rng.randrange(1, 60)
        wait_for(lambda target=target: folder.exists() and len(events(folder)) >= target)
        workers = children(process.pid)
        kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda workers=workers: not any(map(alive, workers)), seconds=5)
    finish(tmp_path, undisturbed)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_19_a_stopped_sweep_saves_its_state_and_resumes(signum, tmp_path, undisturbed):
    folder = tmp_path / "outputs/sweeps/s"
    process = start(tmp_path)
    wait_for(lambda: folder.exists() and len(events(folder)) > 20)
    began = time.monotonic()
    os.kill(process.pid, signum)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130, output
    assert time.monotonic() - began < 10
    assert "the same command with sweep.name=s goes on" in output
    assert {status for _, status, _ in mlflow_rows(tmp_path)} <= {"KILLED", "FINISHED"}
    assert "interrupted" in (folder / "leaderboard.csv").read_text()
    if signum == signal.SIGINT:  # what follows is the same for both
        finish(tmp_path, undisturbed)


def test_19_ctrl_c_twice_ends_at_once(tmp_path):
    process = start(tmp_path)
    folder = tmp_path / "outputs/sweeps/s"
    wait_for(lambda: folder.exists() and len(events(folder)) > 5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 2


def test_6_a_trial_that_always_kills_its_worker_fails_after_its_restarts(tmp_path):
    """The memory limit is the kind of death that a restart does not mend."""
    process = start(tmp_path)
    folder = tmp_path / "outputs/sweeps/s"
    killed = 0
    while killed < 5:  # in its cohort, in half of it, and three times alone
        wait_for(lambda: folder.exists() and (folder / "0").exists())
        started = [e for e in events(folder) if e["event"] == "started"]
        mine = (
            [
                e["pid"]
                for e in map(json.loads, (folder / "0/events.jsonl").read_text().splitlines())
                if e["event"] == "started"
            ]
            if started and (folder / "0/events.jsonl").exists()
            else []
        )
        if len(mine) > killed:
            os.kill(mine[-1], signal.SIGKILL)
            killed += 1
        time.sleep(0.02)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    ended = [e for e in map(json.loads, (folder / "0/events.jsonl").read_text().splitlines()) if e["event"] == "ended"]
    assert [e["status"] for e in ended] == ["failed"]
    assert ended[0]["reason"].endswith("3 times")
    assert (folder / "leaderboard.csv").read_text().count("completed") == 3


def test_16_a_sweep_that_is_running_is_not_begun_twice(tmp_path):
    process = start(tmp_path)
    wait_for(lambda: (tmp_path / "outputs/sweeps/s/ledger").exists())
    os.killpg(process.pid, signal.SIGSTOP)  # or it is done before the second has begun
    second = caviar(*LINE, cwd=tmp_path)
    assert second.returncode == 2
    assert "sweep.name=s is running in another process" in second.stderr
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_7_eight_processes_on_an_absent_store(tmp_path):
    line = ["dataset=blobs", "train.epochs=1", "model=softmax_regression"]
    both = [subprocess.Popen(command(*line), cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(8)]
    assert [p.wait(300) for p in both] == [0] * 8
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    assert [r.info.status for r in runs] == ["FINISHED"] * 8
