"""Distributions of hyperparameters: uniform on a scale, or over a list of values.

Every distribution maps a number u in [0, 1) to a coordinate of its scale, evenly, and a coordinate to a value. Samplers
choose coordinates; params_at() makes parameters of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import InputError
from pipeline.search.scales import LINEAR, Scale, significant, window

Params = dict[str, Any]  # values by key

# Weights of the past in a running average, which mean little to a reader without the steps that it reaches over.
AVERAGES = ("optimizer.momentum", "optimizer.beta_1", "optimizer.beta_2", "optimizer.rho", "model.norm_momentum")


def averaging_steps(params: Mapping[str, Any]) -> dict[str, float]:
    """window() of each of the parameters that is the weight of an average, to four digits."""
    return {key: significant(window(params[key]), 4) for key in AVERAGES if isinstance(params.get(key), float | int)}


@dataclass(frozen=True)
class Interval:
    """Uniform between `low` and `high`, both included, on `scale`; whole numbers only if `integer`.

    Raises InputError if low > high, a bound lies outside the scale, or an integer bound is fractional.
    """

    low: float
    high: float
    scale: Scale = LINEAR
    integer: bool = False

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if not self.scale.contains(bound):
                what = f"{name}={bound} must be {self.scale.domain} on the scale {self.scale.name}."
                raise InputError(f"{self}: {what} {self.scale.advice}".rstrip())
            if self.integer and bound != int(bound):
                raise InputError(f"{self}: {name}={bound} must be a whole number.")
        if self.low > self.high:
            raise InputError(f"{self}: low={self.low} is above high={self.high}.")

    def place(self, u: float) -> float:
        """The coordinate at u in [0, 1), between ends()."""
        low, high = self.ends()
        return low + u * (high - low)

    def ends(self) -> tuple[float, float]:
        """The lowest and the highest coordinate. An integer owns half a step on each side, so that the two ends are
        drawn as often as the others."""
        half, scale = 0.5 if self.integer else 0.0, self.scale
        low, high = self.low - half, self.high + half
        return (
            scale.coordinate(low if scale.contains(low) else self.low),
            scale.coordinate(high if scale.contains(high) else self.high),
        )

    def contains(self, value: Any) -> bool:
        """Whether it is a value between the two ends: a config may have a list, null, or what was never searched."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def coordinate(self, value: float) -> float:
        return self.scale.coordinate(value)

    def value(self, coordinate: float, exact: bool = False) -> float:
        """The value at a coordinate, with the digits that matter on the scale; exact: with all but the last few, which
        are roundings."""
        value = self.scale.value(coordinate)
        if exact:
            value = significant(value, 12)
        elif not self.integer:
            value = self.scale.rounded(value)
        value = min(max(value, self.low), self.high)
        return round(value) if self.integer else value

    def at(self, u: float) -> float:
        """The value at u in [0, 1)."""
        return self.value(self.place(u))

    def grid(self, points: int) -> list[float]:
        """The coordinates of `points` values from low to high, both included, evenly spaced; of integers each once."""
        low, high = self.coordinate(self.low), self.coordinate(self.high)
        steps = [low + (high - low) * i / max(points - 1, 1) for i in range(points)]
        if points == 1:
            steps = [(low + high) / 2]
        return list({self.value(c, exact=True): c for c in steps}.values())

    def around(self, values: Sequence[Any], margin: float) -> "Interval":
        """The box around `values` in scale coordinates, widened by `margin` of its width on each side and
        clipped to this interval. A box of one point is widened by `margin` of this interval instead, so that a
        single survivor still leaves something to search."""
        scale = self.scale
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

    def __str__(self) -> str:
        text = f"interval({self.low:.6g}, {self.high:.6g})"
        text = f"int({text})" if self.integer else text
        return text if self.scale == LINEAR else f"tag({self.scale.name}, {text})"


@dataclass(frozen=True)
class Choice:
    """One of `values`, each as likely. Raises InputError if there is none."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("choice() needs at least one value.")

    def place(self, u: float) -> float:
        """The coordinate of a value is its place in the list."""
        return int(u * len(self.values))

    def ends(self) -> tuple[float, float]:
        return 0, len(self.values)

    def contains(self, value: Any) -> bool:
        return repr(value) in map(repr, self.values)

    def coordinate(self, value: Any) -> float:
        return [repr(v) for v in self.values].index(repr(value))  # true, 1 and 1.0 are equal, and three values

    def value(self, coordinate: float, exact: bool = False) -> Any:
        return self.values[min(max(int(coordinate), 0), len(self.values) - 1)]

    def at(self, u: float) -> Any:
        return self.value(self.place(u))

    def grid(self, points: int) -> list[float]:
        """Of every value: a category has no in-between to thin out, so `points` does not apply."""
        return list(range(len(self.values)))

    def around(self, values: Sequence[Any], margin: float) -> "Choice":
        """The values that survive, in the original order."""
        return Choice(tuple(v for v in self.values if v in values))

    def __str__(self) -> str:
        return f"choice({', '.join('null' if value is None else str(value) for value in self.values)})"


Distribution = Interval | Choice
Space = dict[str, Distribution]


def params_at(space: Space, coordinates: Mapping[str, float], exact: bool = False) -> Params:
    """The parameters at a point of the space: every trial's values are made here."""
    return {key: dist.value(coordinates[key], exact) for key, dist in space.items()}


def coordinates_of(space: Space, params: Mapping[str, Any]) -> dict[str, float]:
    """Where in the space parameters are; those of other keys are left out."""
    return {key: dist.coordinate(params[key]) for key, dist in space.items()}
