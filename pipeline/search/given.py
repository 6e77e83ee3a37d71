"""Points that are known beforehand: the configurations with which a sweep starts."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.search.samplers.random import draw
from pipeline.search.samplers.sampler import Point, Sampler, Search
from pipeline.search.space import coordinates_of


class Given(Sampler):
    """Tries `points`, parameters by arm, an arm after the other; an arm without any draws as many as the one that has
    the most."""

    def __init__(self, search: Search, points: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(search)
        n = max(map(len, points))
        self._points = [
            self._point(arm, i, own) for i in range(n) for arm, own in enumerate(points) if i < len(own) or not own
        ]

    def total(self) -> int:
        return len(self._points)

    def ask(self, n: int) -> list[Point]:
        asked, self._points = self._points[:n], self._points[n:]
        return asked

    def _point(self, arm: int, i: int, own: Sequence[Mapping[str, Any]]) -> Point:
        space, seed = self.search.spaces[arm], self.search.seeds[arm]
        if own:
            return Point(arm, coordinates_of(space, own[i]), exact=True)
        # Of no stage: a sweep of the same seed began with those of the first, and its best are what the others try.
        return Point(arm, {key: dist.place(draw(seed, -1, i, 0, key)) for key, dist in space.items()})
