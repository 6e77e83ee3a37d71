"""Mini-batches: small ones take more time an epoch and make the loss noisy, large ones take fewer steps."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.errors import InputError
from pipeline.experiments import lines
from pipeline.experiments.wording import Drawing
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
    canvas = Figure(figsize=(14, 4.5), layout="constrained")
    by_epoch, by_time, costs = canvas.subplots(1, 3)
    sizes, seconds, noises, lost = [], [], [], []
    for size, trials in results.by(SIZE):
        trial = lines.best(trials, "loss")
        if trial is None:
            lost.append(str(size))
            continue
        if len(trial.epochs) < LEAST_EPOCHS:
            raise InputError(
                f"train.epochs={len(trial.epochs)} must be at least {LEAST_EPOCHS} to tell noise from trend."
            )
        losses = [epoch.value("loss") for epoch in trial.epochs]
        each = float(np.median([epoch.seconds for epoch in trial.epochs]))  # not their sum: the first one compiles
        by_epoch.plot(range(1, len(losses) + 1), losses, label=f"{size}")
        by_time.plot(each * np.arange(1, len(losses) + 1), losses, label=f"{size}")
        sizes.append(size)
        seconds.append(each)
        noises.append(noise(trial))
    by_epoch.set(xlabel="epoch", ylabel="training loss (nats)", yscale="log")
    by_time.set(xlabel="seconds of training", ylabel="training loss (nats)", xscale="log", yscale="log")
    costs.plot(sizes, seconds, marker="o", color="#4477aa", label="seconds of an epoch")
    costs.set(xscale="log", yscale="log", xlabel="batch size (examples)", ylabel="seconds of an epoch")
    noisy = costs.twinx()
    noisy.plot(sizes, noises, marker="s", color="#ee6677", label="noise of the loss")
    noisy.set(yscale="log", ylabel="noise: median jump of log loss")
    costs.legend(handles=[*costs.lines, *noisy.lines], loc="lower left")
    for axis in (by_epoch, by_time, costs):
        axis.grid(alpha=0.3)
    for axis in (by_epoch, by_time):
        axis.legend(title="batch size")
    small, large = int(np.argmin(sizes)), int(np.argmax(sizes))
    return canvas, (
        f"An epoch takes {1000 * seconds[small]:.1f} ms with batches of {sizes[small]}, "
        f"{1000 * seconds[large]:.1f} ms with {sizes[large]}; the loss jumps by {noises[small]:.1%} and "
        f"{noises[large]:.1%} from epoch to epoch."
        + (f" No trial completed with batches of {', '.join(lost)}." if lost else "")
    )
