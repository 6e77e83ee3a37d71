"""Each searched or crossed key as an axis: on its own scale, with ticks that a reader knows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import InputError
from pipeline.overrides import to_text
from pipeline.records import Trial
from pipeline.search.ranges import distribution, parse
from pipeline.search.scales import LINEAR, LOG, ONE_MINUS_LOG, Scale
from pipeline.search.space import Choice, Interval, Space
from pipeline.tracking.report.data import ParameterAxis, Tick

CHOICE = "choice"
# What a header says of scales if it is of a version that did not say what they are.
KNOWN_SCALES = {name: f"pipeline.search.scales.{name.upper()}" for name in ("linear", "log", "one_minus_log")}


def read_space(ranges: Mapping[str, str], scales: Mapping[str, str]) -> Space:
    """Ranges as a ledger has them. One that can't be read here, for it needs a scale of the user's or has a value that
    Hydra's grammar can't say, is left out: its axis follows from the values that were tried."""
    space: Space = {}
    for key, text in ranges.items():
        try:
            space[key] = distribution(parse([f"{key}={text}"])[0], {**KNOWN_SCALES, **scales})
        except InputError:
            continue
    return space


def make_axis(
    key: str, name: str, spaces: Sequence[Space], trials: Sequence[Trial], tier: int | None, ranges: Sequence[str]
) -> tuple[ParameterAxis, list[float | None]]:
    """The axis of a key, and where on it the trials are. spaces: of each arm."""
    values = [t.params[key] for t in sorted(trials, key=lambda trial: trial.number) if key in t.params]
    dists = [space[key] for space in spaces if key in space]
    intervals = [dist for dist in dists if isinstance(dist, Interval)]
    ranged = intervals or any(text and not text.startswith("choice(") for text in ranges)
    if ranged and len(intervals) == len(dists) and _numbers(values):
        return _of_numbers(key, name, intervals, trials, tier, ranges)
    listed = [*(value for dist in dists if isinstance(dist, Choice) for value in dist.values), *values]
    texts = list(dict.fromkeys(map(to_text, sorted(listed) if _numbers(listed) else listed)))
    at: list[float | None] = [texts.index(to_text(t.params[key])) if key in t.params else None for t in trials]
    ticks = [Tick(i, text) for i, text in enumerate(texts)]
    return ParameterAxis(key, name, CHOICE, -0.5, len(texts) - 0.5, ticks, texts, tier, ranges), at


def _numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _of_numbers(
    key: str, name: str, dists: Sequence[Interval], trials: Sequence[Trial], tier: int | None, ranges: Sequence[str]
) -> tuple[ParameterAxis, list[float | None]]:
    scale = dists[0].scale if dists else LINEAR
    at = [_place(scale, trial.params.get(key)) for trial in trials]
    ends = [scale.coordinate(end) for dist in dists for end in (dist.low, dist.high) if scale.contains(end)]
    known = [*ends, *(place for place in at if place is not None)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 0.5, high + 0.5
    ticks = list(ticks_of(scale, low, high, any(dist.integer for dist in dists)))
    return ParameterAxis(key, name, scale.name, low, high, ticks, (), tier, ranges), at


def _place(scale: Scale, value: Any) -> float | None:
    return scale.coordinate(value) if _numbers([value]) and scale.contains(value) else None


def ticks_of(scale: Scale, low: float, high: float, whole: bool = False) -> Iterator[Tick]:
    """Some five ticks between two coordinates. Of a weight of the past, the steps it reaches over stand below it."""
    if scale.name == LOG.name:
        for c, value in _decades(low, high):
            yield Tick(c, _short(value))
    elif scale.name == ONE_MINUS_LOG.name:
        for c, distance in _decades(-high, -low):
            value = round(1 - distance, 12)
            yield Tick(-c, _short(value, 8), f"{round(1 / distance, 1):,g} steps")
    elif scale.name == LINEAR.name:
        step = _nice((high - low) / 4)
        step = max(1.0, step) if whole else step
        for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
            yield Tick(i * step, _short(i * step))
    else:
        for i in range(5):
            c = low + (high - low) * i / 4
            yield Tick(c, _short(scale.value(c), 3))


def _decades(low: float, high: float) -> Iterator[tuple[float, float]]:
    """(log10, value) of the powers of ten between two exponents, thinned if they are many; of a short range also twos
    and fives."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    every = max(1, math.ceil((last - first) / 6))
    factors = (1, 2, 5) if high - low < 1.7 else (1,)
    for exponent in range(first - 1, last + 1):
        for factor in factors:
            c = exponent + math.log10(factor)
            if low - 1e-9 <= c <= high + 1e-9 and (factor > 1 or (exponent - first) % every == 0):
                yield c, factor * 10.0**exponent


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def _short(value: float, digits: int = 4) -> str:
    text = f"{value:.{digits}g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
