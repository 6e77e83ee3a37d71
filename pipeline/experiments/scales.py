"""On which scale a hyperparameter is drawn: where the draws fall, and what a search finds."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.drawing import Drawing, axis_name, drawing, panels
from pipeline.experiments.evidence import SHARE, estimate, finding, verdict
from pipeline.experiments.table import Table, draw_searches, share_lower
from pipeline.search.scales import LINEAR
from pipeline.search.space import Interval
from pipeline.study.finished import Results

REPETITIONS, TRIALS = 1000, 25  # of the searches of each seed
COLORS = ("#ee6677", "#4477aa")  # of the linear scale and of the range's own


def figure(results: Results) -> Drawing:
    """Left: the share of draws in each decade, on a linear scale and on the range's own. Right: the lowest validation
    loss found by a random search against its number of trials, median and 80 % of 1,000 searches a seed. Raises
    InputError unless one range was searched, on another scale than the linear one."""
    ((key, dist),) = results.intervals(1).items()
    if dist.scale == LINEAR:
        raise InputError(f"{key}={dist} must have a scale to compare with the linear one, as in tag(log, {dist}).")
    rng = np.random.default_rng(0)
    tables = {seed: Table(trials) for seed, trials in results.by_seed().items()}
    canvas, (left, right) = panels()
    sentences, tenth = [], []
    for i, (drawn, color) in enumerate(zip((replace(dist, scale=LINEAR), dist), COLORS, strict=True)):
        scale = drawn.scale.name
        shares, labels = by_decade(drawn, dist)
        left.bar(np.arange(len(shares)) + 0.4 * i, shares, 0.4, label=f"{scale} scale", color=color)
        best = {}
        for seed, table in tables.items():
            values = [{key: drawn.at(u)} for u in rng.random(REPETITIONS * TRIALS)]
            trials = table.nearest(table.coordinates(values))
            losses = table.losses[trials, -1].reshape(REPETITIONS, TRIALS)
            best[seed] = np.minimum.accumulate(losses, axis=1)
        draw_searches(right, np.arange(1, TRIALS + 1), np.concatenate(list(best.values())), color, f"{scale} scale")
        sentences.append(f"{shares[-1]:.0%} on the {scale} scale")
        tenth.append({seed: of_seed[:, 9] for seed, of_seed in best.items()})
    left.set(xticks=np.arange(len(shares)) + 0.2, xlabel=axis_name(key), ylabel="share of draws")
    left.set_xticklabels([label.replace(" to ", "\nto ") for label in labels], fontsize=8)
    right.set(xlabel="trials of a random search", ylabel="lowest validation loss found (nats)", yscale="log")
    linear, own = tenth
    medians = " and ".join(
        f"{estimate(np.median(b) for b in finding(of_seeds, results).values()).mean:.4f}" for of_seeds in tenth
    )
    shares_better = {seed: share_lower(own[seed][:, None], linear[seed]) for seed in tables}
    return drawing(
        canvas,
        f"Draws from {labels[-1]}, exactly: {', '.join(sentences)}. Lowest loss of 10 trials, median: {medians}. "
        + verdict("The latter is better in {} of pairs", shares_better, results, "{:.0%}", bounds=SHARE),
    )


def by_decade(drawn: Interval, dist: Interval) -> tuple[np.ndarray, list[str]]:
    """The share of draws of `drawn` in each decade of the scale of `dist`, and what the decades are called."""
    scale = dist.scale
    low, high = scale.coordinate(dist.low), scale.coordinate(dist.high)
    edges = np.unique(np.r_[low, np.arange(np.ceil(low - 1e-9), high), high].round(9))
    ends = [min(max(scale.value(edge), dist.low), dist.high) for edge in edges]
    places = np.array([drawn.coordinate(end) for end in ends])
    return np.diff(places) / (places[-1] - places[0]), [f"{a:.4g} to {b:.4g}" for a, b in pairwise(ends)]
