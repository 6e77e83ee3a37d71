"""Population-based training (Jaderberg et al. 2017): who copies whom, and which hyperparameters are tried from there.

The worst trials of a population take over the weights of the best, and search on from the hyperparameters that brought
them there: a schedule is found in the course of one training.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.evolution import Copied, Evolution, Params, Score, nominal
from pipeline.records import Trial
from pipeline.schema import Config, Population
from pipeline.search.scales import scale_named
from pipeline.search.space import Choice, Distribution, Interval, Space


@dataclass(frozen=True)
class Bounds:
    """A range as it travels to a worker: its scale, which is code, by name."""

    low: float = 0.0
    high: float = 0.0
    scale: str = ""
    integer: bool = False
    values: tuple[Any, ...] = ()  # of a choice


@dataclass(frozen=True)
class Exploration:
    """Decides a population's copies: a pure function of the seed, the epoch, the scores and the hyperparameters."""

    bounds: Mapping[str, Bounds]
    scales: Mapping[str, str]  # the config's map
    settings: Population
    seed: int

    @cached_property
    def space(self) -> Space:
        return {key: _distribution(key, own, self.scales) for key, own in self.bounds.items()}

    def __call__(self, epoch: int, scores: Mapping[int, Score], params: Mapping[int, Params]) -> list[Copied]:
        """After `epoch` epochs the worst `fraction` of the trials, and all with a score that is not finite, each copy
        one of the best `fraction`, drawn evenly. Among equal scores lower numbers are better. Nobody copies where no
        score is finite."""
        if not self.settings.every or epoch % self.settings.every:
            return []
        ranked = sorted(scores, key=lambda number: (scores[number], -number), reverse=True)
        n = min(len(ranked) // 2, max(1, int(self.settings.fraction * len(ranked))))
        finite = [number for number in ranked if math.isfinite(scores[number][0])]
        best = finite[:n]
        worst = [number for number in ranked if number in ranked[len(ranked) - n :] or number not in finite]
        copies = []
        for number in sorted(set(worst) - set(best)) if best else ():
            source = best[int(self._draws(epoch, number, "source").random() * len(best))]
            copies.append(Copied(number, source, self._explored(epoch, number, params[source])))
        return copies

    def _explored(self, epoch: int, number: int, params: Params) -> Params:
        new = {}
        for key, dist in self.space.items():
            draws = self._draws(epoch, number, key)
            anew, u, up = draws.random() < self.settings.resample, draws.random(), draws.random() < 0.5
            new[key] = dist.at(u) if anew else moved(dist, params[key], self.settings.step, up)
        return new

    def _draws(self, epoch: int, number: int, what: str) -> random.Random:
        """Numbers in [0, 1) that do not depend on what else is drawn."""
        return random.Random(f"{self.seed}/population/{epoch}/{number}/{what}")


def moved(dist: Distribution, value: Any, step: float, up: bool) -> Any:
    """The value a `step` of the range's width away, in coordinates of its scale, and no further than the range's end;
    of a choice, its neighbour in the list."""
    if isinstance(dist, Choice):
        return dist.value(min(max(dist.coordinate(value) + (1 if up else -1), 0), len(dist.values) - 1))
    low, high = dist.coordinate(dist.low), dist.coordinate(dist.high)
    to = dist.coordinate(value) + (step if up else -step) * (high - low)
    new = dist.value(min(max(to, low), high))
    if dist.integer and new == value:  # a step that is less than 1
        new = min(max(value + (1 if up else -1), dist.low), dist.high)
    return new


def _bounds(dist: Distribution) -> Bounds:
    if isinstance(dist, Choice):
        return Bounds(values=dist.values)
    return Bounds(dist.low, dist.high, dist.scale.name, dist.integer)


def _distribution(key: str, own: Bounds, scales: Mapping[str, str]) -> Distribution:
    if own.values:
        return Choice(own.values)
    return Interval(own.low, own.high, scale_named(own.scale, scales, f"{key}: scale"), own.integer)


def evolution(config: Config, space: Space, trials: Sequence[Trial]) -> Evolution:
    """The population of an arm's `trials`, in the space in which they were drawn."""
    assert config.sweep.population  # or there would be none
    bounds = {key: _bounds(dist) for key, dist in space.items() if key in trials[0].params}
    return Evolution(
        {trial.number: {key: trial.params[key] for key in bounds} for trial in trials},
        {key: nominal(own.values or (own.high, own.low)) for key, own in bounds.items()},
        Exploration(bounds, dict(config.scales), config.sweep.population, config.seed),
    )
