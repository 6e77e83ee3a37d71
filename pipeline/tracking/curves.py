"""What a trial recorded by epoch, and its learning curve as a picture."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from pipeline.eventlog import Diagnoses, epochs_of, events_of
from pipeline.records import Ended

Color = str | np.ndarray  # a name, or red, green, blue and opacity
# Inches of every picture: MLflow shows one some 800 pixels wide, where letters of 10 points are as large as its own.
WIDTH = 8.0
LEGEND_LETTERS = 112  # of 9 points, in a line of this width


def learning_curve(folder: Path, title: str, metrics: Mapping[str, str]) -> Path | None:
    """Draws `metrics` (by name, with the axis' label) by epoch, for training and validation, into learning_curve.png;
    None if no epoch ended."""
    epochs = epochs_of(folder)
    if not epochs:
        return None
    from matplotlib.figure import Figure  # not pyplot: no global state, no display needed

    columns = min(2, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(WIDTH, 1 + 3 * rows), layout="constrained")
    figure.suptitle(fill(title, 70))
    x = [event.epoch for event in epochs]
    ends = [event for event in events_of(folder) if isinstance(event, Ended)]
    best = max(ends, key=lambda event: event.time).best_epoch if ends else 0
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis in axes[len(metrics) :]:
        axis.set_axis_off()
    for axis, (name, label) in zip(axes[: len(metrics)], metrics.items(), strict=True):
        for key, text in ((name, "training"), (f"val_{name}", "validation")):
            axis.plot(x, [event.value(key) for event in epochs], label=text, marker=".")
        if best:
            axis.axvline(best, color="0.6", linestyle=":", label=f"best epoch, {best}")
        axis.set(xlabel="epoch", ylabel=label)
        by_epoch(axis)
    handles, labels = axes[0].get_legend_handles_labels()  # of the others, too
    legend_below(figure, dict(zip(labels, handles, strict=True)))
    path = folder / "learning_curve.png"
    figure.savefig(path, dpi=150)
    return path


def legend_below(figure: Any, entries: Mapping[str, Any]) -> None:
    """A legend (text -> what is drawn so) of all axes below them, where it hides no curve."""
    columns = LEGEND_LETTERS // (max(map(len, entries)) + 9)  # the line beside it takes nine letters
    columns = max(1, min(columns, len(entries)))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, fontsize=9)


def by_epoch(axis: Any) -> None:
    """Sets up an axis whose x are epochs."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)


def measure(diagnoses: Diagnoses, layer: str, name: str) -> list[float]:
    """A measure of a layer by epoch; NaN where it was not finite, or there is none."""
    values = (layers.get(layer, {}).get(name) for layers in diagnoses.values())
    return [float("nan") if value is None else value for value in values]


def band(axis: Any, diagnoses: Diagnoses, layer: str, color: Color, **options: Any) -> None:
    """Draws the distribution of a layer's pre-activations by epoch: the median, and the 15 to 85 % band."""
    low, median, high = (measure(diagnoses, layer, f"pre_activation_p{q}") for q in (15, 50, 85))
    axis.plot(list(diagnoses), median, color=color, **options)
    axis.fill_between(list(diagnoses), low, high, color=color, alpha=0.25, linewidth=0)
