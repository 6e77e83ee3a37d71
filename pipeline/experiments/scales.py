"""On which scale a hyperparameter is drawn: where the draws fall, and what a search finds."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.drawing import Drawing, axis_name, drawing, panels
from pipeline.experiments.table import Table, draw_searches, verdict
from pipeline.search.scales import LINEAR
from pipeline.search.space import Interval
from pipeline.study.finished import Results

REPETITIONS, TRIALS = 1000, 25
COLORS = ("#ee6677", "#4477aa")  # of the linear scale and of the range's own


def figure(results: Results) -> Drawing:
    """Left: the share of draws in each decade, on a linear scale and on the range's own. Right: the lowest validation
    loss found by a random search against its number of trials, median and 80 % of 1,000 searches. Raises InputError
    unless one range was searched, on another scale than the linear one."""
    ((key, dist),) = results.intervals(1).items()
    if dist.scale == LINEAR:
        raise InputError(f"{key}={dist} must have a scale to compare with the linear one, as in tag(log, {dist}).")
    table, rng = Table(results), np.random.default_rng(0)
    canvas, (left, right) = panels()
    sentences, tenth = [], []
    for i, (drawn, color) in enumerate(zip((replace(dist, scale=LINEAR), dist), COLORS, strict=True)):
        scale = drawn.scale.name
        values = np.array([drawn.at(u) for u in rng.random(REPETITIONS * TRIALS)])
        shares, labels = by_decade(values, dist)
        left.bar(np.arange(len(shares)) + 0.4 * i, shares, 0.4, label=f"{scale} scale", color=color)
        trials = table.nearest(table.coordinates([{key: value} for value in values]))
        best = np.minimum.accumulate(table.losses[trials, -1].reshape(REPETITIONS, TRIALS), axis=1)
        draw_searches(right, np.arange(1, TRIALS + 1), best, color, f"{scale} scale")
        sentences.append(f"{shares[-1]:.0%} on the {scale} scale")
        tenth.append(best[:, 9])
    left.set(xticks=np.arange(len(shares)) + 0.2, xlabel=axis_name(key), ylabel="share of draws")
    left.set_xticklabels([label.replace(" to ", "\nto ") for label in labels], fontsize=8)
    right.set(xlabel="trials of a random search", ylabel="lowest validation loss found (nats)", yscale="log")
    return drawing(
        canvas,
        f"Draws from {labels[-1]}: {', '.join(sentences)}. Lowest loss of 10 trials, median: "
        f"{np.median(tenth[0]):.4f} and {np.median(tenth[1]):.4f}; the latter is {verdict(tenth[1], tenth[0])}.",
    )


def by_decade(values: np.ndarray, dist: Interval) -> tuple[np.ndarray, list[str]]:
    """The share of values in each decade of the range's scale, and what the decades are called."""
    scale = dist.scale
    low, high = scale.coordinate(dist.low), scale.coordinate(dist.high)
    edges = np.unique(np.r_[low, np.arange(np.ceil(low - 1e-9), high), high].round(9))
    counts, _ = np.histogram([scale.coordinate(value) for value in values], edges)
    ends = [scale.value(edge) for edge in edges]
    return counts / len(values), [f"{a:.4g} to {b:.4g}" for a, b in pairwise(ends)]
