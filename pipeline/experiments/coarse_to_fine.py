"""Coarse to fine: short trials everywhere, then longer ones around the best of them, against random search."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from pipeline.errors import InputError
from pipeline.experiments.drawing import Drawing, drawing, name_axes, panels
from pipeline.experiments.table import draw_searches, paired_verdict
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
    canvas, (left, middle, right) = panels("AB;AC")
    ends, totals = [], []
    for side, (name, color) in enumerate((("coarse to fine", COLORS["fine"]), ("random search", COLORS["random"]))):
        searches = [pair[side] for pair in pairs.values()]
        n_trials = min(map(len, searches))  # a total that the seeds do not share evenly leaves some one ahead
        if not n_trials:
            raise InputError(f"no {name} with every {SEED}: it needs trials of stage {CONTROL} and of others.")
        losses = np.array([lowest(search[:n_trials], worst) for search in searches])
        spent = np.cumsum([epochs[trial.stage] for trial in searches[0][:n_trials]])
        draw_searches(middle, spent, losses, color, f"{name}: {n_trials} trials")
        ends.append(losses[:, -1])
        totals.append(int(spent[-1]))
    ours, random = ends
    typical = list(pairs)[int(np.argsort(ours - random)[len(ours) // 2])]
    _places(left, pairs[typical], results)
    left.set_title(f"seed {typical}, the median repetition", fontsize=10)
    middle.set(xlabel="epochs trained", ylabel="lowest loss so far (nats)", yscale="log")
    medians = np.concatenate([line.get_ydata() for line in middle.lines])
    middle.set_ylim(0.5 * min(medians), 1.5 * max(medians))  # the first trials of some repetitions diverge far above
    both = [0.9 * np.min(ends), 1.1 * np.max(ends)]
    right.plot(both, both, color="0.6", linestyle=":", label="as good as each other")
    right.plot(random, ours, linestyle="", marker="o", color="0.2", label=f"{len(pairs)} repetitions")
    right.set(xscale="log", yscale="log", xlim=both, ylim=both, aspect="equal")
    right.set(xlabel="lowest loss of random search (nats)", ylabel="of coarse to fine (nats)")
    return drawing(
        canvas,
        f"Lowest validation loss in {' and '.join(map(str, dict.fromkeys(totals)))} epochs, median: coarse to fine "
        f"{np.median(ours):.4f}, random search {np.median(random):.4f}. "
        f"Coarse to fine is {paired_verdict(ours, random)}.",
    )


def _places(axis: Axes, pair: tuple[list[FinishedTrial], list[FinishedTrial]], results: Results) -> None:
    """Where the trials of one repetition are, by stage, and the region of each finer stage."""
    ranges = results.intervals(2)
    x, y = ranges
    x_place, y_place = (dist.scale.figure_axis.place for dist in ranges.values())
    sweep, region = results.config.sweep, results.space
    stages = [(name, [t for t in pair[0] if t.stage == name]) for name in sweep.stages if name != CONTROL]
    for name, trials in [(CONTROL, pair[1]), *stages]:
        xs, ys = [x_place(t.params[x]) for t in trials], [y_place(t.params[y]) for t in trials]
        axis.scatter(xs, ys, s=28, color=COLORS.get(name), label=f"{name}, {len(trials)} trials", zorder=3)
    for _, trials in stages[:-1]:
        ranked = sorted((t for t in trials if np.isfinite(t.score("val_loss"))), key=lambda t: t.score("val_loss"))
        region = refine(region, [t.params for t in ranked], results.space, sweep.keep or 0, sweep.margin or 0)
        (left, right), (low, high) = (
            (place(dist.low), place(dist.high))
            for place, dist in ((x_place, region[x]), (y_place, region[y]))
            if isinstance(dist, Interval)
        )
        box = Rectangle((left, low), right - left, high - low, fill=False, color="0.3", label="the finer region")
        axis.add_patch(box)
    name_axes(axis, ranges)
    axis.margins(y=0.05)


def lowest(trials: Sequence[FinishedTrial], worst: float) -> np.ndarray:
    """The lowest validation loss up to each trial [n]; one that diverged counts as `worst`."""
    return np.minimum.accumulate(np.nan_to_num([trial.score("val_loss") for trial in trials], nan=worst))
