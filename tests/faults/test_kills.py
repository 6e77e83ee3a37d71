"""Real processes killed in the middle of a sweep.

"Equal" means the same trials, parameters, epochs' losses and best as a sweep that nothing disturbed.
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from tests.conftest import PATIENCE, ROOT, children, command, here, wait_for

pytestmark = pytest.mark.slow
SEED = 20
EPOCHS = 40
LINE = [
    "-m", "sweep.name=s", "sweep.n_trials=4", "sweep.max_tier=1", "dataset=spirals", f"train.epochs={EPOCHS}",
    "train.early_stopping=null", "train.checkpoint_seconds=0.2", "train.batch_size=64",
    "executor.fuse=always", "executor.xla=never", "sweep.keep_models=1",
]  # fmt: skip
# What is killed waits for it: a machine may be slow to send the signal, or to tell that it is time.
WAITS = """
import time
from pathlib import Path

from pipeline.training.callbacks import Callback


class Waits(Callback):
    def __init__(self, *, file):
        self.file = Path(file)

    def after_epoch(self, moment):
        while self.file.exists() and self.file.read_text() == str(moment.epoch):
            time.sleep(0.01)
"""


def start(folder: Path, epoch: int, *more: str) -> subprocess.Popen[str]:
    """A sweep that waits at the end of `epoch`, before it is recorded, until go_on(); returns once it does."""
    (folder / "waits_for_tests.py").write_text(WAITS)
    (folder / "epoch").write_text(str(epoch))
    own = ["allowed_targets=[pipeline.,keras.optimizers.,waits_for_tests.]"]
    own += [f"train.callbacks=[{{_target_:waits_for_tests.Waits,file:{folder}/epoch}}]"]
    process = subprocess.Popen(
        command(*LINE, *own, *more),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_until(folder, epoch, process)
    return process


def wait_until(folder: Path, epoch: int, process: subprocess.Popen[str]) -> None:
    """Until all trials have recorded the epoch before, that is."""
    logs = [folder / f"outputs/sweeps/s/{n}/events.jsonl" for n in range(4)]
    recorded = f'"epoch": {epoch - 1},'
    wait_for(lambda: all(path.exists() and recorded in path.read_text() for path in logs), process)


def go_on(folder: Path) -> None:
    (folder / "epoch").unlink()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


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
    rows = [line.rpartition(",")[0] for line in (folder / "leaderboard.csv").read_text().splitlines()]  # no seconds
    return {"asked": asked, "ended": ended, "losses": losses, "leaderboard": rows}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = here(*LINE, "tracking=none", "executor=inline", cwd=folder)
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


def test_a_killed_worker_costs_its_trial_a_restart(tmp_path, undisturbed):
    folder = tmp_path / "outputs/sweeps/s"
    rng = random.Random(SEED)
    first, second = (rng.randrange(low, low + 6) for low in (4, 12))
    process = start(tmp_path, first)
    os.kill(rng.choice(children(process.pid)), signal.SIGKILL)
    (tmp_path / "epoch").write_text(str(second))  # at which the next worker waits
    wait_until(tmp_path, second, process)
    os.kill(rng.choice(children(process.pid)), signal.SIGKILL)
    go_on(tmp_path)
    output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert "starts again: its worker process was killed by SIGKILL" in output
    assert result(folder) == undisturbed
    assert mlflow_rows(tmp_path) == [(n, "FINISHED", EPOCHS) for n in range(4)]


def test_a_sweep_killed_and_stopped_again_and_again_resumes_to_the_same_result(tmp_path, undisturbed, monkeypatch):
    """First the parent alone is killed, whose workers must go too, then the whole process group, which had another
    start beside it; then it is stopped by Ctrl-C, and by SIGTERM while its workers hang. The same command finishes it.
    """
    monkeypatch.setenv("CAVIAR_STOP_SECONDS", str(PATIENCE))  # what follows the workers' end takes as long as it takes
    folder = tmp_path / "outputs/sweeps/s"
    rng = random.Random(SEED)

    def gone(process: subprocess.Popen[str], workers: list[int]) -> None:
        process.communicate()
        wait_for(lambda: not any(map(alive, workers)))

    process = start(tmp_path, rng.randrange(2, 6))
    workers = children(process.pid)
    process.kill()
    gone(process, workers)

    process = start(tmp_path, rng.randrange(6, 10))
    os.killpg(process.pid, signal.SIGSTOP)  # or it is done before the second has begun
    second = here(*LINE, "executor=inline", cwd=tmp_path)
    assert second.returncode == 2
    assert "sweep.name=s is running in another process" in second.stderr
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    gone(process, workers)

    for signum, low in ((signal.SIGINT, 10), (signal.SIGTERM, 14)):
        process = start(tmp_path, rng.randrange(low, low + 4))
        workers = children(process.pid)
        if signum == signal.SIGTERM:
            for worker in workers:
                os.kill(worker, signal.SIGSTOP)
        os.kill(process.pid, signum)
        output = next(line for line in process.stdout if line.startswith("stopping:"))
        go_on(tmp_path)
        output += process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 130, output
        assert not any(map(alive, workers))
        assert "the same command with sweep.name=s goes on" in output
        assert {status for _, status, _ in mlflow_rows(tmp_path)} == {"KILLED"}
        assert (folder / "leaderboard.csv").read_text().count("interrupted") == 4

    done = here(*LINE, "executor=inline", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(folder) == undisturbed
    assert mlflow_rows(tmp_path) == [(n, "FINISHED", EPOCHS) for n in range(4)]
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    ever = client.search_runs(["0", "1"], "attributes.status = 'RUNNING'", ViewType.ALL)
    assert not ever, "a run of the killed process is said to go on"


def test_ctrl_c_twice_does_not_wait_for_a_worker(tmp_path):
    process = start(tmp_path, 3, "tracking=none")
    workers = children(process.pid)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)  # one that takes for ever to save its state
    process.send_signal(signal.SIGINT)
    assert any(line.startswith("stopping:") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    wait_for(lambda: not any(map(alive, workers)))


DEADLY = """
import os
import signal

