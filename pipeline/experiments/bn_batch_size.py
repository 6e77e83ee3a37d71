"""Batch statistics vary by 1 / sqrt(batch size), a noise that regularises (Ioffe & Szegedy 2015, section 3.4)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.batch_norm import PLACEMENT, STYLES, WITH, WITHOUT, layers_with
from pipeline.experiments.drawing import Drawing, drawing, panels
from pipeline.experiments.evidence import estimate, finding, verdict
from pipeline.records import EpochEnded
from pipeline.study.finished import SEED, FinishedTrial, Results
from pipeline.tracking.curves import measure

SIZE = "train.batch_size"
PROBE = 256  # as in pipeline.training.diagnostics.diagnosis, which the process that draws can't import


def gap(epochs: Sequence[EpochEnded], level: float) -> float:
    """Validation minus probe loss where the probe loss first comes down to `level`, interpolated over its logarithm;
    after the first epoch, if it is lower by then. The probe loss is that of some training examples, predicted as those
    of the validation split are."""
    for before, after in pairwise(epochs):
        above, below = np.log(before.value("probe_loss") / level), np.log(after.value("probe_loss") / level)
        if below <= 0 < above:
            share = above / (above - below)
            return float(
                before.value("val_loss") + share * (after.value("val_loss") - before.value("val_loss")) - level
            )
    return float(epochs[0].value("val_loss") - epochs[0].value("probe_loss"))


def noise(trial: FinishedTrial, layer: str) -> float:
    """Of the batch means of a layer, root mean square over epochs."""
    return float(np.sqrt(np.mean(np.square(measure(trial.diagnoses, layer, "batch_noise")))))


def cells_of(results: Results) -> dict[tuple[str, int], list[FinishedTrial]]:
    """(placement, size) -> the trials that completed, of sizes of which each placement has some, ascending.

    Raises InputError if fewer than two sizes remain.
    """
    cells: dict[tuple[str, int], list[FinishedTrial]] = {}
    for trial in results.completed():
        cells.setdefault((trial.params[PLACEMENT], trial.params[SIZE]), []).append(trial)
    tried = sorted({trial.params[SIZE] for trial in results.trials})
    sizes = [size for size in tried if all((placement, size) in cells for placement in STYLES)]
    if len(sizes) < 2:
        listed = ",".join(map(str, tried))
        raise InputError(f"{SIZE}={listed}: with and without batch norm, trials of at least two of them must complete.")
    return {(placement, size): cells[placement, size] for placement in STYLES for size in sizes}


def figure(results: Results) -> Drawing:
    """Left: noise of the batch means of two layers against the batch size. Right: the gap at equal probe loss, mean and
    range of the seeds. Trials that have not completed are left out, and a size of which a placement has none.

    Raises InputError if nothing was recorded of the layers, or fewer than two sizes remain.
    """
    results.needs(PLACEMENT, STYLES)
    results.needs_diagnostics()
    cells = cells_of(results)
    sizes = sorted({size for _, size in cells})
    ended = [trial for trials in cells.values() for trial in trials]
    seeds = sorted({trial.params[SEED] for trial in ended})
    level = max(min(epoch.value("probe_loss") for epoch in trial.epochs) for trial in ended)
    layers = layers_with("batch_noise", ended[0], results)
    first, last = layers[0], layers[-1]
    canvas, (left, right) = panels()
    left.plot(sizes, [size**-0.5 for size in sizes], color="0.5", linestyle="--", label=r"1 / $\sqrt{\mathrm{size}}$")
    noises: dict[tuple[str, str], list[list[float]]] = {}
    gaps: dict[str, np.ndarray] = {}
    for placement, (text, color) in STYLES.items():
        for layer, marker in ((first, "o"), (last, "s")):
            noises[placement, layer] = [[noise(t, layer) for t in cells[placement, size]] for size in sizes]
            means = [np.mean(of_size) for of_size in noises[placement, layer]]
            (line,) = left.plot(sizes, means, color=color, marker=marker, label=f"{layer}, {text}")
            line.set_linestyle("-" if layer == first else ":")
            if placement == WITHOUT:  # its points lie under the others
                line.set(markersize=11, markerfacecolor="none")
        grid = gaps[placement] = np.full((len(sizes), len(seeds)), np.nan)
        for i, size in enumerate(sizes):
            for trial in cells[placement, size]:
                grid[i, seeds.index(trial.params[SEED])] = gap(trial.epochs, level)
        right.plot(sizes, np.nanmean(grid, 1), color=color, marker="o", label=f"{text}, mean")
        right.fill_between(sizes, np.nanmin(grid, 1), np.nanmax(grid, 1), color=color, alpha=0.15, linewidth=0)
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    left.set(yscale="log", ylim=(0.008, 2), yticks=ticks, yticklabels=ticks)
    left.minorticks_off()
    left.set(ylabel="standard deviation of a unit's batch mean\n(in standard deviations of the unit)")
    left.set_title("noise of batch means", size=10)
    right.set(ylabel=f"validation loss - probe loss (nats)\n(probe: first {PROBE} training examples, predicted)")
    right.set_title(f"gap at probe loss {level:.3f}; shaded: seeds", size=10)
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set(xlabel="batch size (examples)", xticks=sizes, xticklabels=sizes)
    of_seeds = ({t.params[SEED]: noise(t, first) for t in cells[WITH, size]} for size in (sizes[0], sizes[-1]))
    smallest, largest = (estimate(finding(own, results).values()).text("{:.3f}") for own in of_seeds)
    falls = dict(zip(seeds, (gaps[WITH][0] - gaps[WITH][-1]).tolist(), strict=True))
    lost = sorted({trial.params[SIZE] for trial in results.trials} - set(sizes))
    return drawing(
        canvas,
        f"Batches of {sizes[0]} and {sizes[-1]}: with batch norm, means of {first} vary by {smallest} and {largest}. "
        + verdict("The gap falls by {} nats", falls, results, "{:.3f}")
        + (f" Left out, since trials failed: {', '.join(map(str, lost))}." if lost else ""),
    )
