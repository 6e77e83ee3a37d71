"""What a sweep takes over from another one: configurations to try first, and the region in which they lie.

Ideas carry over between domains, exact values less so: a learning rate that was best on one data set is a good place
to begin on another one, not the place to end. So the region is wider than the one between two stages of a sweep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.search.space import Interval, Params, Space

STARTERS = 5  # configurations that an arm tries first, at most
SHARE = 4  # of its trials, and not more than one in so many
KEEP = 0.25  # of the other sweep's trials, whose box is searched
MARGIN = 0.25  # of its width, by which the box is widened on each side


@dataclass(frozen=True)
class Start:
    """What each arm takes over."""

    source: str  # the other sweep, as the command names it
    best: tuple[tuple[Params, ...], ...]  # of each arm: what the best trials there had of the keys that it searches,
    # best first; none: the arm starts afresh
    n_starters: int  # how many of them an arm tries first

    @classmethod
    def of(cls, source: str, best: Sequence[Sequence[Params]], n_trials: int | None) -> "Start":
        """n_trials: of the sweep."""
        most = STARTERS if n_trials is None else max(1, n_trials // (SHARE * len(best)))
        return cls(source, tuple(map(tuple, best)), min(STARTERS, most, max(map(len, best))))

    def to_json(self) -> dict[str, object]:
        return {"source": self.source, "arms": [list(best) for best in self.best], "n_starters": self.n_starters}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Start":
        return cls(record["source"], tuple(map(tuple, record["arms"])), record["n_starters"])

    def spaces(self, spaces: Sequence[Space]) -> list[Space]:
        """The region of each arm's space that is searched."""
        return [narrowed(space, best) for space, best in zip(spaces, self.best, strict=True)]


def narrowed(space: Space, best: Sequence[Params]) -> Space:
    """The box around the best, as wide as MARGIN asks for; a key that they lack keeps its range, and a choice keeps all
    its values: which activation suits is no matter of nearness."""
    return {
        key: dist.around([params[key] for params in best], MARGIN)
        if isinstance(dist, Interval) and best and key in best[0]
        else dist
        for key, dist in space.items()
    }


def fitting(space: Space, params: Params) -> Params | None:
    """Of a trial's parameters those that a space searches, too; None if one of them lies outside."""
    common = {key: value for key, value in params.items() if key in space}
    return common if all(_contains(space, key, value) for key, value in common.items()) else None


def _contains(space: Space, key: str, value: Any) -> bool:
    dist = space[key]
    if isinstance(dist, Interval):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and dist.low <= value <= dist.high and (not dist.integer or value == int(value))
    return repr(value) in map(repr, dist.values)
