"""What is unwise in a space though it is allowed: a line each, with the range to write instead. Nothing is refused."""

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline import limits
from pipeline.layout import counted
from pipeline.overrides import to_text
from pipeline.records import SCORED, Trial
from pipeline.search.plan import Plan, Stage
from pipeline.search.refine import AT_EDGE, PAST, survivors
from pipeline.search.samplers.grid import GRID_POINTS, Grid
from pipeline.search.scales import LINEAR, LOG, ONE_MINUS_LOG, significant
from pipeline.search.space import Choice, Distribution, Interval, Space

GRID = f"{Grid.__module__}.{Grid.__name__}"
DECADE = 10
# The last parts of keys. Of what matters by its factor, and of what counts units:
FACTORS = ("learning_rate", "epsilon", "weight_decay", "l2")
SIZES = ("units", "filters", "batch_size")
# Of weights of the past in a running average, whose distance from 1 matters by its factor:
WEIGHTS = ("momentum", "beta", "beta_1", "beta_2", "rho")
NEAR_1 = 0.95  # there an average reaches over 20 steps, and 0.01 more makes that 25
MOST_DROPPED = 0.8  # of units
MOST_OF_ONE = 0.25  # the share of draws that one of several whole numbers may have
GOOD = 0.25  # of the trials: where most of them are says whether the best is at an edge by chance


def lint(plan: Plan) -> list[str]:
    """Lines that begin with `space:`, each once, however many arms it is of."""
    lines: dict[str, None] = {}
    grid = (plan.config.sweep.points or GRID_POINTS) if plan.sampler.target == GRID else None
    for arm in plan.arms:
        for key, dist in arm.space.items():
            lines |= dict.fromkeys(f"space: {key}={dist}: {text}" for text in _problems(key, dist, grid))
    few = [] if grid else filter(None, (_too_few(plan, stage) for stage in plan.stages))
    return [*lines, *itertools.islice(few, 1)]  # the stages after it mostly have as few


def _problems(key: str, dist: Distribution, grid: int | None) -> Iterator[str]:
    name = key.rsplit(".", 1)[-1]
    if isinstance(dist, Choice):
        if len({repr(value) for value in dist.values}) == 1:
            yield f"it never varies; pin it, {key}={to_text(dist.values[0])}, or give it more values"
        return
    if dist.low == dist.high:
        yield f"it never varies; pin it, {key}={to_text(dist.low)}, or widen it"
        return
    by_factor = name in FACTORS or (dist.integer and name.endswith(SIZES))
    if by_factor and dist.scale == LINEAR and 0 < dist.high > DECADE * dist.low:
        yield _by_factor(dist)
    if (
        name in WEIGHTS
        and not dist.integer
        and dist.scale in (LINEAR, LOG)
        and dist.low >= 0
        and NEAR_1 <= dist.high <= 1
    ):
        yield _of_weight(dist)
    if "dropout" in name and dist.high > MOST_DROPPED:
        low = dist.low if dist.low < 0.5 else 0.0
        yield f"above {MOST_DROPPED} hardly a unit is left; write {Interval(low, 0.5)}"
    if dist.integer and dist.scale == LOG and (share := _most_of_one(dist)) > MOST_OF_ONE:
        yield f"{share:.0%} of the draws are {dist.low}; write {replace(dist, scale=LINEAR)}"
    if grid and dist.integer:
        values = [dist.value(coordinate) for coordinate in dist.grid(grid)]
        n, there_are = len(values), int(dist.high - dist.low + 1)
        fix = f"write {Choice(tuple(values))}"  # sweep.points is for all axes, and would thin out the others, too
        if n < min(grid, there_are):
            yield f"of {grid} points {grid - n} fall on the same whole number; {fix}"
        elif grid >= 2 * there_are:
            yield f"it has {n} values, so that its axis has {n} and not {grid} points; {fix}"


def _by_factor(dist: Interval) -> str:
    """Nine of ten draws are in the top decade of a linear range of two decades or more."""
    low = max(dist.low, 1 if dist.integer else significant(dist.high / 1000, 1))
    share = min(1.0, (dist.high - dist.high / DECADE) / (dist.high - dist.low))
    above = f"{share:.0%} of the draws are above {significant(dist.high / DECADE, 3):g}"
    return f"it matters by its factor, and {above}; write {replace(dist, low=low, scale=LOG)}"


def _of_weight(dist: Interval) -> str:
    if dist.high == 1:  # of a key that has no limit; others are refused
        fix = replace(dist, low=min(dist.low, 0.9), high=0.999, scale=ONE_MINUS_LOG)
        return f"with the weight 1 an average never moves; write {fix}"
    middle = ONE_MINUS_LOG.value((ONE_MINUS_LOG.coordinate(dist.low) + ONE_MINUS_LOG.coordinate(dist.high)) / 2)
    above = (dist.high - middle) / (dist.high - dist.low)
    fix = replace(dist, scale=ONE_MINUS_LOG)
    return f"its distance from 1 matters, and {above:.0%} of the draws are above {middle:.3g}; write {fix}"