from pipeline.training.callbacks import Callback


class Deadly(Callback):
    def before_epoch(self, moment):
        if moment.number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_trial_that_always_kills_its_worker_fails_by_itself(tmp_path, monkeypatch):
    """The memory limit is the kind of death that a restart does not mend."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/deadly_for_tests.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path / "own")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "own"))
    own = ["allowed_targets=[pipeline.,keras.optimizers.,deadly_for_tests.]"]
    own += ["train.callbacks=[{_target_:deadly_for_tests.Deadly}]", "train.epochs=1", "executor.max_restarts=0"]
    done = here(*LINE, *own, "executor.workers=1", "tracking=none", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "outputs/sweeps/s"
    events = [json.loads(line) for line in (folder / "0/events.jsonl").read_text().splitlines()]
    # in its cohort, in half of it, and alone
    assert len({e["pid"] for e in events if e["event"] == "started"}) == 3
    ended = [e for e in events if e["event"] == "ended"]
    assert [e["status"] for e in ended] == ["failed"]
    assert ended[0]["reason"].startswith("its worker process was killed by SIGKILL")
    assert (folder / "leaderboard.csv").read_text().count("completed") == 3


# What a run does with the store, when another process is at making it; six times at once, by forks, for to import
# MLflow takes long.
RECORDS = """
import os, sys, time
from pathlib import Path
import mlflow.tracking
from pipeline.records import Ended, EpochEnded, HandedOut, Trial
from pipeline.tracking.mlflow_writer import MlflowWriter
from pipeline.tracking.tracked_run import TrackedRun
from pipeline.tracking.recorder import MlflowRecorder
processes = []
while len(processes) < 6 and (process := os.fork()):
    processes.append(process)
if len(processes) == 6:
    sys.exit(any(os.waitpid(process, 0)[1] for process in processes))
while not Path("outputs/mlflow.lock").exists():
    time.sleep(0.005)
recorder = MlflowRecorder(
    MlflowWriter("sqlite:///outputs/mlflow.db", "caviar", Path("outputs/mlartifacts")),
    lambda trial: TrackedRun("run", {"rate": 0.1}, {"kind": "run"}, number=trial.number),
)
now = time.time()
for event in (HandedOut(now), EpochEnded(now, 1, {"loss": 1.0}), Ended(now, "completed", None, 1, 1)):
    recorder.on(Trial(0, "run", 0, {}), event)
sys.exit(recorder.close())
"""


def test_eight_processes_on_an_absent_store(tmp_path):
    """Two are whole runs, started at once, that get folders of their own; six come when the store is being made."""
    line = ["dataset=blobs", "train.epochs=1", "model=softmax_regression"]
    script = [sys.executable, "-c", RECORDS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    others = subprocess.Popen(script, cwd=tmp_path, env=environment)
    runs = [subprocess.Popen(command(*line), cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [p.wait(PATIENCE) for p in (*runs, others)] == [0] * 3
    folders = list((tmp_path / "outputs/runs").iterdir())
    assert len(folders) == 2
    assert all((folder / "model.h5").exists() for folder in folders)
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    stored = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    assert [r.info.status for r in stored] == ["FINISHED"] * 8
    assert [len(client.get_metric_history(r.info.run_id, "loss")) for r in stored] == [1] * 8
