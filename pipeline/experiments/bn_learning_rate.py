"""Whether batch norm widens the range of learning rates that train well (Ioffe & Szegedy 2015, section 4.2.1)."""

import numpy as np

from pipeline.experiments.batch_norm import LABELS, NEAR, PLACEMENT, WITHOUT
from pipeline.experiments.drawing import RATE, Drawing, drawing, judged, panels
from pipeline.study.finished import Results


def figure(results: Results) -> Drawing:
    """Validation accuracy against the learning rate, a line a placement; the figure is the decades of good rates."""
    results.needs(PLACEMENT, [WITHOUT])
    canvas, (axis,) = panels("A")
    best = np.nanmax([trial.score("val_accuracy") for trial in results.trials])
    axis.axhline(best - NEAR, color="0.6", linestyle=":", label=f"good: within {NEAR} of the best, {best:.3f}")
    widths = {}
    for placement, trials in results.by(PLACEMENT):
        ordered = sorted(trials, key=lambda trial: trial.params[RATE])
        rates = np.array([trial.params[RATE] for trial in ordered])
        # One that diverged has learned nothing that could be used.
        scores = np.nan_to_num([trial.score("val_accuracy") for trial in ordered], nan=0.0)
        widths[placement] = good_decades(rates, scores, best - NEAR)
        axis.plot(rates, scores, marker=".", label=f"{LABELS[placement]}: {widths[placement]:.1f} decades")
    axis.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy (0: diverged)", ylim=(-0.02, 1.02))
    steps = np.diff(np.log10(np.unique([trial.params[RATE] for trial in results.trials])))
    step = float(steps.max(initial=0))  # no width is known more finely
    gain = min(width - widths[WITHOUT] for placement, width in widths.items() if placement != WITHOUT)
    return drawing(
        canvas,
        f"Learning rates within {NEAR} of the best validation accuracy span {widths[WITHOUT]:.1f} decades without "
        f"batch norm. " + judged(f"It adds {gain:.2f} decades; the rates are {step:.2f} apart", gain > step),
    )


def good_decades(rates: np.ndarray, scores: np.ndarray, least: float) -> float:
    """The width, in decades, of the learning rates [n], ascending, whose scores [n] reach `least`: each stands for
    half of the way to its neighbours."""
    edges = np.log10(rates)
    middle = (edges[1:] + edges[:-1]) / 2
    lows, highs = np.r_[edges[0], middle], np.r_[middle, edges[-1]]
    return float((highs - lows)[scores >= least].sum())
