"""A score against a searched number, a line for each value of something else: the picture of most experiments."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.experiments.wording import axis_name
from pipeline.study.finished import FinishedTrial, Results


def draw(axis: Axes, results: Results, x: str, by: str, metric: str, label: Callable[[Any], str] = str) -> None:
    """`metric` of the best epoch against the parameter `x` on a logarithmic axis; trials that diverged leave a gap,
    marked at the bottom of the axis."""
    for value, trials in results.by(by):
        ordered = sorted(trials, key=lambda trial: trial.params[x])
        xs = np.array([trial.params[x] for trial in ordered])
        scores = np.array([trial.score(metric) for trial in ordered])
        (line,) = axis.plot(xs, scores, marker=".", label=label(value))
        lost = np.isnan(scores)
        axis.plot(
            xs[lost],
            np.full(lost.sum(), 0.02),
            linestyle="",
            marker="x",
            color=line.get_color(),
            transform=axis.get_xaxis_transform(),
        )
    axis.set(xscale="log", xlabel=axis_name(x))
    axis.grid(alpha=0.3)


def best(trials: list[FinishedTrial], metric: str) -> FinishedTrial | None:
    """Of those that have a score; None if none has, as where all diverged."""
    scored = [trial for trial in trials if not np.isnan(trial.score(metric))]
    pick = min if metric.endswith("loss") else max
    return pick(scored, key=lambda trial: trial.score(metric), default=None)