def _most_of_one(dist: Interval) -> float:
    """The share of draws that the lowest whole number has, which on a scale like log has the most."""
    low, high = dist.ends()
    return (dist.scale.coordinate(dist.low + 0.5) - low) / (high - low)


def _too_few(plan: Plan, stage: Stage) -> str | None:
    """A stage whose trials can't even vary each hyperparameter once."""
    if stage.given or not stage.n_trials:
        return None
    n_keys = max(len(space) for space in plan.free(stage))
    n_trials = stage.n_trials // len(plan.arms)
    if n_trials >= n_keys:
        return None
    each = " for each arm" if len(plan.arms) > 1 else ""
    return (
        f"space: stage {stage.name} has {counted(n_trials, 'trial')}{each} for {n_keys} hyperparameters; raise "
        "sweep.n_trials, or lower sweep.max_tier"
    )


def at_edge(spaces: Sequence[Space], best: Trial, ranked: Iterable[Trial]) -> list[str]:
    """Lines about the best trial, where it sits at an end of a range and most of the good ones of its arm are near;
    with the range to try, within what is allowed. spaces: of each arm; ranked: all that ended, best first."""
    own = (t for t in ranked if t.arm == best.arm and t.status in SCORED and t.number != best.number)
    ranked, lines = [best, *own], []
    for key, dist in spaces[best.arm].items():
        good = [t.params[key] for t in survivors(ranked, GOOD) if dist.contains(t.params.get(key))]
        if len(good) < 2 or good[0] != best.params.get(key):
            continue
        fix = _beyond(key, dist, good) if isinstance(dist, Interval) else _more_values(key, dist, good)
        if fix:
            end, text = fix
            value = good[0] if isinstance(dist, Choice) or dist.integer else f"{good[0]:.4g}"
            lines.append(f"space: the best {key}, {value}, is at the {end} end of its range; try '{key}={text}'")
    return lines


def _beyond(key: str, dist: Interval, good: Sequence[float]) -> tuple[str, Interval] | None:
    """Which end, and the range that reaches half a width further."""
    scale = dist.scale
    low, high = scale.coordinate(dist.low), scale.coordinate(dist.high)
    width = high - low
    at = [(scale.coordinate(value) - low) / width for value in good] if width else []
    if not at:
        return None
    middle = statistics.median(at)
    if at[0] <= AT_EDGE and middle < 1 / 3:
        to = _allowed(key, scale.value(low - PAST * width), dist.low, dist.integer)
        return None if to is None else ("lower", replace(dist, low=to))
    if at[0] >= 1 - AT_EDGE and middle > 2 / 3:
        to = _allowed(key, scale.value(high + PAST * width), dist.high, dist.integer)
        return None if to is None else ("upper", replace(dist, high=to))
    return None


def _allowed(key: str, wanted: float, end: float, integer: bool) -> float | None:
    """The new end of a range, at `wanted` or as far on the way there from the old one as is allowed."""
    rule = limits.LIMITS.get(key)
    to: float = round(wanted) if integer else significant(wanted, 2)
    if abs(1 - wanted) < 0.1 and not integer:  # of weights the distance from 1 has the digits that matter
        to = 1 - significant(1 - wanted, 2)
        to = round(to, 12)
    if isinstance(rule, limits.Number):
        if to > rule.high or (to == rule.high and "high" in rule.open):
            to = (end + rule.high) / 2 if "high" in rule.open else rule.high
        if to < rule.low or (to == rule.low and "low" in rule.open):
            to = (end + rule.low) / 2 if "low" in rule.open else rule.low
        to = int(to) if integer else to
        if not rule.accepts(to):
            return None
    return None if to == end else to


def _more_values(key: str, dist: Choice, good: Sequence[Any]) -> tuple[str, Choice] | None:
    """Which end of a list of numbers, and the list with the next one, by the same factor or the same step."""
    values = list(dist.values)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if len(values) < 3 or not numbers or values != sorted(values) or good.count(good[0]) <= len(good) / 2:
        return None
    end, neighbour = (values[0], values[1]) if good[0] == values[0] else (values[-1], values[-2])
    if good[0] != end:
        return None
    factor = values[0] > 0 and math.isclose(values[1] / values[0], values[2] / values[1])
    further = end * end / neighbour if factor else 2 * end - neighbour
    rule = limits.LIMITS.get(key)
    if all(isinstance(value, int) for value in values):
        if further != int(further):
            return None
        further = int(further)
    if isinstance(rule, limits.Number) and not rule.accepts(further):
        return None
    return ("lower", Choice((further, *values))) if end == values[0] else ("upper", Choice((*values, further)))
