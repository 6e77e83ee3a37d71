"""Coarse to fine: short trials everywhere, then longer ones around the best of them, against random search."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments import surfaces
from pipeline.experiments.drawing import Drawing, draw_estimates, drawing, panels
from pipeline.experiments.evidence import estimate, lower_by, most, split, verdict, whole
from pipeline.search.refine import refine
from pipeline.search.samplers.sampler import Outcome, Point, Sampler, Search
from pipeline.search.space import Interval, Space, params_at
from pipeline.study.finished import FinishedTrial, Results


@dataclass(frozen=True)
class Factors:
    """What is varied. A budget of n trials is n random ones, or n coarse ones of half the epochs, which are the same
    draws, and n / 2 fine ones."""

    widths: Sequence[float]  # decades of the first hyperparameter that are searched, around the middle of its range
    budgets: Sequence[int]  # even numbers of trials

    def spaces(self, space: Space) -> list[Space]:
        """The space of each width. Raises InputError where the first range is narrower than one."""
        key, dist = next(iter(space.items()))
        if not isinstance(dist, Interval):
            raise InputError(f"{key}={dist} must be a range, of which coarse to fine searches less or more.")
        low, high = dist.ends()
        if high - low < max(self.widths) - 1e-9:
            raise InputError(
                f"{key}={dist} spans {high - low:.3g} decades; sweep.sampler.widths has {max(self.widths)}."
            )
        middle = (low + high) / 2
        boxes = [(dist.value(middle - width / 2), dist.value(middle + width / 2)) for width in self.widths]
        return [{**space, key: replace(dist, low=a, high=b)} for a, b in boxes]

    def draws(self) -> int:
        """How many trials a seed has before the fine ones."""
        return len(self.widths) * max(self.budgets)

    def of_seed(self) -> int:
        return self.draws() + len(self.widths) * sum(n // 2 for n in self.budgets)

    def searches(self) -> Iterator[tuple[tuple[float, int], slice, slice]]:
        """(width, budget), and where in the trials of a seed its draws and its fine trials are."""
        fine = self.draws()
        for i, width in enumerate(self.widths):
            start = i * max(self.budgets)
            for budget in self.budgets:
                yield (width, budget), slice(start, start + budget), slice(fine, fine := fine + budget // 2)


class CoarseToFine(Sampler):
    """Random points in spaces of several widths, and then, around the best of their first 2n, another n.

    coarse_epochs: after which the first are compared, though they go on; keep, margin: as of sweep=coarse_to_fine.
    """

    staged = False

    def __init__(
        self,
        search: Search,
        *,
        widths: Sequence[float],
        budgets: Sequence[int],
        coarse_epochs: int,
        keep: float,
        margin: float,
    ) -> None:
        super().__init__(search)
        self._factors, self._coarse_epochs = Factors(widths, budgets), coarse_epochs
        self._keep, self._margin = keep, margin
        self._spaces = [self._factors.spaces(space) for space in search.spaces]
        self._rngs = [np.random.default_rng(seed) for seed in search.seeds]
        draws = [list(self._draws(arm)) for arm in range(len(search.spaces))]
        self._points = [point for points in zip(*draws, strict=True) for point in points]

    @property
    def generation(self) -> int:
        return self._factors.draws() * len(self.search.spaces)

    def total(self) -> int:
        """Raises InputError if there are more than the sweep's n_trials."""
        return whole(self._factors.of_seed() * len(self.search.spaces), self.search, "widths or budgets")

    def ask(self, n: int) -> list[Point]:
        asked, self._points = self._points[:n], self._points[n:]
        return asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        fine = []
        for arm, spaces in enumerate(self._spaces):
            own = [outcome for outcome in outcomes if outcome.arm == arm]
            points = []
            for (width, _), draws, _ in self._factors.searches():
                space = spaces[list(self._factors.widths).index(width)]
                ranked = sorted(own[draws], key=self._coarse, reverse=True)
                params = [params_at(space, outcome.coordinates) for outcome in ranked]
                region = refine(space, params, space, self._keep, self._margin)
                n = (draws.stop - draws.start) // 2
                points += [Point(arm, self._at(region, arm)) for _ in range(n)]
            fine.append(points)
        self._points = [point for points in zip(*fine, strict=True) for point in points]

    def _draws(self, arm: int) -> Iterator[Point]:
        for space in self._spaces[arm]:
            for _ in range(max(self._factors.budgets)):
                yield Point(arm, self._at(space, arm))

    def _at(self, space: Space, arm: int) -> dict[str, float]:
        places = self._rngs[arm].random(len(space)).tolist()
        return {key: dist.place(u) for (key, dist), u in zip(space.items(), places, strict=True)}

    def _coarse(self, outcome: Outcome) -> float:
        return max(outcome.curve[: self._coarse_epochs], default=-np.inf)


