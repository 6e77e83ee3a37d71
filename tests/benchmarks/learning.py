"""Searches that learn, ours and Optuna's, on the real clock: when each has seen the loss that Optuna's comes to."""

import math
import re
import shutil
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.splits import Splits
from tests.benchmarks import readings
from tests.benchmarks.epochs import RANDOM_DATA
from tests.benchmarks.peer import default_splits
from tests.benchmarks.random_data import random_data
from tests.benchmarks.stopwatch import ready_store, run
from tests.benchmarks.sweeps import DEFAULT, RATE_BETA, caviar_command, variant

TRIALS = 64  # of Optuna's search
MOST_TRIALS = 192  # of ours, which goes on past the goal
EPOCHS, MIN_EPOCHS = 27, 3
GOAL = 15  # how many times sooner
LARGE = 12_000  # examples, of as many features as MNIST has
SEARCH = (
    *("sweep=tpe", "sweep.generation=64", f"sweep.halving.min_epochs={MIN_EPOCHS}", f"sweep.n_trials={MOST_TRIALS}"),
    *("sweep.metric=val_loss", "sweep.direction=minimize", "sweep.max_tier=0", "model=mlp", "sweep.keep_models=1"),
    *(f"{key}={values}" for key, values in {**DEFAULT, **RATE_BETA}.items()),
)


@dataclass(frozen=True)
class Task:
    """settings: of Caviar; splits: the same data, by seed."""

    settings: tuple[str, ...]
    splits: Callable[[int], Splits]


TASKS = {
    "digits": Task((), default_splits),
    "large": Task((*RANDOM_DATA, f"+dataset.n_train={LARGE}"), lambda seed: random_data(seed=seed, n_train=LARGE)),
}
Losses = list[tuple[float, float]]  # seconds since the process began, validation loss


def learning(folder: Path, options: Namespace) -> Iterator[str]:
    """Seconds to the validation loss that Optuna's TPE with Hyperband reaches in 64 trials: its own, and Caviar's.

    Both count from the start of the process to the end of the epoch that has the loss. Each repeat has another seed.
    """
    folder.mkdir(parents=True)
    store = ready_store(folder)
    for task in TASKS:
        for plain in options.variants:
            ratios = []
            for seed in range(options.repeats):
                theirs, whole = _optuna(task, seed, plain, folder / f"optuna-{task}-{plain}-{seed}", store, options)
                goal = min(loss for _, loss in theirs)
                ours = _caviar(task, seed, folder / f"caviar-{task}-{plain}-{seed}", store, options)
                taken, reached = _seconds_to(goal, theirs), _seconds_to(goal, ours)
                ratios.append(taken / reached)
                yield (
                    f"{task}, Optuna {variant(plain)}, seed {seed}: val_loss {goal:.4f} after {taken:.1f} s of "
                    f"{whole:.1f}, Caviar after {reached:.1f} s: {ratios[-1]:.1f} times sooner"
                )
            median = statistics.median(ratios)
            verdict = f"at least {GOAL}: {'met' if median >= GOAL else 'missed'}" if plain else f"({GOAL})"
            yield f"{task}, Optuna {variant(plain)}: {median:.1f} times sooner in the median, {verdict}"


def _seconds_to(goal: float, losses: Losses) -> float:
    """Infinite if no epoch has it."""
    return min((seconds for seconds, loss in losses if loss <= goal), default=math.inf)


def _optuna(task: str, seed: int, plain: bool, output: Path, store: Path, options: Namespace) -> tuple[Losses, float]:
    """Its losses, and how long the whole process took."""
    command = [sys.executable, "-m", "tests.benchmarks.optuna_learning", str(output)]
    command += [f"--epochs={options.epochs or EPOCHS}", f"--trials={options.trials or TRIALS}", f"--task={task}"]
    command += [f"--seed={seed}", *(["--plain"] if plain else [])]
    began = _ready(output, store)
    done = run("Optuna", command, output)
    epochs = re.findall(r"^epoch with val_loss (\S+) at ([\d.]+)$", done.printed, re.MULTILINE)
    shutil.rmtree(output)
    return [(float(at) - began, float(loss)) for loss, at in epochs if math.isfinite(float(loss))], done.seconds


def _caviar(task: str, seed: int, output: Path, store: Path, options: Namespace) -> Losses:
    began = _ready(output, store)
    words = [*SEARCH, *TASKS[task].settings, f"seed={seed}", *options.set]
    run("Caviar", caviar_command(output, f"{options.epochs or EPOCHS}", "-m", *words), output)
    epochs = [event for event in readings.epoch_events(output) if event.get("val_loss") is not None]
    shutil.rmtree(output)
    return [(event["time"] - began, event["val_loss"]) for event in epochs]


def _ready(output: Path, store: Path) -> float:
    """Makes the folder of a process; returns when that begins."""
    output.mkdir()
    shutil.copy(store, output / "mlflow.db")
    return time.time()


REPORTS = {"learning": learning}
