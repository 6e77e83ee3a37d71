"""Distributions of hyperparameters and the scales on which they are uniform.

Every distribution maps a number u in [0, 1) to a value, evenly in the coordinate of its scale. Sampling
0.9..0.999 linearly would spend 91 % of the draws below 0.99; on `one_minus_log` each decade of 1 - value gets
its even share.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import InputError


@dataclass(frozen=True)
class Scale:
    """A coordinate in which a distribution is uniform; `coordinate` increases with the value."""

    coordinate: Callable[[float], float]
    value: Callable[[float], float]
    domain: str
    contains: Callable[[float], bool]


SCALES: dict[str, Scale] = {
    "linear": Scale(lambda v: v, lambda c: c, "finite", math.isfinite),
    "log": Scale(math.log10, lambda c: 10.0**c, "above 0", lambda v: 0 < v < math.inf),
    # 1 - v = 10^-c: momentum and beta average over about 1 / (1 - v) steps, and that is what should vary evenly.
    "one_minus_log": Scale(
        lambda v: -math.log10(1 - v), lambda c: 1 - 10.0**-c, "below 1", lambda v: -math.inf < v < 1
    ),
}


def window(beta: float) -> float:
    """Over how many steps an average with the weight `beta` of the past reaches: 1 / (1 - beta), after which a step
    weighs about 1/e of the newest one, since beta^(1 / (1 - beta)) is close to 1/e."""
    return 1 / (1 - beta)


# Weights of the past in a running average, which mean little to a reader without the steps that it reaches over.
AVERAGES = (
    "optimizer.momentum",
    "optimizer.beta_1",
    "optimizer.beta_2",
    "optimizer.rho",
    "model.norm_momentum",
)


def windows(params: Mapping[str, Any]) -> dict[str, float]:
    """window() of each of the parameters that is the weight of an average, to four digits."""
    return {key: _significant(window(params[key]), 4) for key in AVERAGES if isinstance(params.get(key), float | int)}


def _significant(value: float, digits: int = 6) -> float:
    return float(f"{value:.{digits}g}")


@dataclass(frozen=True)
class Interval:
    """Uniform between `low` and `high`, both included, on `scale`; whole numbers only if `integer`.

    Raises InputError if low > high, a bound lies outside the scale, or an integer bound is fractional.
    """

    low: float
    high: float
    scale: str = "linear"
    integer: bool = False

    def __post_init__(self) -> None:
        scale = SCALES[self.scale]
        for name, bound in (("low", self.low), ("high", self.high)):
            if not scale.contains(bound):
                raise InputError(f"{self}: {name}={bound} must be {scale.domain} on the scale {self.scale}.")
            if self.integer and bound != int(bound):
                raise InputError(f"{self}: {name}={bound} must be a whole number.")
        if self.low > self.high:
            raise InputError(f"{self}: low={self.low} is above high={self.high}.")

    def at(self, u: float) -> float:
        """The value at u in [0, 1), to six significant digits of its distance from the scale's edge."""
        scale = SCALES[self.scale]
        # An integer owns half a step on each side, so that the two ends are drawn as often as the others.
        half = 0.5 if self.integer else 0.0
        low, high = scale.coordinate(self.low - half), scale.coordinate(self.high + half)
        value = scale.value(low + u * (high - low))
        if self.integer:
            return int(min(max(round(value), self.low), self.high))
        near_one = self.scale == "one_minus_log"
        value = round(1 - _significant(1 - value), 15) if near_one else _significant(value)
        return min(max(value, self.low), self.high)

    def grid(self, points: int) -> list[Any]:
        """`points` values from low to high, both included, evenly spaced on the scale; integers only once."""
        scale = SCALES[self.scale]
        low, high = scale.coordinate(self.low), scale.coordinate(self.high)
        steps = [low + (high - low) * i / max(points - 1, 1) for i in range(points)]
        if points == 1:
            steps = [(low + high) / 2]
        values = [min(max(_significant(scale.value(c), 12), self.low), self.high) for c in steps]
        return sorted({round(v) for v in values}) if self.integer else list(dict.fromkeys(values))

    def around(self, values: Sequence[Any], margin: float) -> "Interval":
        """The box around `values` in scale coordinates, widened by `margin` of its width on each side and
        clipped to this interval. A box of one point is widened by `margin` of this interval instead, so that a
        single survivor still leaves something to search."""
        scale = SCALES[self.scale]
        own_low, own_high = scale.coordinate(self.low), scale.coordinate(self.high)
        at = [scale.coordinate(v) for v in values]
        extra = margin * ((max(at) - min(at)) or (own_high - own_low))
        low = scale.value(max(min(at) - extra, own_low))
        high = scale.value(min(max(at) + extra, own_high))
        if self.integer:
            low, high = math.floor(low + 1e-9), math.ceil(high - 1e-9)
        # 10 ** log10(x) may miss x by a rounding: the clip keeps the region inside the original range.
        low, high = max(low, self.low), min(high, self.high)
        return replace(self, low=low, high=max(low, high))

    def size(self) -> float:
        """How many distinct values it has."""
        return self.high - self.low + 1 if self.integer else (math.inf if self.high > self.low else 1)

    def __str__(self) -> str:
        text = f"interval({self.low:.6g}, {self.high:.6g})"
        text = f"int({text})" if self.integer else text
        return text if self.scale == "linear" else f"tag({self.scale}, {text})"


@dataclass(frozen=True)
class Choice:
    """One of `values`, each as likely. Raises InputError if there is none."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("choice() needs at least one value.")

    def at(self, u: float) -> Any:
        return self.values[int(u * len(self.values))]

    def grid(self, points: int) -> list[Any]:
        """Every value: a category has no in-between to thin out, so `points` does not apply."""
        return list(self.values)

    def around(self, values: Sequence[Any], margin: float) -> "Choice":
        """The values that survive, in the original order."""
        return Choice(tuple(v for v in self.values if v in values))

    def size(self) -> float:
        return len(self.values)

    def __str__(self) -> str:
        return f"choice({', '.join(map(str, self.values))})"


Distribution = Interval | Choice
Space = dict[str, Distribution]
