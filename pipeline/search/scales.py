"""Scales: the coordinates in which ranges are uniform. One entry owns all that is particular to a scale.

Sampling 0.9..0.999 linearly would spend 91 % of the draws below 0.99; on `one_minus_log` each decade of 1 - value gets
its even share. `scales` in conf/config.yaml names the entries; another one is a Scale of your own and a line there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pipeline.targets import entry


def significant(value: float, digits: int = 6) -> float:
    """`value` rounded to its first `digits` digits."""
    return float(f"{value:.{digits}g}")


def window(beta: float) -> float:
    """Over how many steps an average with the weight `beta` of the past reaches: 1 / (1 - beta), after which a step
    weighs about 1/e of the newest one, since beta^(1 / (1 - beta)) is close to 1/e."""
    return 1 / (1 - beta)


@dataclass(frozen=True)
class Axis:
    """What an axis shows of a parameter."""

    label: str  # {} stands for the parameter's name
    place: Callable[[float], float]  # of a value, on the axis
    kind: str = "linear"  # of the axis itself; or "log"


@dataclass(frozen=True)
class Scale:
    """A coordinate in which a range is uniform. The first four fields suffice for a scale of one's own."""

    coordinate: Callable[[float], float]  # of a value; it increases with the value
    value: Callable[[float], float]  # of a coordinate
    domain: str  # which values have a coordinate, in words
    contains: Callable[[float], bool]  # whether a value has one
    even: Axis | None = None  # on which draws lie evenly, not logarithmic, as MLflow has no other; None: the coordinate
    figure: Axis | None = None  # how figures show it, in terms that readers know; None: as `even`
    rounded: Callable[[float], float] = significant  # to the digits that matter of a drawn value
    advice: str = ""  # a sentence for whoever gives an end without a coordinate
    name: str = ""  # in tag(name, interval(low, high)): its name in `scales`

    @property
    def even_axis(self) -> Axis:
        return self.even or Axis(f"{self.name} {{}}", self.coordinate)

    @property
    def figure_axis(self) -> Axis:
        return self.figure or self.even_axis


LINEAR = Scale(lambda v: v, lambda c: c, "finite", math.isfinite, even=Axis("{}", float), name="linear")
LOG = Scale(
    math.log10,
    lambda c: 10.0**c,
    "above 0",
    lambda v: 0 < v < math.inf,
    even=Axis("log10 {}", math.log10),
    figure=Axis("{}", float, "log"),
    advice="Begin at a small number, such as 0.0001.",
    name="log",
)
# 1 - v = 10^-c: momentum and beta average over about 1 / (1 - v) steps, and that is what should vary evenly.
ONE_MINUS_LOG = Scale(
    lambda v: -math.log10(1 - v),
    lambda c: 1 - 10.0**-c,
    "below 1",
    lambda v: -math.inf < v < 1,
    even=Axis("log10 1-{}", lambda v: math.log10(1 - v)),
    figure=Axis("window 1 / (1 - {}) (steps)", window, "log"),
    rounded=lambda v: round(1 - significant(1 - v), 15),  # to digits of the distance from 1, which is what is drawn
    advice="End before 1, such as at 0.999.",
    name="one_minus_log",
)


def scale_named(name: str, scales: Mapping[str, str], what: str) -> Scale:
    """The entry of `scales`, the config's map. Raises InputError, beginning with `what`, if there is none."""
    return replace(entry(what, name, scales, Scale), name=name)
