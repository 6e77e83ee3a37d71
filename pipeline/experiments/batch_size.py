"""Mini-batches: small ones take more time an epoch and make the loss noisy, large ones take fewer steps."""

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.drawing import Drawing, best_of_each, panels
from pipeline.study.finished import FinishedTrial, Results

SIZE = "train.batch_size"
LEAST_EPOCHS = 5  # whose later half has a second difference


def noise(trial: FinishedTrial) -> float:
    """How far the training loss jumps from epoch to epoch beside its trend: the median of the second differences of
    its logarithm, over the later half of the epochs."""
    losses = np.log([epoch.value("loss") for epoch in trial.epochs][len(trial.epochs) // 2 :])
    return float(np.median(np.abs(np.diff(losses, 2))))


def figure(results: Results) -> Drawing:
    """Of the best trial of each size; a size whose trials all diverged is left out.

    Left: training loss by epoch. Middle: the same by seconds of training. Right: seconds of an epoch
    and noise. Raises InputError for fewer than five epochs, which have no trend to jump from.
    """
    canvas, (by_epoch, by_time, costs) = panels(14, 4.5, 3)
    winners = best_of_each(results, SIZE, "loss")
    completed = {size: trial for size, trial in winners.items() if trial}
    lost = [str(size) for size, trial in winners.items() if not trial]
    seconds = {}  # of an epoch: the median, for the first one compiles
    for size, trial in completed.items():
        n_epochs = len(trial.epochs)
        if n_epochs < LEAST_EPOCHS:
            raise InputError(f"train.epochs={n_epochs} must be at least {LEAST_EPOCHS} to tell noise from trend.")
        losses, epochs = [epoch.value("loss") for epoch in trial.epochs], np.arange(1, n_epochs + 1)
        seconds[size] = float(np.median([epoch.seconds for epoch in trial.epochs]))
        by_epoch.plot(epochs, losses, label=f"{size}")
        by_time.plot(seconds[size] * epochs, losses, label=f"{size}")
    by_epoch.set(xlabel="epoch")
    by_time.set(xlabel="seconds of training", xscale="log")
    for axis in (by_epoch, by_time):
        axis.set(ylabel="training loss (nats)", yscale="log")
        axis.legend(title="batch size")
    noises = {size: noise(trial) for size, trial in completed.items()}
    costs.plot(list(seconds), list(seconds.values()), marker="o", color="#4477aa", label="seconds of an epoch")
    costs.set(xscale="log", yscale="log", xlabel="batch size (examples)", ylabel="seconds of an epoch")
    right = costs.twinx()
    right.plot(list(noises), list(noises.values()), marker="s", color="#ee6677", label="noise of the loss")
    right.set(yscale="log", ylabel="noise: median jump of log loss")
    costs.legend(handles=[*costs.lines, *right.lines], loc="lower left")
    small, large = min(completed), max(completed)
    return canvas, (
        f"An epoch takes {1000 * seconds[small]:.1f} ms with batches of {small}, "
        f"{1000 * seconds[large]:.1f} ms with {large}; the loss jumps by {noises[small]:.1%} and "
        f"{noises[large]:.1%} from epoch to epoch."
        + (f" No trial completed with batches of {', '.join(lost)}." if lost else "")
    )
