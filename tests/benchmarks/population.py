"""Reports on populations: what copying and exploring cost, and what they win over halving at equal epochs."""

import json
import statistics
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.readings import epoch_events
from tests.benchmarks.stopwatch import run
from tests.benchmarks.sweeps import caviar_command

TRIALS, EPOCHS = 32, 80
# Both search what may change in the course of a training, and nothing else.
SPACE = ["sweep.max_tier=1", "optimizer.beta_1=tag(one_minus_log,interval(0.5,0.999))",
    "model.dropout_rate=interval(0.0,0.5)"]  # fmt: skip
TASKS = {
    "digits": ["dataset=digits", "train.batch_size=32"],
    "few digits": ["dataset=digits", "train.batch_size=32", "dataset.validation_fraction=0.6"],
    "digits, cnn": ["dataset=digits", "model=cnn", "train.batch_size=64"],
    "spirals": ["dataset=spirals", "train.batch_size=64"],
    "blobs": ["dataset=blobs", "dataset.spread=1.0", "train.batch_size=64"],
}
BOTH = 28  # epochs of a trial that nobody stops
FIRST = 2  # epochs, and copies, that compile and trace


def population(folder: Path, options: Namespace) -> Iterator[str]:
    """The share of an epoch that copying and exploring take in a population, by its number of trials."""
    yield "of the default model on the digits; between two epochs, telling of it included"
    yield "trials   s/epoch  copies   s for them  of an epoch  of all epochs"
    for n_trials in sorted({8, options.trials or TRIALS}):
        shares, epochs, copying, at_once, every = [], [], [], 0.0, 1
        for repeat in range(options.repeats):
            words = ["-m", "tests.benchmarks.population_cell", str(folder / f"{repeat}-{n_trials}"), f"{n_trials}"]
            words += [*TASKS["digits"], *SPACE, f"sweep.stages.population.epochs={options.epochs or EPOCHS}"]
            printed = run("population", [sys.executable, *words, *options.set], folder).printed.splitlines()
            result = json.loads(next(line for line in printed if line.startswith("{")))
            epochs.append(statistics.median(result["epochs"][FIRST:]))
            copying.append(statistics.median(result["copying"][FIRST:]))
            shares.append(copying[-1] / epochs[-1])
            every = result["every"]
            at_once = result["copies"] / len(result["copying"])
        share, least, most = (function(shares) for function in (statistics.median, min, max))
        yield (
            f"{n_trials:6} {statistics.median(epochs):9.4f} {at_once:7.1f} {statistics.median(copying):12.5f} "
            f"{share:12.2%} {share / every:10.2%}, every {every}th   "
            f"(min {least / every:.2%}, max {most / every:.2%})"
        )


def population_halving(folder: Path, options: Namespace) -> Iterator[str]:
    """The best val_loss of a population and of halving at equal epochs, on five tasks, in turn with each seed."""
    yield "task          population    halving  population's lower in  epochs of each (medians over seeds)"
    won = 0
    for task, settings in TASKS.items():
        losses: dict[str, list[float]] = defaultdict(list)
        trained: dict[str, list[int]] = defaultdict(list)
        for seed in range(options.repeats):
            n_trials = options.trials or 64
            for kind in ("halving", "population"):
                output = folder / f"{task}-{kind}-{seed}".replace(", ", "-").replace(" ", "-")
                words = [f"sweep={kind}", f"sweep.n_trials={n_trials}", f"seed={seed}", "tracking=none"]
                words += [
                    *settings,
                    *SPACE,
                    "sweep.metric=val_loss",
                    "sweep.direction=minimize",
                    "sweep.keep_models=1",
                    f"sweep.stages.{kind}.epochs=null",
                ]
                run(kind, caviar_command(output, f"{BOTH}", "-m", *words, *options.set), output)
                events = list(epoch_events(output))
                losses[kind].append(min(event["val_loss"] or float("inf") for event in events))
                trained[kind].append(len(events))
                n_trials = max(4, round(len(events) / BOTH))
        pairs = list(zip(losses["population"], losses["halving"], strict=True))
        medians = {kind: statistics.median(own) for kind, own in losses.items()}
        won += medians["population"] <= medians["halving"]
        yield (
            f"{task:12} {medians['population']:11.4f} {medians['halving']:10.4f} "
            f"{sum(a <= b for a, b in pairs):>12} of {len(pairs):<7} "
            f"{statistics.median(trained['population']):.0f} and {statistics.median(trained['halving']):.0f}"
        )
    yield f"population's is no higher on {won} of {len(TASKS)} tasks"


REPORTS = {"population": population, "population_halving": population_halving}
