"""What experiments share: panels side by side, the line of each value, and how a finding is worded."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from pipeline.experiments.evidence import Estimate
from pipeline.study.finished import SEED, FinishedTrial, Results
from pipeline.tracking.curves import WIDTH, legend_below

RATE = "optimizer.learning_rate"
Drawing = tuple[Figure, str]  # the figure, and the finding in a sentence
HEIGHT = 6.0


def panels(mosaic: str | list[list[int]] = "AB", **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, a letter each, rows split by a semicolon: "AB;CC" has two above a wide one."""
    canvas = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    body: Any = canvas.subfigures()  # the title and the finding go around it, and the legend below its axes
    axes = list(body.subplot_mosaic(mosaic, **options).values())
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    return canvas, axes


def drawing(canvas: Figure, finding: str) -> Drawing:
    """The end of every figure of `panels`: one legend below all of them, where it hides no curve, and ticks that do not
    collide."""
    entries: dict[str, Any] = {}
    for axis in canvas.axes:
        for direction, decades in ((axis.xaxis, 1.5), (axis.yaxis, 2.5)):  # numbers beside each other take more room
            if isinstance(direction.get_major_locator(), LogLocator):
                _thin(direction, decades)
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        legend_below(canvas.subfigs[0], entries)
    return canvas, finding


def _thin(direction: Axis, most: float) -> None:
    """Labels powers of ten of a logarithmic axis of many decades, 1, 2 and 5 where they are fewer than `most`, and
    evenly spaced numbers of less than one."""
    low, high = sorted(direction.get_view_interval())
    decades = np.log10(high / low)
    if decades < most:
        direction.set_major_locator(MaxNLocator(4) if decades < 0.8 else LogLocator(subs=(1, 2, 5)))
        direction.set_major_formatter("{x:g}")
    direction.set_minor_formatter(NullFormatter())


def axis_name(key: str) -> str:
    """What an axis calls a parameter: `optimizer.learning_rate` is its learning rate."""
    return key.rsplit(".", 1)[-1].replace("_", " ")


def seed_table(trials: Sequence[FinishedTrial], key: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of `key`, ascending, and the metric of the trial that each seed has with them, [values, seeds]; NaN
    where that has none."""
    scores = {(trial.params[key], trial.params.get(SEED)): trial.score(metric) for trial in trials}
    values, seeds = sorted({value for value, _ in scores}), list(dict.fromkeys(seed for _, seed in scores))
    return np.array(values), np.array([[scores.get((value, seed), np.nan) for seed in seeds] for value in values])


def draw_seeds(axis: Axes, x: Sequence[float] | np.ndarray, values: np.ndarray, **style: Any) -> Any:
    """A line for the median of `values` [n, seeds] against x [n], shaded from the lowest to the highest; a gap where
    no seed has one. Returns the line."""
    known = np.ma.masked_invalid(values)
    middle = np.ma.median(known, axis=1).filled(np.nan)
    (line,) = axis.plot(x, middle, **style)
    if values.shape[1] > 1:
        low, high = known.min(axis=1).filled(np.nan), known.max(axis=1).filled(np.nan)
        axis.fill_between(x, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    return line


def draw_estimates(axis: Axes, x: Sequence[float] | np.ndarray, of: Sequence[Estimate], **style: Any) -> None:
    """A point for each mean, with a bar over its interval; a mean without an interval has no bar."""
    means = np.array([own.mean for own in of])
    ends = np.array([[own.mean - own.low, own.high - own.mean] for own in of]).T
    axis.errorbar(x, means, np.where(np.isfinite(ends), ends, 0), **{"marker": ".", "capsize": 2, **style})


def draw_losses(axis: Axes, results: Results, by: str, label: Callable[[Any], str] = str) -> None:
    """Validation loss of the best epoch against the learning rate, a line for each value of `by`; rates at which each
    seed diverged leave a gap, marked at the bottom of the axis. Lines that leave it at the top go on beyond 100 times
    the lowest loss: a trial that nearly diverged has so large a loss that all minima would look alike."""
    for value, trials in results.by(by):
        rates, losses = seed_table(trials, RATE, "val_loss")
        line = draw_seeds(axis, rates, losses, marker=".", label=label(value))
        lost = rates[np.isnan(losses).all(axis=1)]
        axis.plot(lost, np.full(len(lost), 0.02), "x", color=line.get_color(), transform=axis.get_xaxis_transform())
    axis.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="validation loss (nats; x: diverged)")
    lowest = min((trial.score("val_loss") for trial in results.completed()), default=0)
    if lowest > 0:
        axis.set_ylim(0.7 * lowest, min(axis.get_ylim()[1], 100 * lowest))


def best(trials: list[FinishedTrial], metric: str) -> FinishedTrial | None:
    """Of those that have a score; None if none has, as where all diverged."""
    scored = [trial for trial in trials if not np.isnan(trial.score(metric))]
    pick = min if metric.endswith("loss") else max
    return pick(scored, key=lambda trial: trial.score(metric), default=None)


def best_of_each(results: Results, key: str, metric: str) -> dict[Any, FinishedTrial | None]:
    """The best trial for each value of `key`."""
    return {value: best(trials, metric) for value, trials in results.by(key)}
