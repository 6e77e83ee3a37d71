"""Coarse to fine: the region of a stage follows from the results of the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.search.space import Interval, Space

AT_EDGE = 0.05  # the best that is nearer to an edge of a box than this fraction of the box's width sits at it
PAST = 0.5  # how far past that edge the next box reaches, in widths of the box


def refine(space: Space, ranked: Sequence[Mapping[str, Any]], original: Space, keep: float, margin: float) -> Space:
    """The region of the next stage.

    It is the box, in scale coordinates, around the best `keep` of the trials (at least two, so that a box has a
    width), widened by `margin` of its width and clipped to the original range; a choice keeps the values that
    survive. Coarse to fine as in Goodfellow et al. 2016, section 11.4.

    ranked: parameters of the finished trials of this stage, best first. Empty: the region stays.
    """
    return around(space, survivors(ranked, keep), original, margin)


def survivors(ranked: Sequence[Any], keep: float) -> Sequence[Any]:
    """The best of those that are ranked, best first, whose box is searched next."""
    return ranked[: max(2, round(keep * len(ranked)))]


def around(space: Space, best: Sequence[Mapping[str, Any]], original: Space, margin: float) -> Space:
    """The box around the best, for each key of `space`; values that the original range lacks, as a config may have
    them, do not count."""
    region: Space = {}
    for key, dist in space.items():
        values = [params[key] for params in best if original[key].contains(params.get(key))]
        region[key] = original[key].around(values, margin) if values else dist
    return region


@dataclass(frozen=True)
class Widening:
    """An edge past which the next region reaches, because the best sits at it."""

    key: str
    edge: float  # of the box that was searched
    best: float
    to: float  # where the next region ends on that side


def widened(region: Space, box: Space, best: Mapping[str, Any], original: Space) -> tuple[Space, list[Widening]]:
    """A next region that goes past the edges of `box`, the one searched last, at which the best sits: what is better
    still may lie behind them. It reaches half a width of the box further, but stays within the original range."""
    region, widenings = dict(region), []
    for key, dist in region.items():
        searched, whole = box.get(key), original[key]
        if not isinstance(dist, Interval) or not isinstance(searched, Interval) or not isinstance(whole, Interval):
            continue
        scale, value = dist.scale, best.get(key)
        if not whole.contains(value):
            continue
        assert value is not None
        at, low, high = (scale.coordinate(end) for end in (value, searched.low, searched.high))
        near, past = AT_EDGE * (high - low), PAST * (high - low)
        if past and at - low <= near and searched.low > whole.low:
            reach = whole.around([max(scale.value(low - past), whole.low), dist.low], 0)
            if reach.low < dist.low:
                dist = replace(dist, low=reach.low)
                widenings.append(Widening(key, searched.low, value, dist.low))
        if past and high - at <= near and searched.high < whole.high:
            reach = whole.around([dist.high, min(scale.value(high + past), whole.high)], 0)
            if reach.high > dist.high:
                dist = replace(dist, high=reach.high)
                widenings.append(Widening(key, searched.high, value, dist.high))
        region[key] = dist
    return region, widenings
