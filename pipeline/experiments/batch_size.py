"""Mini-batches: small ones take more time an epoch and make the loss noisy, large ones take fewer steps."""

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.drawing import Drawing, best, drawing, panels
from pipeline.experiments.evidence import estimate, finding, verdict
from pipeline.study.finished import SEED, FinishedTrial, Results

SIZE = "train.batch_size"
LEAST_EPOCHS = 5  # whose later half has a second difference


def noise(trial: FinishedTrial) -> float:
    """How far the training loss jumps from epoch to epoch beside its trend: the median of the second differences of
    its logarithm, over the later half of the epochs."""
    losses = np.log([epoch.value("loss") for epoch in trial.epochs][len(trial.epochs) // 2 :])
    return float(np.median(np.abs(np.diff(losses, 2))))


def quickest(trial: FinishedTrial) -> float:
    """Seconds of the quickest epoch, the one that other work on the machine has disturbed least."""
    return min(epoch.seconds for epoch in trial.epochs)


def figure(results: Results) -> Drawing:
    """Of the best trial of each size with each seed; a size is left out that has none with some seed, as where all
    diverged.

    Above: training loss by epoch and by time, of the first seed. Below: the time of an epoch, as a multiple of that
    with the largest batches and the same seed, which ran next to it, and noise; mean and range of the seeds.
    Raises InputError for fewer than five epochs, which have no trend to jump from.
    """
    canvas, (by_epoch, by_time, times, noises) = panels("AB;CD")
    seeds = dict.fromkeys(trial.params.get(SEED) for trial in results.trials)
    winners: dict[int, list[FinishedTrial]] = {}
    lost = []
    for size, trials in sorted(results.by(SIZE)):
        of_size = [best([t for t in trials if t.params.get(SEED) == seed], "loss") for seed in seeds]
        completed = [trial for trial in of_size if trial]
        if len(completed) < len(seeds):
            lost.append(str(size))
            continue
        winners[size] = completed
        trial = completed[0]
        if (n_epochs := len(trial.epochs)) < LEAST_EPOCHS:
            raise InputError(f"train.epochs={n_epochs} must be at least {LEAST_EPOCHS} to tell noise from trend.")
        losses, epochs = [epoch.value("loss") for epoch in trial.epochs], np.arange(1, n_epochs + 1)
        by_epoch.plot(epochs, losses, label=f"batches of {size}")
        by_time.plot(quickest(trial) * epochs, losses)
    if not winners:
        raise InputError(f"{SIZE}={','.join(lost)}: no size completed with every {SEED}.")
    sizes = list(winners)
    seconds = np.array([[quickest(trial) for trial in trials] for trials in winners.values()])
    multiples = seconds / seconds[-1]
    jumps = np.array([[noise(trial) for trial in trials] for trials in winners.values()])
    for axis, values in ((times, multiples), (noises, jumps)):
        axis.plot(sizes, values.mean(1), marker="o", color="0.3", label="mean; shaded: range of seeds")
        axis.fill_between(sizes, values.min(1), values.max(1), color="0.3", alpha=0.2, linewidth=0)
        axis.set(xscale="log", yscale="log", xlabel="batch size (examples)")
    times.set(ylabel=f"time of an epoch / with {sizes[-1]}")
    noises.set(ylabel="median jump of log loss")
    by_epoch.set(xlabel="epoch", ylabel="training loss (nats)", yscale="log")
    by_time.set(xlabel="seconds, each epoch as the quickest", xscale="log", yscale="log")
    ratios = np.stack([multiples[0], jumps[0] / jumps[-1]], axis=1)
    of_seeds = dict(zip((seed or 0 for seed in seeds), ratios.tolist(), strict=True))
    slower, noisier = (estimate(values).text("{:.1f}") for values in zip(*finding(of_seeds, results).values()))
    smaller = {seed: min(pair) for seed, pair in of_seeds.items()}
    text = (
        f"With batches of {sizes[0]} an epoch takes {slower} times as long as with "
        f"{sizes[-1]}, and the loss jumps {noisier} times as far from epoch to epoch. "
    )
    sentences = text + verdict("The smaller of both: {}", smaller, results, "{:.1f}")
    return drawing(canvas, sentences + (f" Left out, since trials failed: {', '.join(lost)}." if lost else ""))
