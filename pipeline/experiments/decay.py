"""Whether learning-rate decay, a large rate at first and a small one at the end, finds a lower loss."""

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.drawing import RATE, Drawing, best_of_each, draw_losses, drawing, panels
from pipeline.experiments.evidence import effects, estimate, finding, verdict
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
    for schedule, trials in results.by(SCHEDULE):
        if any(trial.status == "completed" for trial in trials):
            longest = max(trials, key=lambda trial: len(trial.epochs))
            rates = np.array([epoch.learning_rate for epoch in longest.epochs])
            left.plot(range(1, len(rates) + 1), rates / longest.params[RATE], marker=".", label=schedule)
    by_epoch(left)
    left.set(xlabel="epoch", ylabel="learning rate / first one")
    draw_losses(right, results, SCHEDULE)
    of_seeds = list(finding(effects(results, _lowest), results).values())
    means = {schedule: estimate(losses[schedule] for losses in of_seeds) for schedule in of_seeds[0]}
    lost = [schedule for schedule, loss in means.items() if not loss.n]
    return drawing(
        canvas,
        f"Lowest validation loss: {', '.join(f'{s} {loss.mean:.4f}' for s, loss in means.items() if loss.n)}. "
        + (f"Every rate diverged with {', '.join(lost)}. " if lost else "")
        + verdict("Lowering it takes {} off a constant rate's", effects(results, _gain), results, "{:.1%}"),
    )


def _lowest(results: Results) -> dict[str, float]:
    """The lowest validation loss of each schedule, of one seed; NaN where every rate diverged."""
    winners = best_of_each(results, SCHEDULE, "val_loss")
    return {schedule: trial.score("val_loss") if trial else np.nan for schedule, trial in winners.items()}


def _gain(results: Results) -> float:
    """By which share the loss of schedules that lower the rate is lower than that of a constant one, the mean of them:
    the best of four would be ahead by chance."""
    losses = _lowest(results)
    shares = [1 - loss / losses[CONTROL] for schedule, loss in losses.items() if schedule != CONTROL]
    return float(np.mean(shares)) if shares else np.nan
