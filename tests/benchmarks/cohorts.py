"""Reports without a peer: what many trials at once cost, and how much of the machine they use.

Both run `python run.py -m` on one worker with trials that differ in learning rate and beta_1 only, all in one fused
cohort (`--set executor.xla=never`: without XLA), and read the epochs' seconds from events.jsonl. Each trial of a cohort
says the same `cohort_seconds`, so that the sum of the different ones is the time of all trials' epoch.
"""

import statistics
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.peer import default_splits
from tests.benchmarks.readings import epoch_events
from tests.benchmarks.stopwatch import run
from tests.benchmarks.sweeps import RATE_BETA, caviar_command

EPOCHS = 6
BATCH_SIZE = 32
HIDDEN_LAYERS = 2


def scaling(folder: Path, options: Namespace) -> Iterator[str]:
    """Seconds of an epoch of all trials, and a trial, by how many are trained at once."""
    sizes = [size for size in (1, 2, 4, 8, 16, 32, 64, 128, 256) if size <= (options.trials or 256)]
    measured: dict[int, list[float]] = defaultdict(list)
    cohorts = {}
    for repeat in range(options.repeats):
        for size in sizes:
            seconds, cohorts[size] = _epoch_seconds(folder / f"{repeat}-{size}", size, options)
            measured[size].append(seconds)
    first = statistics.median(measured[sizes[0]])
    yield "trials cohorts   s/epoch       min       max  s/epoch/trial  of the first"
    for size in sizes:
        own = measured[size]
        median = statistics.median(own)
        yield (
            f"{size:6} {cohorts[size]:7} {median:9.4g} {min(own):9.4g} {max(own):9.4g} {median / size:14.4g} "
            f"{median / size / first:12.3f}"
        )


def peak(folder: Path, options: Namespace) -> Iterator[str]:
    """Share of the machine's matrix multiplications that a cohort reaches, by the width of its hidden layers.

    2 m n k operations a dense layer, times 3 for forward and backward, of the training steps only; the seconds are of
    the whole epoch, with its validation and everything between the layers.
    """
    size = options.trials or 128
    yield f"{size} trials; a single large matmul in the same repeat is 1"
    for hidden_units in (64, 256):
        splits = default_splits(0)
        widths = [splits.train.inputs[0].size, *[hidden_units] * HIDDEN_LAYERS, splits.n_classes]
        operations = 6 * sum(m * n for m, n in pairwise(widths)) * len(splits.train) * size
        shares, peaks, cohorts = [], [], 0
        for repeat in range(options.repeats):
            output = folder / f"{repeat}-{hidden_units}"
            matmul = run("matmul", [sys.executable, "-m", "tests.benchmarks.matmul_peak"], output)
            peaks.append(float(matmul.printed.split()[-1]))
            seconds, cohorts = _epoch_seconds(output, size, options, f"model.hidden_units={hidden_units}")
            shares.append(operations / seconds / peaks[-1])
        yield (
            f"{hidden_units:4} hidden units: {statistics.median(shares):.4f} (min {min(shares):.4f}, "
            f"max {max(shares):.4f}) of {statistics.median(peaks) / 1e9:.0f} GFLOP/s, in {cohorts} cohorts"
        )


def _epoch_seconds(output: Path, size: int, options: Namespace, *settings: str) -> tuple[float, int]:
    """Seconds of an epoch of all trials, the median of those after the first, and in how many cohorts they were."""
    space = [f"{key}={values}" for key, values in RATE_BETA.items()]
    network = [f"train.batch_size={BATCH_SIZE}", f"model.hidden_layers={HIDDEN_LAYERS}", *settings]
    how = [
        "executor.workers=1",
        f"executor.cohort_size={size}",
        "executor.fuse=always",
        "tracking=none",
        f"sweep.n_trials={size}",
        "sweep.max_tier=0",
    ]
    epochs = f"{options.epochs or EPOCHS}"
    run(f"{size} trials", caviar_command(output, epochs, "-m", *how, *network, *space, *options.set), output)
    seconds: dict[int, set[float]] = defaultdict(set)
    for event in epoch_events(output):
        seconds[event["epoch"]].add(event.get("cohort_seconds", event["seconds"]))
    later = [sum(different) for epoch, different in seconds.items() if epoch > 1]
    return statistics.median(later), max(map(len, seconds.values()))


REPORTS = {"scaling": scaling, "peak": peak}
