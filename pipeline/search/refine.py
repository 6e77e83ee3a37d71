"""Coarse to fine: the region of a stage follows from the results of the one before."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.search.space import Space


def refine(space: Space, ranked: Sequence[Mapping[str, Any]], original: Space, keep: float, margin: float) -> Space:
    """The region of the next stage.

    It is the box, in scale coordinates, around the best `keep` of the trials (at least two, so that a box has a
    width), widened by `margin` of its width and clipped to the original range; a choice keeps the values that
    survive. Coarse to fine as in Goodfellow et al. 2016, section 11.4.

    ranked: parameters of the finished trials of this stage, best first. Empty: the region stays.
    """
    best = ranked[: max(2, round(keep * len(ranked)))]
    if not best:
        return space
    return {key: original[key].around([params[key] for params in best], margin) for key in space}
