"""The parent never imports TensorFlow; workers never import MLflow and are no forks."""

import os
import pickle
import subprocess
import sys

import pytest

from pipeline.records import TrainJob, TrialTask
from tests.conftest import PATIENCE, ROOT, TINY, composed

HEAVY = {"tensorflow", "keras"}


def imported(arguments: list[str], cwd) -> set[str]:
    """Top-level modules that a run of run.py has imported when it ends."""
    script = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print('\\nMODULES', *{m.split('.')[0] for m in sys.modules}))\n"
        f"sys.argv = ['run.py', *{arguments!r}]\n"
        f"runpy.run_path({str(ROOT / 'run.py')!r}, run_name='__main__')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)
    line = next(line for line in result.stdout.splitlines() if line.startswith("MODULES"))
    return set(line.split()[1:])


DRY = ["-m", "sweep.dry_run=true", "sweep.max_tier=1", "executor.workers=1", "executor.xla=never"]
QUICK = [["--help"], ["--cfg", "job"], pytest.param(DRY, marks=pytest.mark.slow)]


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_the_quick_commands_import_nothing_heavy(arguments, tmp_path):
    assert imported(arguments, tmp_path) & {*HEAVY, "mlflow", "sklearn", "matplotlib"} == set()


@pytest.mark.parametrize(
    "arguments", [["convert", "dataset=blobs", "out.h5"], ["inspect", "dataset=digits", "--picture", "out.png"]]
)
def test_commands_on_data_never_import_tensorflow(arguments, tmp_path):
    script = f"import sys; from pipeline.__main__ import main; print(main({arguments!r})); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    *_, status, modules = result.stdout.splitlines()
    assert (status, {*modules.split()} & {*HEAVY, "mlflow"}) == ("0", set())


SWEEP = ["-m", "sweep.n_trials=2", "sweep.max_tier=1", "executor.workers=1", "executor.xla=never"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [[], SWEEP], ids=["run", "sweep"])
def test_the_parent_never_imports_tensorflow(mode, tmp_path):
    modules = imported([*mode, *TINY], tmp_path)
    assert "mlflow" in modules  # it did the recording
    assert modules & HEAVY == set()


@pytest.mark.slow
def test_a_worker_never_imports_mlflow_hydra_or_the_parents_main(tmp_path):
    of = composed("dataset=blobs", "train.epochs=1")
    job = TrainJob(0, (TrialTask(0, of.config, of.record, str(tmp_path)),), export=True)
    child = subprocess.run(
        [sys.executable, "-c", WORK, pickle.dumps(job).hex()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = set(child.stdout.splitlines()[-1].split())
    assert "tensorflow" in modules
    assert modules & {"mlflow", "hydra", "omegaconf", "optuna"} == set()
    assert (tmp_path / "model.h5").exists()


WORK = """
import pickle, sys
from pipeline.workers import worker
worker.perform(pickle.loads(bytes.fromhex(sys.argv[1])), lambda report: None, lambda: False)
print(*{name.split(".")[0] for name in sys.modules})
"""
