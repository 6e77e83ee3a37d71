"""Every optimizer on a parabola, J(W) = a W^2 + b W + c: how fast it comes to the minimum, at which learning rates."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.errors import InputError
from pipeline.experiments.drawing import RATE, Drawing, drawing, panels
from pipeline.study.finished import FinishedTrial, Results

OPTIMIZER, COEFFICIENTS = "optimizer", "dataset.coefficients"
NEAR = 0.01  # so close to the minimum counts as there
MARKERS = "osv^<>DPX"


@dataclass(frozen=True)
class Parabola:
    """J(W) = a W^2 + b W + c, a above 0."""

    a: float
    b: float
    c: float

    @property
    def minimum(self) -> float:
        """W*, where J is least."""
        return -self.b / (2 * self.a) + 0.0  # no -0

    @property
    def least(self) -> float:
        """The distance from W* below which J does not tell: it is computed in float32 as (a W + b) W + c, and at W*
        the next numbers are as far away as its larger term lets them be."""
        term = max(self.b**2 / (4 * self.a), abs(self.c))
        return float(np.sqrt(np.spacing(np.float32(term)) / self.a))

    @property
    def near(self) -> float:
        """How close counts as there: NEAR, or what J can tell at all."""
        return max(NEAR, 2 * self.least)

    def distances(self, trial: FinishedTrial) -> np.ndarray:
        """|W - W*| after each epoch, from the validation loss J(W) = J(W*) + a (W - W*)^2; at least `least`, NaN where
        that is not finite."""
        losses = np.array([e.value("val_loss") for e in trial.epochs], float)
        lowest = self.c - self.b**2 / (4 * self.a)
        return np.maximum(np.sqrt(np.maximum(losses - lowest, 0) / self.a), self.least)

    def __str__(self) -> str:
        b, c = (f" {'-' if x < 0 else '+'} {abs(x):.4g}" for x in (self.b, self.c))
        return f"J(W) = {'' if self.a == 1 else f'{self.a:.4g} '}W²{b} W{c}"


def arrival(path: np.ndarray, near: float = NEAR) -> float:
    """The epoch, counted from 1, from which on distances [epochs] are at most `near`; infinite if there is none."""
    near_from = np.flatnonzero(~(path <= near)).max(initial=-1) + 1
    return float(near_from + 1) if near_from < len(path) else float("inf")


def _widths(spans: Mapping[str, np.ndarray]) -> str:
    """Which optimizer is there at the widest range of learning rates, and which at the narrowest."""
    ordered = sorted(spans, key=lambda name: spans[name][1] / spans[name][0])
    if not ordered:
        return ""
    wide, narrow = (f"{name} ({spans[name][0]:.2g} to {spans[name][1]:.2g})" for name in (ordered[-1], ordered[0]))
    return f", {wide} at the widest range of learning rates, {narrow} at the narrowest"


def figure(results: Results) -> Drawing:
    """W* is where J is least. Left: |W - W*| by epoch of each optimizer at its best learning rate, the one that is
    there first (or else comes nearest). Right: |W - W*| after the last epoch against the learning rate.

    Raises InputError where the coefficients differ between trials.
    """
    if any(COEFFICIENTS in trial.params for trial in results.trials):
        raise InputError(f"{COEFFICIENTS} has several values: the figure is of one cost.")
    cost = Parabola(*results.config.dataset.arguments["coefficients"])
    w_star, near, distance = cost.minimum, cost.near, f"|W - {cost.minimum:.4g}|"
    canvas, (left, right) = panels(sharey=True)
    spans: dict[str, np.ndarray] = {}  # the lowest and the highest rate that ends there
    missed = []
    for i, (name, trials) in enumerate(results.by(OPTIMIZER)):
        ordered = sorted((t for t in trials if t.epochs), key=lambda trial: trial.params[RATE])
        paths = {trial.number: cost.distances(trial) for trial in ordered}
        rates = np.array([trial.params[RATE] for trial in ordered])
        ends = np.array([paths[t.number][-1] if t.status == "completed" else np.nan for t in ordered])
        completed = [trial for trial in ordered if trial.status == "completed"]
        if not completed:
            missed.append(name)
            continue
        winner = min(completed, key=lambda trial: (arrival(paths[trial.number], near), paths[trial.number][-1]))
        w = float(results.predict(winner.number, np.array([[0, 1, 0]], np.float32))[0, 0])
        if abs(w - w_star) > near:
            missed.append(name)
        if len(arrived := rates[ends <= near]):
            spans[name] = arrived[[0, -1]]
        path, rate = paths[winner.number], winner.params[RATE]
        path = path[: np.flatnonzero(path > cost.least).max(initial=-1) + 2]  # the rest is one line for all
        lines = left.plot(range(1, len(path) + 1), path, label=f"{name}, best at {rate:.2g}", markevery=0.05)
        for line in lines + right.plot(rates, ends):
            line.set(marker=MARKERS[i % len(MARKERS)], markersize=4, linewidth=1, alpha=0.75, color=f"C{i}")
    for axis in (left, right):
        axis.axhline(near, color="0.4", linestyle=":", linewidth=1)
        axis.set(xscale="log")
    left.set(xlabel="epoch, at the best learning rate", yscale="log")
    left.set(ylabel=f"{distance} (down to {cost.least:.2g}: float32)")
    right.set(xlabel="learning rate (no point: diverged)")
    verdict = f"all but {', '.join(missed)} reach" if missed else "all reach"
    return drawing(
        canvas,
        f"{cost}: {verdict} W = {w_star:.4g} within {near:.2g}{_widths(spans)}. Exact: no number is drawn.",
    )
