"""The parent never imports TensorFlow; workers never import MLflow and are no forks."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PATIENCE, ROOT, TINY

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


NOTES = """
import sys

from pipeline.training.callbacks import Callback


class Notes(Callback):
    def __init__(self, *, path):
        file = open(path, "a", buffering=1)
        print(*{name.split(".")[0] for name in sys.modules}, file=file)
        # to the end of the process, which nobody waits for
        sys.addaudithook(lambda event, names: event == "import" and print(names[0].split(".")[0], file=file))
"""
SWEEP = ["-m", "sweep.n_trials=2", "sweep.max_tier=1", "executor.workers=1", "executor.xla=never"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [[], SWEEP], ids=["run", "sweep"])
def test_the_parent_never_imports_tensorflow_nor_a_worker_mlflow_hydra_or_the_parents_main(mode, tmp_path, monkeypatch):
    (tmp_path / "modules_for_tests.py").write_text(NOTES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    notes = ["allowed_targets=[pipeline.,keras.optimizers.,modules_for_tests.]"]
    notes += [f"train.callbacks=[{{_target_:modules_for_tests.Notes,path:{tmp_path}/modules}}]"]
    modules = imported([*mode, *TINY, *notes], tmp_path)
    assert "mlflow" in modules  # it did the recording
    assert modules & HEAVY == set()
    of_worker = set((tmp_path / "modules").read_text().split())
    assert "tensorflow" in of_worker
    assert of_worker & {"mlflow", "hydra", "omegaconf", "optuna"} == set()
    assert list(tmp_path.glob("outputs/*/**/model.h5"))
