"""Whether learning-rate decay, a large rate at first and a small one at the end, finds a lower loss."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.errors import InputError
from pipeline.experiments import lines
from pipeline.experiments.wording import NOT_SHOWN, RATE, Drawing, judged
from pipeline.study.finished import Results

SCHEDULE, CONTROL = "schedule", "constant"


def figure(results: Results) -> Drawing:
    """Left: the learning rate by epoch, as a share of the first. Right: the best validation loss against the first
    learning rate, a line a schedule. Raises InputError for a single epoch, in which no rate is lowered."""
    results.needs(SCHEDULE, [CONTROL])
    if max(len(trial.epochs) for trial in results.trials) < 2:
        raise InputError("train.epochs=1 must be at least 2: a schedule shows from the second epoch on.")
    canvas = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = canvas.subplots(1, 2)
    winners, lost = {}, []
    for schedule, trials in results.by(SCHEDULE):
        winner = lines.best(trials, "val_loss")
        if winner is None:
            lost.append(schedule)
            continue
        winners[schedule], one = winner, max(trials, key=lambda trial: len(trial.epochs))
        rates = np.array([epoch.learning_rate for epoch in one.epochs])
        left.plot(range(1, len(rates) + 1), rates / one.params[RATE], marker=".", label=schedule)
    left.set(xlabel="epoch", ylabel="learning rate / first one")
    lines.draw(right, results, RATE, SCHEDULE, "val_loss")
    right.set(ylabel="validation loss (nats; x: diverged)", yscale="log")
    left.grid(alpha=0.3)
    for axis in (left, right):
        axis.legend()
    told = ", ".join(f"{name} {t.score('val_loss'):.4f} at {t.params[RATE]:.2g}" for name, t in winners.items())
    return canvas, (
        f"Lowest validation loss, and the first learning rate that reached it: {told}. "
        + (f"Every rate diverged with {', '.join(lost)}. " if lost else "")
        + _verdict({name: trial.score("val_loss") for name, trial in winners.items()})
    )


def _verdict(losses: dict[str, float]) -> str:
    """Of one split and one set of initial weights, on which some schedule is ahead by chance: the claim needs all."""
    if CONTROL not in losses:
        return f"Nothing to compare with{NOT_SHOWN}."
    others = [loss for name, loss in losses.items() if name != CONTROL]
    lower = sum(loss < losses[CONTROL] for loss in others)
    return judged(f"{lower} of {len(others)} ways to lower it end below a constant rate", lower == len(others) > 0)
