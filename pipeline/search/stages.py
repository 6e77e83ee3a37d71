"""Which points a stage tries, and how the next stage's region follows from its results."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import InputError
from pipeline.search.space import Space

Params = dict[str, Any]
GRID_POINTS = 5  # of a range, unless the sweep says otherwise
MOST_TRIALS = 100_000  # beyond this a sweep is a slip of the pen, and its list alone fills memory


def sizes(stages: Mapping[str, int | None], n_trials: int | None) -> dict[str, int | None]:
    """How many trials each stage has, in total over its arms.

    A stage without a number gets an even share of what `n_trials` leaves, earlier ones the remainder; where
    neither says, the result is None and the stage tries all it has (a grid).
    Raises InputError if the numbers don't add up or leave a stage without a trial.
    """
    said = sum(n for n in stages.values() if n is not None)
    free = [name for name, n in stages.items() if n is None]
    if n_trials is None:
        return dict(stages)
    left = n_trials - said
    if (not free and left) or left < len(free):
        raise InputError(
            f"sweep.n_trials={n_trials} is the total of all stages ({', '.join(stages)}), of which {said} are given "
            f"in sweep.stages. It must be {said if not free else f'at least {said + len(free)}'}."
        )
    share = {name: left // len(free) + (i < left % len(free)) for i, name in enumerate(free)}
    return {name: share.get(name, n) for name, n in stages.items()}


def draw(seed: int, stage: int, point: int, attempt: int, key: str) -> float:
    """The u in [0, 1) of one parameter of one point.

    A pure function of its arguments: trials do not depend on the number of workers or on which trials ran
    before, and a parameter's draws stay the same when another is pinned or freed.
    """
    return random.Random(f"{seed}/{stage}/{point}/{attempt}/{key}").random()


def random_points(spaces: Sequence[Space], n_trials: int, seeds: Sequence[int], stage: int) -> list[tuple[int, Params]]:
    """(arm, parameters) of `n_trials` trials: every arm is tried on its draw before the next point.

    seeds: one an arm. Arms of one seed share their draws and so compare in pairs; those of another seed repeat the
    search elsewhere. Where a seed has nothing new left its arms get no more, and the list may end short.
    """
    sources = {
        seed: _points([s for s, own in zip(spaces, seeds, strict=True) if own == seed], seed, stage)
        for seed in dict.fromkeys(seeds)
    }
    trials: list[tuple[int, Params]] = []
    while len(trials) < n_trials:
        drawn = {seed: iter(next(source, ())) for seed, source in sources.items()}
        tried = [(arm, params) for arm, seed in enumerate(seeds) for params in itertools.islice(drawn[seed], 1)]
        if not tried:
            break
        trials += tried
    return trials[:n_trials]


def _points(spaces: Sequence[Space], seed: int, stage: int) -> Iterator[list[Params]]:
    """The points of one seed, each as the parameters of all of `spaces`.

    A point that has been is drawn again, so that a small space of choices is not tried twice; the end is where 1,000
    draws find nothing new.
    """
    seen: set[str] = set()
    for point in itertools.count():
        for attempt in range(1000):
            params = [
                {key: dist.at(draw(seed, stage, point, attempt, key)) for key, dist in space.items()}
                for space in spaces
            ]
            if repr(params) not in seen:
                break
        else:
            return
        seen.add(repr(params))
        yield params


def grid_points(spaces: Sequence[Space], n_trials: int | None, points: int) -> list[tuple[int, Params]]:
    """(arm, parameters) of every grid point. Raises InputError if there are more than `n_trials`."""
    axes = [{key: dist.grid(points) for key, dist in space.items()} for space in spaces]
    total = sum(math.prod(map(len, arm.values())) for arm in axes)
    if total > (n_trials or MOST_TRIALS):
        shape = " x ".join(f"{key} ({len(values)})" for key, values in axes[0].items())
        raise InputError(
            f"sweep=grid has {total} trials ({shape}{f', {len(spaces)} arms' if len(spaces) > 1 else ''}), "
            f"but {f'sweep.n_trials={n_trials}' if n_trials else f'{MOST_TRIALS} are the most'}. "
            "Pin a key, lower sweep.points or sweep.max_tier, or raise sweep.n_trials."
        )
    grids = [[dict(zip(arm, values, strict=True)) for values in itertools.product(*arm.values())] for arm in axes]
    rows = itertools.zip_longest(*grids)
    return [(arm, params) for row in rows for arm, params in enumerate(row) if params is not None]


def points_of(
    spaces: Sequence[Space], sweep: Mapping[str, Any], n_trials: int | None, seeds: Sequence[int], stage: int
) -> list[tuple[int, Params]]:
    """(arm, parameters) of every trial of a stage, by the sweep's strategy; spaces, seeds: one an arm."""
    if sweep["strategy"] == "grid":
        return grid_points(spaces, n_trials, sweep["points"] or GRID_POINTS)
    return random_points(spaces, n_trials or 0, seeds, stage)


def refine(space: Space, ranked: Sequence[Params], original: Space, keep: float, margin: float) -> Space:
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
