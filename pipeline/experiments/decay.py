"""Whether learning-rate decay, a large rate at first and a small one at the end, finds a lower loss."""

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.drawing import NOT_SHOWN, RATE, Drawing, best_of_each, draw_losses, drawing, judged, panels
from pipeline.study.finished import Results
from pipeline.tracking.curves import by_epoch

SCHEDULE, CONTROL = "schedule", "constant"


def figure(results: Results) -> Drawing:
    """Left: the learning rate by epoch, as a share of the first. Right: the best validation loss against the first
    learning rate, a line a schedule. Raises InputError for a single epoch, in which no rate is lowered."""
    results.needs(SCHEDULE, [CONTROL])
    if max(len(trial.epochs) for trial in results.trials) < 2:
        raise InputError("train.epochs=1 must be at least 2: a schedule shows from the second epoch on.")
    canvas, (left, right) = panels()
    winners = best_of_each(results, SCHEDULE, "val_loss")
    for schedule, trials in results.by(SCHEDULE):
        if winners[schedule]:
            longest = max(trials, key=lambda trial: len(trial.epochs))
            rates = np.array([epoch.learning_rate for epoch in longest.epochs])
            left.plot(range(1, len(rates) + 1), rates / longest.params[RATE], marker=".", label=schedule)
    by_epoch(left)
    left.set(xlabel="epoch", ylabel="learning rate / first one")
    draw_losses(right, results, SCHEDULE)
    losses = {schedule: trial.score("val_loss") for schedule, trial in winners.items() if trial}
    lowest = ", ".join(f"{s} {t.score('val_loss'):.4f}" for s, t in winners.items() if t)
    lost = [schedule for schedule, trial in winners.items() if not trial]
    return drawing(
        canvas,
        f"Lowest validation loss: {lowest}. "
        + (f"Every rate diverged with {', '.join(lost)}. " if lost else "")
        + _verdict(losses),
    )


def _verdict(losses: dict[str, float]) -> str:
    """Of one split and one set of initial weights, on which some schedule is ahead by chance: the claim needs all."""
    if CONTROL not in losses:
        return f"Nothing to compare with{NOT_SHOWN}."
    lowered = [loss for schedule, loss in losses.items() if schedule != CONTROL]
    lower = sum(loss < losses[CONTROL] for loss in lowered)
    return judged(f"{lower} of {len(lowered)} ways to lower it end below a constant rate", lower == len(lowered) > 0)
