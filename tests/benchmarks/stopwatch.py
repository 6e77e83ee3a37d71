"""Runs contenders as processes, in turn, and says how long they took.

What makes the seconds comparable:
- Each run is a fresh process from the shell's point of view, timed from its start to its end: imports, data,
  training, files, tracking. Where an epoch is measured, its time is what the run itself noted.
- In each repeat every contender runs once, and the order rotates from repeat to repeat, so that a machine that slows
  down for a while slows all of them. The ratio is the median of the ratios within a repeat.
- All start in an empty folder with a copy of one ready, empty MLflow store. Making its tables takes two seconds once
  in the life of a store, and Caviar, which does that beside other work, would gain by counting them.
- The libraries are imported once, untimed, so that nobody pays for a cold disk.
- All run on the CPU.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
MAKE_STORE = "import sys, mlflow; mlflow.MlflowClient(sys.argv[1]).search_experiments()"
IMPORTS = (
    "import hydra, joblib, keras, keras_tuner, matplotlib.figure, mlflow, optuna, rich, sklearn.datasets, tensorflow"
)


class Failed(Exception):
    """A contender did not end well; the message says which, and ends with the last lines it printed."""


@dataclass(frozen=True)
class Process:
    """One that ended well. seconds: by the clock; cpu_seconds: its own and those of all that it started, user and
    system, which a busy machine disturbs less."""

    output: Path
    printed: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Run:
    """seconds: what the contest measures; cpu_seconds: None where they are not of the whole work; val_accuracy and
    epochs show whether the work was the same: the best of any epoch, and how many were trained over all trials."""

    seconds: float
    cpu_seconds: float | None
    val_accuracy: float
    epochs: int
    note: str = ""


@dataclass(frozen=True)
class Contender:
    """command: the command line that writes into a given folder; measure: reads that folder afterwards; target: how
    many times Caviar's seconds it should at least take, `binding` if that is meant for this very contender."""

    name: str
    command: Callable[[Path], list[str]]
    measure: Callable[[Process], Run]
    target: float | None = None
    binding: bool = True


class Contest(Protocol):
    """A title and its contenders, Caviar first; `folder` is for what they have to hand on to each other."""

    def title(self, options: Namespace) -> str: ...

    def contenders(self, name: str, folder: Path, options: Namespace) -> list[Contender]: ...


def ready_store(folder: Path) -> Path:
    """An MLflow store with its tables and nothing in them; also warms the disk cache."""
    store = folder / "empty.db"
    run("preparation", [sys.executable, "-c", MAKE_STORE, f"sqlite:///{store}"], folder)
    run("preparation", [sys.executable, "-c", IMPORTS], folder)
    return store


def timed(contenders: list[Contender], folder: Path, store: Path, repeats: int) -> list[list[Run]]:
    """The runs of each contender, in order of repeats; the first contender's come first. Raises Failed."""
    runs: list[list[Run]] = [[] for _ in contenders]
    for repeat in range(repeats):
        shift = repeat % len(contenders)
        for index in [*range(shift, len(contenders)), *range(shift)]:
            contender, output = contenders[index], folder / f"{repeat}-{index}"
            output.mkdir(parents=True)
            shutil.copy(store, output / "mlflow.db")
            done = run(contender.name, contender.command(output), output)
            runs[index].append(contender.measure(done))
            print(f"  repeat {repeat + 1} of {repeats}: {contender.name} {runs[index][-1].seconds:.4g} s", flush=True)
            shutil.rmtree(output)
    return runs


def run(name: str, command: list[str], output: Path) -> Process:
    """Runs a command in the project's folder. Raises Failed if its status is not 0."""
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
    return Process(output, done.stdout, seconds, _cpu_seconds() - cpu_before)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
