"""Coarse to fine: short trials everywhere, then longer ones around the best of them, against random search."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from pipeline.errors import InputError
from pipeline.experiments.table import band, paired_verdict, told
from pipeline.experiments.wording import Drawing, axis_name
from pipeline.search.refine import refine
from pipeline.search.space import Interval
from pipeline.study.finished import SEED, FinishedTrial, Results

CONTROL = "random"
COLORS = {"random": "#4477aa", "coarse": "#ccbb44", "fine": "#ee6677"}


def figure(results: Results) -> Drawing:
    """Repetitions of both searches, one pair a value of `seed`; all stages but `random` make up coarse to fine.

    Left: the trials of the repetition with the median result. Middle: the lowest validation loss so far by epochs
    trained, median and 80 % of the repetitions. Right: what both found, a point a repetition.
    """
    stages = results.config.sweep.stages
    epochs = {name: stage.epochs or results.config.train.epochs for name, stage in stages.items()}
    pairs = {
        seed: ([t for t in trials if t.stage != CONTROL], [t for t in trials if t.stage == CONTROL])
        for seed, trials in results.by(SEED)
    }
    worst = float(np.nanmax([trial.score("val_loss") for trial in results.trials]))
    canvas = Figure(figsize=(15, 4.8), layout="constrained")
    left, middle, right = canvas.subplots(1, 3)
    ends, totals, medians = [], [], []
    for side, (name, color) in enumerate((("coarse to fine", COLORS["fine"]), ("random search", COLORS["random"]))):
        searches = [pair[side] for pair in pairs.values()]
        n_trials = min(map(len, searches))  # a total that the seeds do not share evenly leaves some one ahead
        if not n_trials:
            raise InputError(f"no {name} with every {SEED}: it needs trials of stage {CONTROL} and of others.")
        found = np.array([lowest(search[:n_trials], worst) for search in searches])
        spent = np.cumsum([epochs[trial.stage] for trial in searches[0][:n_trials]])
        median, low, high = band(found)
        middle.plot(spent, median, color=color, label=f"{name}: {n_trials} trials")
        middle.fill_between(spent, low, high, color=color, alpha=0.2)
        ends.append(found[:, -1])
        totals.append(int(spent[-1]))
        medians += list(median)
    ours, others = ends
    typical = list(pairs)[int(np.argsort(ours - others)[len(ours) // 2])]
    _places(left, pairs[typical], results)
    left.set_title(f"trials with seed {typical}, the median repetition", fontsize=10)
    middle.set(xlabel="epochs trained", ylabel="lowest validation loss so far (nats)", yscale="log")
    middle.set_ylim(0.5 * min(medians), 1.5 * max(medians))  # the first trials of some repetitions diverge far above
    both = [0.9 * min(ours.min(), others.min()), 1.1 * max(ours.max(), others.max())]
    right.plot(both, both, color="0.6", linestyle=":", label="as good as each other")
    right.plot(others, ours, linestyle="", marker="o", color="0.2", label=f"{len(pairs)} repetitions")
    right.set(xscale="log", yscale="log", xlim=both, ylim=both, aspect="equal")
    right.set(xlabel="lowest loss of random search (nats)", ylabel="lowest loss of coarse to fine (nats)")
    for direction in (right.xaxis, right.yaxis):
        direction.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        direction.set_major_formatter("{x:.2g}")
        direction.set_minor_formatter(NullFormatter())
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    left.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return canvas, (
        f"Lowest validation loss in {' and '.join(map(str, dict.fromkeys(totals)))} epochs, {len(pairs)} repetitions: "
        f"coarse to fine {told(ours)}, random search {told(others)}. Coarse to fine is {paired_verdict(ours, others)}."
    )


def _places(axis: Axes, pair: tuple[list[FinishedTrial], list[FinishedTrial]], results: Results) -> None:
    """Where the trials of one repetition are, by stage, and the region of each finer stage."""
    (x, x_axis), (y, y_axis) = ((key, dist.scale.figure_axis) for key, dist in results.intervals(2).items())
    sweep, region = results.config.sweep, results.space
    stages = [(name, [t for t in pair[0] if t.stage == name]) for name in sweep.stages if name != CONTROL]
    for name, trials in [(CONTROL, pair[1]), *stages]:
        xs, ys = ([drawn.place(t.params[key]) for t in trials] for key, drawn in ((x, x_axis), (y, y_axis)))
        axis.scatter(xs, ys, s=28, color=COLORS.get(name), label=f"{name}, {len(trials)} trials", zorder=3)
    for _, trials in stages[:-1]:
        ranked = sorted((t for t in trials if np.isfinite(t.score("val_loss"))), key=lambda t: t.score("val_loss"))
        region = refine(region, [t.params for t in ranked], results.space, sweep.keep or 0, sweep.margin or 0)
        (left, right), (low, high) = (
            (drawn.place(dist.low), drawn.place(dist.high))
            for drawn, dist in ((x_axis, region[x]), (y_axis, region[y]))
            if isinstance(dist, Interval)
        )
        box = Rectangle((left, low), right - left, high - low, fill=False, color="0.3", label="the finer region")
        axis.add_patch(box)
    axis.set(xscale=x_axis.kind, xlabel=x_axis.label.format(axis_name(x)))
    axis.set(yscale=y_axis.kind, ylabel=y_axis.label.format(axis_name(y)))
    axis.margins(y=0.05)


def lowest(trials: Sequence[FinishedTrial], worst: float) -> np.ndarray:
    """The lowest validation loss up to each trial [n]; one that diverged counts as `worst`."""
    return np.minimum.accumulate(np.nan_to_num([trial.score("val_loss") for trial in trials], nan=worst))
