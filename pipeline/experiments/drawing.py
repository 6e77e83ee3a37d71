"""What experiments share: panels side by side, the line of each value, and how a finding is worded."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pipeline.search.space import Interval
from pipeline.study.finished import FinishedTrial, Results

RATE = "optimizer.learning_rate"
NOT_SHOWN = ": the claim does not show on this data"
Drawing = tuple[Figure, str]  # the figure, and the finding in a sentence


def panels(width: float, height: float, n: int = 2, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of width x height inches with n axes side by side."""
    canvas = Figure(figsize=(width, height), layout="constrained")
    axes = list(canvas.subplots(1, n, squeeze=False, **options)[0])
    for axis in axes:
        axis.grid(alpha=0.3)
    return canvas, axes


def judged(text: str, shows: bool) -> str:
    """A finding's last sentence: what was measured, and whether the claim shows in it."""
    return f"{text}{'' if shows else NOT_SHOWN}."


def axis_name(key: str) -> str:
    """What an axis calls a parameter: `optimizer.learning_rate` is its learning rate."""
    return key.rsplit(".", 1)[-1].replace("_", " ")


def name_axes(axis: Axes, ranges: Mapping[str, Interval]) -> None:
    """Gives the axes of a plane the names and scales of two searched ranges."""
    (x_key, x), (y_key, y) = ((key, dist.scale.figure_axis) for key, dist in ranges.items())
    axis.set(xscale=x.kind, xlabel=x.label.format(axis_name(x_key)))
    axis.set(yscale=y.kind, ylabel=y.label.format(axis_name(y_key)))


def tick_within_decades(axis: Axis, multiples: tuple[float, ...], text: str) -> None:
    """Labels these multiples of each power of ten on a logarithmic axis that spans less than a decade or two."""
    axis.set_major_locator(LogLocator(subs=multiples))
    axis.set_major_formatter(text)
    axis.set_minor_formatter(NullFormatter())


def draw_losses(axis: Axes, results: Results, by: str, label: Callable[[Any], str] = str) -> None:
    """Validation loss of the best epoch against the learning rate, a line for each value of `by`; trials that diverged
    leave a gap, marked at the bottom of the axis."""
    for value, trials in results.by(by):
        ordered = sorted(trials, key=lambda trial: trial.params[RATE])
        rates = np.array([trial.params[RATE] for trial in ordered])
        losses = np.array([trial.score("val_loss") for trial in ordered])
        (line,) = axis.plot(rates, losses, marker=".", label=label(value))
        lost = rates[np.isnan(losses)]
        axis.plot(lost, np.full(len(lost), 0.02), "x", color=line.get_color(), transform=axis.get_xaxis_transform())
    axis.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="validation loss (nats; x: diverged)")


def best(trials: list[FinishedTrial], metric: str) -> FinishedTrial | None:
    """Of those that have a score; None if none has, as where all diverged."""
    scored = [trial for trial in trials if not np.isnan(trial.score(metric))]
    pick = min if metric.endswith("loss") else max
    return pick(scored, key=lambda trial: trial.score(metric), default=None)


def best_of_each(results: Results, key: str, metric: str) -> dict[Any, FinishedTrial | None]:
    """The best trial for each value of `key`."""
    return {value: best(trials, metric) for value, trials in results.by(key)}
