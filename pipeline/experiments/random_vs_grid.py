"""Random search tries 25 values of what matters where a 5 x 5 grid tries 5 (Bergstra & Bengio 2012)."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.drawing import NOT_SHOWN, Drawing, axis_name, drawing, name_axes, panels
from pipeline.experiments.table import Table, share_lower
from pipeline.study.finished import SEED, FinishedTrial, Results

SIDE = 5  # of the grid
REPETITIONS = 200  # of each search on each split
STYLES = {"grid": ("s", "#ee6677"), "random": ("o", "#4477aa")}  # marker and colour


def figure(results: Results) -> Drawing:
    """Searches among trials drawn at random, of each value of `seed` by itself: 25 of them are a random search, and the
    trials nearest to the points of a 5 x 5 grid with equal steps, put down anywhere, are a grid search.

    A grid's values are thereby a little spread, by about the spacing of the trials, which favours the grid: the figure
    says by how much.

    Left: the points of one search of each kind. Right: the lowest validation losses found, as multiples of the lowest
    that any trial of the seed has, since a split decides more of a loss than a search does.
    Raises InputError unless two ranges were searched, with at least 25 trials a seed.
    """
    ranges = results.intervals(2)
    rng = np.random.default_rng(0)
    tables = [Table(replace(results, trials=trials)) for trials in _by_seed(results)]
    losses: dict[str, list[float]] = defaultdict(list)
    tried: dict[str, list[int]] = defaultdict(list)  # values of the first parameter, of each search
    examples: dict[str, np.ndarray] = {}
    distances = []
    for table in tables:
        n, lowest = len(table.params), table.losses[:, -1].min()
        if n < SIDE**2:
            raise InputError(
                f"{n} trials of a {SEED}: a search takes {SIDE**2} of them. Raise sweep.n_trials, best to hundreds."
            )
        for _ in range(REPETITIONS):
            places = grid_places(rng.random(2))
            nearest = table.nearest(places)
            distances.append(np.linalg.norm(table.places[nearest] - places, axis=1).mean())
            drawn = rng.choice(n, SIDE**2, replace=False)
            for name, search, at in (("grid", nearest, places), ("random", drawn, table.places[drawn])):
                losses[name].append(table.losses[search, -1].min() / lowest)
                tried[name].append(len(np.unique(at[:, 0].round(9))))
                examples.setdefault(name, at)
    canvas, (left, right) = panels()
    left.set_title(f"grid: the nearest trials, {np.mean(distances):.1%} of a range away", fontsize=9)
    tries = []
    best = {name: np.array(multiples).reshape(len(tables), REPETITIONS) for name, multiples in losses.items()}
    for name, (marker, color) in STYLES.items():
        points = []
        for dist, at in zip(ranges.values(), examples[name].T, strict=True):
            low, high = dist.coordinate(dist.low), dist.coordinate(dist.high)
            place_of = dist.scale.figure_axis.place
            points.append([place_of(dist.scale.value(low + place * (high - low))) for place in at])
        left.scatter(*points, marker=marker, color=color, label=f"{name} search")
        ordered = np.sort(best[name].ravel())
        right.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), color=color, label=f"{name} search")
        tries.append(f"{np.mean(tried[name]):.0f}")
    name_axes(left, ranges)
    right.set(
        xscale="log",
        xlabel="lowest loss of 25 trials / of all trials",
        ylabel="share of searches at or below",
    )
    return drawing(
        canvas,
        f"{SIDE**2} trials of a grid try {tries[0]} values of the {axis_name(next(iter(ranges)))}, of random search "
        f"{tries[1]}. "
        f"Random search is {wins(best['random'], best['grid'])}.",
    )


def grid_places(shift: np.ndarray) -> np.ndarray:
    """The points of a 5 x 5 grid in the unit square, [25, 2], its corner at `shift` [2], in steps of 1/5."""
    ticks = np.arange(SIDE)
    corners = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    return np.asarray((corners + shift) / SIDE)


def wins(ours: np.ndarray, theirs: np.ndarray) -> str:
    """How often `ours` is lower than `theirs` of the same split, both [splits, searches], in words. Searches of a split
    share its trials: the claim shows only if every split has it, and 60 % of the pairs."""
    shares = np.array([share_lower(a[:, None], b) for a, b in zip(ours, theirs, strict=True)])
    shows = shares.mean() >= 0.6 and (shares > 0.5).all()
    return (
        f"better in {shares.mean():.0%} of pairs ({shares.min():.0%} to {shares.max():.0%} by split)"
        f"{'' if shows else NOT_SHOWN}"
    )


def _by_seed(results: Results) -> list[list[FinishedTrial]]:
    if not any(SEED in trial.params for trial in results.trials):
        return [results.trials]
    return [trials for _, trials in results.by(SEED)]
