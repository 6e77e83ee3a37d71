"""Batch statistics vary by 1 / sqrt(batch size), a noise that regularises (Ioffe & Szegedy 2015, section 3.4)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.experiments.results import Drawing, Results, Trial
from pipeline.tracking.curves import measure

SIZE, PLACEMENT, SEED = "train.batch_size", "model.norm_placement", "seed"
STYLES = {"none": ("without batch norm", "#ee6677"), "before_activation": ("with batch norm", "#4477aa")}


def gap(epochs: Sequence[dict[str, Any]], level: float) -> float:
    """Validation minus training loss where the training loss first comes down to `level`, interpolated over its
    logarithm; after the first epoch, if it is lower by then."""
    for before, after in pairwise(epochs):
        above, below = np.log(before["probe_loss"] / level), np.log(after["probe_loss"] / level)
        if below <= 0 < above:
            share = above / (above - below)
            return float(before["val_loss"] + share * (after["val_loss"] - before["val_loss"]) - level)
    return float(epochs[0]["val_loss"] - epochs[0]["probe_loss"])


def noise(trials: Sequence[Trial], layer: str) -> float:
    """Of the batch means of a layer, root mean square over epochs and trials."""
    found = [measure(trial.diagnoses, layer, "batch_noise") for trial in trials]
    return float(np.sqrt(np.mean(np.square(found))))


def trend(sizes: Sequence[int], gaps: np.ndarray) -> str:
    """How the gaps [sizes, seeds] go from the smallest to the largest batches, in words: a claim needs every seed."""
    mean, change = gaps.mean(1), gaps[-1] - gaps[0]
    falls, rises = (change < 0).all(), (change > 0).all()
    word = "it falls" if falls else "it rises" if rises else "it falls in some seeds and rises in others"
    lowest = int(mean.argmin())
    return (
        f"{mean[0]:.3f} nats with {sizes[0]}, {mean[-1]:.3f} with {sizes[-1]}, lowest with {sizes[lowest]} "
        f"({mean[lowest]:.3f}); from {sizes[0]} to {sizes[-1]} {word} ({change.min():+.3f} to {change.max():+.3f})"
        + ("" if falls else ": that it falls does not show on this data")
    )


def figure(results: Results) -> Drawing:
    """Left: noise of the batch means of two layers against the batch size. Right: the gap at equal training loss, mean
    and range of the seeds."""
    ended = [trial for trial in results.trials if trial.status == "completed"]
    sizes = sorted({trial.params[SIZE] for trial in ended})
    level = max(min(epoch["probe_loss"] for epoch in trial.epochs) for trial in ended)
    layers = [name for name, found in ended[0].diagnoses[0].items() if "batch_noise" in found]
    canvas = Figure(figsize=(12, 4.8), layout="constrained")
    left, right = canvas.subplots(1, 2)
    left.plot(sizes, [size**-0.5 for size in sizes], color="0.5", linestyle="--", label=r"1 / $\sqrt{\mathrm{size}}$")
    gaps: dict[str, np.ndarray] = {}
    ends: dict[tuple[str, str], tuple[float, float]] = {}
    for placement, (text, color) in STYLES.items():
        of_size = [[t for t in ended if (t.params[PLACEMENT], t.params[SIZE]) == (placement, size)] for size in sizes]
        for layer, marker in ((layers[0], "o"), (layers[-1], "s")):
            noises = [noise(trials, layer) for trials in of_size]
            ends[placement, layer] = noises[0], noises[-1]
            style: dict[str, Any] = {"marker": marker, "linestyle": "-" if layer == layers[0] else ":"}
            if placement == "none":  # its points lie under the others
                style |= {"markersize": 11, "markerfacecolor": "none"}
            left.plot(sizes, noises, color=color, label=f"{layer}, {text}", **style)
        gaps[placement] = np.array(
            [[gap(t.epochs, level) for t in sorted(trials, key=lambda t: t.params[SEED])] for trials in of_size]
        )
        right.plot(sizes, gaps[placement].mean(1), color=color, marker="o", label=f"{text}, mean")
        low, high = gaps[placement].min(1), gaps[placement].max(1)
        right.fill_between(sizes, low, high, color=color, alpha=0.15, linewidth=0)
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    left.set(yscale="log", ylim=(0.008, 2), yticks=ticks, yticklabels=ticks)
    left.minorticks_off()
    left.set(ylabel="standard deviation of a unit's batch mean\n(in standard deviations of the unit)")
    left.set_title("noise of batch means", size=11)
    right.set(ylabel="validation loss - training loss (nats)")
    right.set_title(f"gap where the training loss is {level:.3f} (shaded: range of seeds)", size=11)
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set(xlabel="batch size (examples)", xticks=sizes, xticklabels=sizes)
        axis.grid(alpha=0.3)
    left.legend(fontsize=9, loc="upper right")
    right.legend(fontsize=9)
    first, second = ends["before_activation", layers[0]], ends["before_activation", layers[-1]]
    plain = gaps["none"].mean(1)
    return canvas, (
        f"Batches of {sizes[0]} and {sizes[-1]}: batch means of {layers[0]} vary by {first[0]:.3f} and {first[1]:.3f} "
        f"(1 / sqrt(size): {sizes[0] ** -0.5:.3f} and {sizes[-1] ** -0.5:.3f}), of {layers[-1]}, behind another batch "
        f"norm, by {second[0]:.3f} and {second[1]:.3f}. At equal training loss the gap with batch norm is "
        f"{trend(sizes, gaps['before_activation'])}. Without batch norm: {plain[0]:.3f} and {plain[-1]:.3f}."
    )
