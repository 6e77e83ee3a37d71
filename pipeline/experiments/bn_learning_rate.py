"""Whether batch norm widens the range of learning rates that train well (Ioffe & Szegedy 2015, section 4.2.1)."""

import numpy as np

from pipeline.experiments.batch_norm import LABELS, NEAR, PLACEMENT, WITHOUT
from pipeline.experiments.drawing import RATE, Drawing, draw_seeds, drawing, panels, seed_table
from pipeline.experiments.evidence import effects, estimate, finding, verdict
from pipeline.study.finished import Results


def figure(results: Results) -> Drawing:
    """Validation accuracy against the learning rate, a line a placement: the median of the seeds, shaded from the
    lowest to the highest; the figure is the decades of good rates."""
    results.needs(PLACEMENT, [WITHOUT])
    canvas, (axis,) = panels("A")
    widths = finding(effects(results, _widths), results)
    for placement, trials in results.by(PLACEMENT):
        rates, scores = seed_table(trials, RATE, "val_accuracy")
        decades = estimate(of_seed[placement] for of_seed in widths.values())
        label = f"{LABELS[placement]}: {decades.mean:.1f} decades"
        draw_seeds(axis, rates, np.nan_to_num(scores), marker=".", label=label)
    axis.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy (0: diverged)", ylim=(-0.02, 1.02))
    without = estimate(of_seed[WITHOUT] for of_seed in widths.values())
    return drawing(
        canvas,
        f"Learning rates within {NEAR} of the best validation accuracy span {without.text('{:.1f}')} decades without "
        f"batch norm. " + verdict("It adds {} decades", effects(results, _gain), results),
    )


def _gain(results: Results) -> float:
    """How many decades batch norm adds, where it stands worst."""
    widths = _widths(results)
    return min(width - widths[WITHOUT] for placement, width in widths.items() if placement != WITHOUT)


def _widths(results: Results) -> dict[str, float]:
    """The decades of good rates of each placement, of one seed."""
    best = np.nanmax([trial.score("val_accuracy") for trial in results.trials])
    widths = {}
    for placement, trials in results.by(PLACEMENT):
        rates, scores = seed_table(trials, RATE, "val_accuracy")
        # One that diverged has learned nothing that could be used.
        widths[placement] = good_decades(rates, np.nan_to_num(scores[:, 0]), best - NEAR)
    return widths


def good_decades(rates: np.ndarray, scores: np.ndarray, least: float) -> float:
    """The width, in decades, of the learning rates [n], ascending, whose scores [n] reach `least`: each stands for
    half of the way to its neighbours."""
    edges = np.log10(rates)
    middle = (edges[1:] + edges[:-1]) / 2
    lows, highs = np.r_[edges[0], middle], np.r_[middle, edges[-1]]
    return float((highs - lows)[scores >= least].sum())
