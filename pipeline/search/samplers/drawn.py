"""Points drawn without regard to any result: what Random and QuasiRandom have in common."""

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline.search.samplers.sampler import Point, Sampler, Search
from pipeline.search.space import Space, params_at

Draw = Callable[[int, int], Mapping[str, float]]  # of a point's place, and how often it has been drawn: u by key
MOST_DRAWS = 1000  # of one point: a space in which none of them is new has been tried


class Drawn(Sampler):
    """Every arm is tried on its draw before the next point. Arms of one seed share their draws and so compare in pairs;
    those of another seed repeat the search elsewhere. An arm that has nothing new left gets no more.
    """

    repeats = False

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        self._points = self._all()

    @abstractmethod
    def draws(self, seed: int, keys: Sequence[str]) -> Draw:
        """What draws each point of the arms of one seed, which search `keys` between them."""

    def ask(self, n: int) -> list[Point]:
        return list(itertools.islice(self._points, n))

    def of_arm(self, arm: int) -> Iterator[dict[str, float]]:
        """The points of one arm, as if there were no other that may have had the same values."""
        seed = self.search.seeds[arm]
        for (at,) in _points([self.search.spaces[arm]], self.draws(seed, self._keys(seed))):
            if at is not None:
                yield at

    def _keys(self, seed: int) -> list[str]:
        pairs = zip(self.search.spaces, self.search.seeds, strict=True)
        return list(dict.fromkeys(key for space, own in pairs if own == seed for key in space))

    def _all(self) -> Iterator[Point]:
        spaces, seeds = self.search.spaces, self.search.seeds
        sources = {
            seed: _points([s for s, own in zip(spaces, seeds, strict=True) if own == seed], self.draws(seed, keys))
            for seed, keys in ((seed, self._keys(seed)) for seed in dict.fromkeys(seeds))
        }
        pairs = {seed: place for place, seed in enumerate(sources)}  # of the first round; arms of a seed have one
        for first in itertools.count(step=len(sources)):
            drawn = {seed: iter(next(source, ())) for seed, source in sources.items()}
            asked = ((arm, seed, at) for arm, seed in enumerate(seeds) for at in itertools.islice(drawn[seed], 1))
            points = [Point(arm, at, pair=first + pairs[seed]) for arm, seed, at in asked if at is not None]
            if not points:
                return
            yield from points


def _points(spaces: Sequence[Space], draw: Draw) -> Iterator[list[dict[str, float] | None]]:
    """The points of one seed, each as coordinates in all of `spaces`: None in one that has had the same values.

    A point that is new in none is drawn again, so that a small space of choices is not tried twice; the end is where
    MOST_DRAWS find nothing new.
    """
    seen: list[set[str]] = [set() for _ in spaces]
    for point in itertools.count():
        for attempt in range(MOST_DRAWS):
            u = draw(point, attempt)
            drawn = [{key: dist.place(u[key]) for key, dist in space.items()} for space in spaces]
            params = [repr(params_at(space, at)) for space, at in zip(spaces, drawn, strict=True)]
            new = [values not in had for values, had in zip(params, seen, strict=True)]
            if any(new):
                break
        else:
            return
        for values, had in zip(params, seen, strict=True):
            had.add(values)
        yield [at if is_new else None for at, is_new in zip(drawn, new, strict=True)]