def figure(results: Results) -> Drawing:
    """By which share the lowest loss of coarse to fine is below that of random search with the same epochs, against the
    budget, a line for each width of the space. Left: of made-up losses. Right: of the trained trials, mean and 95 %
    interval of the seeds that find. Raises InputError for a seed that lacks trials."""
    sampler = results.config.sweep.sampler.arguments
    factors = Factors(sampler["widths"], sampler["budgets"])
    canvas, (left, right) = panels(sharey=True)
    made_up = made_up_gains(factors, sampler["keep"], sampler["margin"])
    gains: dict[tuple[float, int], dict[int, float]] = {}
    for seed, of_seed in results.by_seed().items():
        for condition, gain in _gains(of_seed.trials, factors, sampler["coarse_epochs"]).items():
            gains.setdefault(condition, {})[seed] = gain
    for i, width in enumerate(factors.widths):
        x = np.array(factors.budgets) * 1.03**i
        draw_estimates(left, x, [estimate(made_up[width, n]) for n in factors.budgets], label=f"{width:g} decades")
        first = [estimate(split(gains[width, n], results)[0].values()) for n in factors.budgets]
        draw_estimates(right, x, first, label=f"{width:g} decades")
    for axis, title in ((left, "made-up losses"), (right, "trained trials, the seeds that find")):
        axis.axhline(0, color="0.6", linestyle=":")
        axis.set(xscale="log", xlabel="budget (trials of all epochs)")
        axis.set_xticks(factors.budgets, [str(n) for n in factors.budgets])
        axis.minorticks_off()
        axis.set_title(title, size=10)
    left.set(ylabel="lowest loss is lower by")
    best, worst = (pick(made_up, key=lambda c: np.mean(made_up[c])) for pick in (max, min))
    (width, budget), effect = most(gains, results)
    among = f" under any of these {len(gains)} conditions"
    return drawing(
        canvas,
        f"Made up, coarse to fine ends {estimate(made_up[best]).text('{:.0%}')} below random search with {best[1]} "
        f"trials over {best[0]:g} decades, {estimate(made_up[worst]).text('{:.0%}')} with {worst[1]} over "
        f"{worst[0]:g}. "
        + verdict(f"Trained, most with {budget} over {width:g}: {{}}", effect, results, "{:.0%}", among=among),
    )


def _gains(trials: Sequence[FinishedTrial], factors: Factors, coarse_epochs: int) -> dict[tuple[float, int], float]:
    """By which share coarse to fine ends below random search, of one seed, under each condition."""
    if len(trials) != factors.of_seed():
        raise InputError(f"{len(trials)} trials of a seed: all searches of one take {factors.of_seed()}.")
    ordered = sorted(trials, key=lambda trial: trial.number)
    coarse, final = (np.array([lowest(trial, epochs) for trial in ordered]) for epochs in (coarse_epochs, None))
    return {
        condition: lower_by(min(coarse[draws].min(), final[fine].min()), final[draws].min())
        for condition, draws, fine in factors.searches()
    }


def lowest(trial: FinishedTrial, epochs: int | None) -> float:
    """The lowest validation loss of its first `epochs` epochs; infinite if none is finite."""
    losses = [epoch.value("val_loss") for epoch in trial.epochs[:epochs]]
    return min((loss for loss in losses if np.isfinite(loss)), default=np.inf)


def made_up_gains(factors: Factors, keep: float, margin: float) -> dict[tuple[float, int], list[float]]:
    """The mean share of each seed, under each condition. The best point lies anywhere in the space, whose second
    hyperparameter spans three decades; what a trial says differs by 5 % from what it would, and after half of its
    epochs it is 30 % above its end."""
    gains: dict[tuple[float, int], list[float]] = {}
    for (width, budget), *_ in factors.searches():
        space: Space = {"width": Interval(0, width), "other": Interval(0, 3)}
        for seed in surfaces.SEEDS:
            rng, shares = np.random.default_rng([seed, round(10 * width), budget]), []
            for _ in range(surfaces.SEARCHES):
                (best,) = _drawn(space, 1, rng)
                drawn = _drawn(space, budget, rng)
                whole = _noisy(surfaces.bowl(drawn, best), rng)
                half = 1.3 * _noisy(whole, rng)
                params = [dict(zip(space, at, strict=True)) for at in drawn[np.argsort(half)].tolist()]
                fine = _drawn(refine(space, params, space, keep, margin), budget // 2, rng)
                ours = min(half.min(), _noisy(surfaces.bowl(fine, best), rng).min())
                shares.append(lower_by(ours, whole.min()))
            gains.setdefault((width, budget), []).append(float(np.mean(shares)))
    return gains


def _drawn(space: Space, n: int, rng: np.random.Generator) -> np.ndarray:
    """Points [n, d], evenly drawn."""
    lows, highs = np.array([dist.ends() for dist in space.values()]).T
    return np.asarray(lows + (highs - lows) * rng.random((n, len(space))))


def _noisy(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(losses * np.exp(0.05 * rng.standard_normal(len(losses))))
