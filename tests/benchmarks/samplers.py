"""How many epochs each way to search takes to the loss that 256 random trials reach, replayed on tables of curves."""

import importlib.util
import os
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.schema import Halving
from tests.benchmarks.curves import EPOCHS, TASKS, TRIALS, Curves, curves, curves_file
from tests.benchmarks.replay import Replay, Way

SEEDS = 50
BUDGET = 256  # random trials, whose loss is the goal
GIVEN_UP = BUDGET * EPOCHS  # epochs, of a search that is to take fewer; the others try the whole table
SPARSE = Halving(min_epochs=2, factor=3)
RANDOM = "random"
# Each with the most that it may take of random search's epochs, where there is such a goal.
WAYS: dict[str, tuple[Way, float | None]] = {
    RANDOM: (Way("random.Random"), None),
    "quasi_random": (Way("quasi_random.QuasiRandom"), 1),
    "tpe": (Way("tpe.Tpe"), 1 / 2),
    "cma_es": (Way("cma_es.CmaEs"), None),
    "gp": (Way("gp.Gp"), None),
    "halving": (Way("random.Random", SPARSE), 1 / 4),
    "quasi_random, halving": (Way("quasi_random.QuasiRandom", SPARSE), None),
    "tpe, halving": (Way("tpe.Tpe", SPARSE), 1 / 6),
}


def samplers(folder: Path, options: Namespace) -> Iterator[str]:
    """Epochs of each sampler to the loss that 256 random trials reach, of 50 replays on each of five tables of curves.

    Shown are ratios of medians to random search's, and in brackets 95 % of bootstrapped sets of seeds; all: their
    geometric mean over the tasks. Open: a goal that is missed, but lies within the interval.
    """
    files = {task: curves_file(task, folder, lambda line: print(f"  {line}", flush=True)) for task in TASKS}
    goals = {task: goal_of(curves(file)) for task, file in files.items()}
    for task, file in files.items():
        yield f"{task}: {of_goal(curves(file), goals[task])}"
    yield f"{'':22} {'all, of random':21} {'goal':11}" + "".join(f"{task:>20}" for task in files)
    spent: dict[str, dict[str, np.ndarray]] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, (way, most) in WAYS.items():
            if not available(way):
                yield f"{name:22} left out: it needs what is not installed"
                continue
            limit = np.inf if way.halving is None and most in (None, 1) and "random" in name else GIVEN_UP
            spent[name] = {
                task: np.array(list(pool.map(partial(_epochs, file, way, goals[task], limit), range(SEEDS))))
                for task, file in files.items()
            }
            yield line(name, spent[name], spent[RANDOM], most)


def line(name: str, own: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], most: float | None) -> str:
    """A row of the table."""
    whole = ratio(list(own.values()), list(theirs.values()))
    verdict = (
        "" if most is None else f"{most:.2f} {'met' if whole[0] <= most else 'open' if whole[1] <= most else 'missed'}"
    )
    tasks = [interval(ratio([epochs], [theirs[task]])) for task, epochs in own.items()]
    return f"{name:22} {interval(whole):21} {verdict:11}" + "".join(f"{of_task:>20}" for of_task in tasks)


def interval(of: tuple[float, float, float]) -> str:
    return "{:.2f} ({:.2f}-{:.2f})".format(*of)


def of_goal(table: Curves, goal: float) -> str:
    """What stands in the way of halving: trials that reach the goal and do not look like it at the first rung."""
    good = table.lowest[:, -1] <= goal
    assert SPARSE.min_epochs
    at_rung = table.lowest[:, SPARSE.min_epochs - 1]
    kept = int((at_rung[good] <= np.quantile(at_rung, 1 / SPARSE.factor)).sum())
    return (
        f"{goal:.4f} is reached by {good.sum()} of {len(good)} trials, {kept} of them among the best third after "
        f"{SPARSE.min_epochs} epochs"
    )


def available(way: Way) -> bool:
    """Whether the sampler is there, and PyTorch for the one that needs it."""
    module = f"pipeline.search.samplers.{way.sampler.split('.')[0]}"
    return bool(importlib.util.find_spec(module)) and (
        not way.sampler.startswith("gp.") or bool(importlib.util.find_spec("torch"))
    )


def goal_of(table: Curves) -> float:
    """What half of the searches with so many random trials reach."""
    rng, lowest = np.random.default_rng(0), table.lowest[:, -1]
    return float(np.median([lowest[rng.choice(len(lowest), BUDGET, replace=False)].min() for _ in range(10_000)]))


def _epochs(file: Path, way: Way, goal: float, limit: float, seed: int) -> float:
    return Replay(curves(file), way, seed, limit).epochs_to(goal)


def ratio(own: Sequence[np.ndarray], theirs: Sequence[np.ndarray], resamples: int = 2000) -> tuple[float, float, float]:
    """The geometric mean over tasks of the ratios of median epochs [seeds], and the ends of its 95 % interval. A search
    that was given up counts as longer than any other."""
    rng = np.random.default_rng(0)

    def log_ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        capped = [np.minimum(np.median(values, axis=-1), TRIALS * EPOCHS) for values in (a, b)]
        return np.asarray(np.log(capped[0] / capped[1]))

    def resampled(values: np.ndarray) -> np.ndarray:
        return np.asarray(values[rng.integers(0, len(values), (resamples, len(values)))])

    means = np.mean([log_ratio(resampled(a), resampled(b)) for a, b in zip(own, theirs, strict=True)], axis=0)
    share = np.mean([log_ratio(a, b) for a, b in zip(own, theirs, strict=True)])
    return float(np.exp(share)), *(float(np.exp(end)) for end in np.quantile(means, [0.025, 0.975]))


REPORTS = {"samplers": samplers}
