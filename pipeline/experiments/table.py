"""Many searches from one sweep: a search's trial is looked up among hundreds that were trained.

Repeating a search of 25 trials a hundred times would cost 2,500 trainings. Instead one sweep trains a few hundred
trials spread over the space, and each draw of a simulated search has the result of the nearest of them in the
coordinates of the space: the tabular benchmark of Eggensperger et al. (2015). What is found is thereby as fine as the
table, which the finding states by its number of trials.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.errors import InputError
from pipeline.search.space import Interval
from pipeline.study.finished import FinishedTrial, Results


class Table:
    """losses: [n trials, epochs], the lowest validation loss up to each epoch; where a trial has none, since it
    diverged, it has the highest that any trial has after its first epoch, so that it is never the best.

    Trials without an epoch are left out. Raises InputError if no trial has a validation loss.
    """

    def __init__(self, results: Results) -> None:
        self.ranges = {key: dist for key, dist in results.space.items() if isinstance(dist, Interval)}
        ended = [trial for trial in results.trials if trial.epochs]
        first = [loss for trial in ended if np.isfinite(loss := trial.epochs[0].value("val_loss"))]
        if not first:
            raise InputError("no trial has a validation loss after its first epoch.")
        epochs = max(len(trial.epochs) for trial in ended)
        self.losses = np.array([lowest(trial, epochs, worst=max(first)) for trial in ended])
        self.params = [trial.params for trial in ended]
        self.places = self.coordinates(self.params)

    def coordinates(self, params: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Where in the space's box parameters are, each from 0 to 1 on its scale, [n, d]."""
        columns = []
        for key, dist in self.ranges.items():
            low, high = dist.coordinate(dist.low), dist.coordinate(dist.high)
            columns.append([(dist.coordinate(row[key]) - low) / (high - low) for row in params])
        return np.array(columns).T

    def nearest(self, places: np.ndarray) -> np.ndarray:
        """The trial nearest to each of `places` [n, d] in the space's box, [n]."""
        distances = ((places[:, None] - self.places[None]) ** 2).sum(-1)
        return np.asarray(np.argmin(distances, 1))


def lowest(trial: FinishedTrial, epochs: int, worst: float) -> np.ndarray:
    """The lowest validation loss up to each of `epochs` epochs, at most `worst`."""
    losses = [e.value("val_loss") for e in trial.epochs]
    losses += [worst] * (epochs - len(losses))
    return np.fmin.accumulate(np.fmin(losses, worst))


def draw_searches(axis: Axes, x: Sequence[float] | np.ndarray, losses: np.ndarray, color: str, label: str) -> None:
    """A line for the median of `losses` [repetitions, n] against x [n], shaded where 80 % of them lie."""
    low, median, high = np.quantile(losses, [0.1, 0.5, 0.9], axis=0)
    axis.plot(x, median, color=color, label=label)
    axis.fill_between(x, low, high, color=color, alpha=0.2)


def share_lower(ours: np.ndarray, theirs: np.ndarray) -> float:
    """In which share of the pairs `ours` is lower than `theirs`; a tie counts half. Both broadcast: [n] and [n] are n
    pairs, [n, 1] and [m] are all n x m."""
    return float(((ours < theirs) + 0.5 * (ours == theirs)).mean())
