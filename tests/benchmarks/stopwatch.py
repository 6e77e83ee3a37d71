"""Runs contenders as processes, in turn, and says how long they took.

What makes the seconds comparable:
- Each run is a fresh process from the shell's point of view, timed from its start to its end: imports, data,
  training, files, tracking.
- In each repeat every contender runs once, and the order rotates from repeat to repeat, so that a machine that slows
  down for a while slows all of them. The ratio is the median of the ratios within a repeat.
- All start in an empty folder with a copy of one ready, empty MLflow store. Making its tables takes two seconds once
  in the life of a store, and Caviar, which does that beside other work, would gain by counting them.
- The libraries are imported once, untimed, so that nobody pays for a cold disk.
- All run on the CPU.
- Best validation accuracy and epochs trained are printed: they show whether the work was the same. So are processor
  seconds, over all processes and cores of a run, which a busy machine disturbs less than it does the clock.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
MAKE_STORE = "import sys, mlflow; mlflow.MlflowClient(sys.argv[1]).search_experiments()"
IMPORTS = "import keras, keras_tuner, matplotlib.figure, mlflow, optuna, rich, sklearn.datasets, tensorflow"


class Failed(Exception):
    """A contender did not end well; the message says which, and ends with the last lines it printed."""


@dataclass(frozen=True)
class Outcome:
    """The work that was done: the best validation accuracy of any epoch, and the epochs trained over all trials."""

    val_accuracy: float
    epochs: int


@dataclass(frozen=True)
class Contender:
    """command: the command line that writes into a given folder; outcome: reads that folder afterwards."""

    name: str
    command: Callable[[Path], list[str]]
    outcome: Callable[[Path], Outcome]


@dataclass(frozen=True)
class Run:
    """seconds: by the clock; cpu_seconds: of the process and all that it started, user and system."""

    seconds: float
    cpu_seconds: float
    outcome: Outcome


def ready_store(folder: Path) -> Path:
    """An MLflow store with its tables and nothing in them; also warms the disk cache."""
    store = folder / "empty.db"
    _run("preparation", [sys.executable, "-c", MAKE_STORE, f"sqlite:///{store}"])
    _run("preparation", [sys.executable, "-c", IMPORTS])
    return store


def timed(contenders: list[Contender], folder: Path, store: Path, repeats: int) -> dict[str, list[Run]]:
    """The runs of each contender by its name, in order of repeats. Raises Failed."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    for repeat in range(repeats):
        shift = repeat % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            output = folder / f"{repeat}-{contenders.index(contender)}"
            output.mkdir(parents=True)
            shutil.copy(store, output / "mlflow.db")
            seconds, cpu_seconds = _run(contender.name, contender.command(output))
            runs[contender.name].append(Run(seconds, cpu_seconds, contender.outcome(output)))
            print(f"  repeat {repeat + 1} of {repeats}: {contender.name} {seconds:.1f} s", flush=True)
            shutil.rmtree(output)
    return runs


def _run(name: str, command: list[str]) -> tuple[float, float]:
    cpu_before, began = _cpu_seconds(), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-20:])
        raise Failed(f"{name} exited with status {done.returncode}:\n{last}")
    return seconds, _cpu_seconds() - cpu_before


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def table(runs: dict[str, list[Run]]) -> str:
    """Seconds of each contender, and times the first one's."""
    width = max(map(len, runs))
    lines = [f"{'':{width}}  median     min     max   ratio   cpu s   val_accuracy  epochs"]
    first = next(iter(runs.values()))
    for name, own in runs.items():
        seconds = [run.seconds for run in own]
        ratio = statistics.median(run.seconds / base.seconds for run, base in zip(own, first, strict=True))
        accuracy = max(run.outcome.val_accuracy for run in own)
        epochs = "/".join(dict.fromkeys(str(run.outcome.epochs) for run in own))
        lines.append(
            f"{name:{width}} {statistics.median(seconds):7.1f} {min(seconds):7.1f} {max(seconds):7.1f} "
            f"{ratio:7.2f} {statistics.median(run.cpu_seconds for run in own):7.1f} {accuracy:14.4f} {epochs:>7}"
        )
    return "\n".join(lines)
