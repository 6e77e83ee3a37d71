"""Learning-rate decay: a large rate at first, a small one at the end."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.experiments import lines
from pipeline.experiments.results import Drawing, Results

RATE, SCHEDULE = "optimizer.learning_rate", "schedule"


def figure(results: Results) -> Drawing:
    """Left: the learning rate by epoch, as a share of the first. Right: the best validation loss against the first
    learning rate, a line a schedule."""
    canvas = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = canvas.subplots(1, 2)
    winners = {}
    for schedule, trials in results.by(SCHEDULE):
        one = next(trial for trial in trials if len(trial.epochs) > 1)
        rates = np.array([epoch["learning_rate"] for epoch in one.epochs])
        left.plot(range(1, len(rates) + 1), rates / one.params[RATE], marker=".", label=schedule)
        winners[schedule] = lines.best(trials, "val_loss")
    left.set(xlabel="epoch", ylabel="learning rate / first one")
    lines.draw(right, results, RATE, SCHEDULE, "val_loss")
    right.set(ylabel="validation loss (nats; x: diverged)", yscale="log")
    left.grid(alpha=0.3)
    for axis in (left, right):
        axis.legend()
    told = ", ".join(f"{name} {t.score('val_loss'):.4f} at {t.params[RATE]:.2g}" for name, t in winners.items())
    return canvas, f"Lowest validation loss, and the first learning rate that reached it: {told}."
