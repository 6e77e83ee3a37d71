"""Random search: every point drawn independently from the whole space (Bergstra & Bengio 2012)."""

import itertools
import random
from collections.abc import Iterator, Sequence

from pipeline.search.samplers.sampler import Point, Sampler, Search
from pipeline.search.space import Space, params_at


def draw(seed: int, stage: int, point: int, attempt: int, key: str) -> float:
    """The u in [0, 1) of one parameter of one point.

    A pure function of its arguments: trials do not depend on the number of workers or on which trials ran
    before, and a parameter's draws stay the same when another is pinned or freed.
    """
    return random.Random(f"{seed}/{stage}/{point}/{attempt}/{key}").random()


class Random(Sampler):
    """Every arm is tried on its draw before the next point. Arms of one seed share their draws and so compare in pairs;
    those of another seed repeat the search elsewhere. An arm that has nothing new left gets no more.
    """

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        self._points = self._all()

    def ask(self, n: int) -> list[Point]:
        return list(itertools.islice(self._points, n))

    def _all(self) -> Iterator[Point]:
        spaces, seeds = self.search.spaces, self.search.seeds
        sources = {
            seed: _draws([s for s, own in zip(spaces, seeds, strict=True) if own == seed], seed, self.search.stage)
            for seed in dict.fromkeys(seeds)
        }
        while True:
            drawn = {seed: iter(next(source, ())) for seed, source in sources.items()}
            asked = ((arm, at) for arm, seed in enumerate(seeds) for at in itertools.islice(drawn[seed], 1))
            points = [Point(arm, at) for arm, at in asked if at is not None]
            if not points:
                return
            yield from points


def _draws(spaces: Sequence[Space], seed: int, stage: int) -> Iterator[list[dict[str, float] | None]]:
    """The points of one seed, each as coordinates in all of `spaces`: None in one that has had the same values.

    A point that is new in none is drawn again, so that a small space of choices is not tried twice; the end is where
    1,000 draws find nothing new.
    """
    seen: list[set[str]] = [set() for _ in spaces]
    for point in itertools.count():
        for attempt in range(1000):
            drawn = [
                {key: dist.place(draw(seed, stage, point, attempt, key)) for key, dist in space.items()}
                for space in spaces
            ]
            params = [repr(params_at(space, at)) for space, at in zip(spaces, drawn, strict=True)]
            new = [values not in had for values, had in zip(params, seen, strict=True)]
            if any(new):
                break
        else:
            return
        for values, had in zip(params, seen, strict=True):
            had.add(values)
        yield [at if is_new else None for at, is_new in zip(drawn, new, strict=True)]
