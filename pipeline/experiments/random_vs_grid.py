"""Random search tries as many values of what matters as it has trials, a grid of 25 only 5 (Bergstra & Bengio 2012)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments import surfaces
from pipeline.experiments.drawing import Drawing, draw_estimates, drawing, panels
from pipeline.experiments.evidence import SHARE, estimate, lower_by, most, split, verdict, whole
from pipeline.experiments.table import share_lower
from pipeline.search.samplers.sampler import Point, Sampler, Search
from pipeline.study.finished import FinishedTrial, Results

GRID, RANDOM = "grid", "random"


def layout(sides: Sequence[int]) -> list[tuple[int, str]]:
    """What each trial of a seed belongs to, in their order: the number of hyperparameters searched and the search.

    sides: how many values the grid of two hyperparameters has of each, that of three, and so on.
    """
    return [(n, kind) for n, side in enumerate(sides, start=2) for _ in range(side**n) for kind in (GRID, RANDOM)]


class GridBesideRandom(Sampler):
    """Of the first two hyperparameters of `rest`, the first three, and so on: a grid, and as many random points.

    A grid has equal steps on the scales and is put down anywhere, so that it is not to blame for where its ends are.
    rest: the values of the hyperparameters that are not searched yet.
    """

    staged = False

    def __init__(self, search: Search, *, sides: Sequence[int], rest: Mapping[str, Any]) -> None:
        super().__init__(search)
        if set(rest) != set(search.spaces[0]) or len(rest) <= len(sides):
            raise InputError(
                f"sweep.sampler.rest has {', '.join(rest)}. It must have a value of each searched key, "
                f"{', '.join(search.spaces[0])}, and sweep.sampler.sides fewer numbers than keys."
            )
        self._sides, self._rest = sides, rest
        self._points = self._all()

    def total(self) -> int:
        """Raises InputError if there are more than the sweep's n_trials."""
        return whole(len(layout(self._sides)) * len(self.search.spaces), self.search, "sides")

    def ask(self, n: int) -> list[Point]:
        return list(itertools.islice(self._points, n))

    def _all(self) -> Iterator[Point]:
        for points in zip(*(self._of_arm(arm) for arm in range(len(self.search.spaces))), strict=True):
            yield from points

    def _of_arm(self, arm: int) -> Iterator[Point]:
        space, rng = self.search.spaces[arm], np.random.default_rng(self.search.seeds[arm])
        at_rest = {key: space[key].coordinate(value) for key, value in self._rest.items()}
        for n, side in enumerate(self._sides, start=2):
            for pair in zip(grid_places(side, rng.random(n)), rng.random((side**n, n)), strict=True):
                for places in pair:
                    searched = {key: space[key].place(u) for key, u in zip(self._rest, places.tolist())}
                    yield Point(arm, at_rest | searched)


def grid_places(side: int, shift: np.ndarray) -> np.ndarray:
    """The points [side ** n, n] of a grid in the unit box, in steps of 1 / side, its corner at `shift` [n]."""
    ticks = [(np.arange(side) + start) / side for start in shift]
    return np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, len(shift))


def figure(results: Results) -> Drawing:
    """Left: of made-up losses, in which share of pairs random search is better than a grid, against the number of
    hyperparameters searched, a line for each number that matters. Right: of the trained trials, by which share the
    lowest loss of random search is lower; mean and 95 % interval of the seeds that find and of those that confirm.
    Raises InputError for a seed whose trials are not all those of a grid and its random search."""
    sides = results.config.sweep.sampler.arguments["sides"]
    canvas, (left, right) = panels()
    shares = made_up_shares(sides)
    numbers = list(range(2, 2 + len(sides)))
    for matter in range(1, numbers[-1] + 1):
        searched = [n for n in numbers if n >= matter]
        draw_estimates(left, searched, [estimate(shares[n, matter]) for n in searched], label=f"{matter} matter")
    left.axhline(0.5, color="0.6", linestyle=":")
    left.set(xlabel="hyperparameters searched", ylabel="share of pairs in which random is better", xticks=numbers)
    left.set_title("made-up losses", size=10)
    gains: dict[int, dict[int, float]] = {n: {} for n in numbers}
    for seed, of_seed in results.by_seed().items():
        lowest = _lowest(of_seed.trials, layout(sides))
        for n in numbers:
            gains[n][seed] = lower_by(lowest[n, RANDOM], lowest[n, GRID])
    for what, color, confirm in (("first seeds", "0.2", False), ("other seeds", "0.6", True)):
        of_seeds = [list(split(gains[n], results)[confirm].values()) for n in numbers]
        if any(of_seeds):
            x = [n + 0.1 * confirm for n in numbers]
            draw_estimates(
                right, x, [estimate(own) for own in of_seeds], label=what, color=color, marker="o", linestyle=""
            )
    right.axhline(0, color="0.6", linestyle=":")
    right.set_title("trained trials", size=10)
    right.set(xlabel="hyperparameters searched", ylabel="lowest loss is lower by", xticks=numbers)
    n, effect = most(gains, results)
    last = numbers[-1]
    among = " with any number"
    return drawing(
        canvas,
        f"Made up, random search beats a grid in {_all(shares[2, 1])} of pairs with 1 of 2 that matters, "
        f"{_all(shares[last, 1])} with 1 of {last}, {_all(shares[last, last])} with all {last}. "
        + verdict(f"Trained, most with {n} searched: loss lower by {{}}", effect, results, "{:.0%}", among=among),
    )


def _all(shares: Sequence[float]) -> str:
    return estimate(shares, SHARE).text("{:.0%}")


def made_up_shares(sides: Sequence[int]) -> dict[tuple[int, int], list[float]]:
    """(number searched, number that matters) -> in which share of pairs random search is better than the grid, of each
    seed."""
    shares: dict[tuple[int, int], list[float]] = {}
    for n, side in enumerate(sides, start=2):
        for matter in range(1, n + 1):
            of_seeds = shares[n, matter] = []
            for seed in surfaces.SEEDS:
                rng = np.random.default_rng([seed, n, matter])
                pairs = []
                for _ in range(surfaces.SEARCHES):
                    best = rng.random(matter)
                    searches = grid_places(side, rng.random(n)), rng.random((side**n, n))
                    pairs.append([surfaces.bowl(places, best).min() for places in searches])
                grid, drawn = np.array(pairs).T
                of_seeds.append(share_lower(drawn, grid))
    return shares


def _lowest(trials: Sequence[FinishedTrial], places: Sequence[tuple[int, str]]) -> dict[tuple[int, str], float]:
    """The lowest validation loss of each search of a seed; NaN where none of its trials has one."""
    if len(trials) != len(places):
        raise InputError(f"{len(trials)} trials of a seed: a grid and random search of each number take {len(places)}.")
    lowest: dict[tuple[int, str], float] = {}
    for place, trial in zip(places, sorted(trials, key=lambda trial: trial.number), strict=True):
        lowest[place] = float(np.fmin(lowest.get(place, np.nan), trial.score("val_loss")))
    return lowest
