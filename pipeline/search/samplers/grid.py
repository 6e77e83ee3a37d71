"""Grid search: every combination of values that are evenly spaced on their scales."""

import itertools
import math
from collections.abc import Iterator

from pipeline.errors import InputError
from pipeline.search.samplers.sampler import MOST_TRIALS, Point, Sampler, Search

GRID_POINTS = 5  # of a range, unless the sweep says otherwise


class Grid(Sampler):
    """points: values a range; a choice has all of its own. Arm by arm at each point, so that a sweep cut short has
    compared them."""

    staged = False  # the whole grid is one stage

    def __init__(self, search: Search, *, points: int | None = None) -> None:
        super().__init__(search)
        self._axes = [{key: dist.grid(points or GRID_POINTS) for key, dist in space.items()} for space in search.spaces]
        self._points = self._all()

    def total(self) -> int:
        """Raises InputError if there are more than the sweep's n_trials."""
        axes, n_trials = self._axes, self.search.n_trials
        total = sum(math.prod(map(len, arm.values())) for arm in axes)
        if total > (n_trials or MOST_TRIALS):
            shape = " x ".join(f"{key} ({len(values)})" for key, values in axes[0].items())
            raise InputError(
                f"sweep=grid has {total} trials ({shape}{f', {len(axes)} arms' if len(axes) > 1 else ''}), "
                f"but {f'sweep.n_trials={n_trials}' if n_trials else f'{MOST_TRIALS} are the most'}. "
                "Pin a key, lower sweep.points or sweep.max_tier, or raise sweep.n_trials."
            )
        return total

    def ask(self, n: int) -> list[Point]:
        return list(itertools.islice(self._points, n))

    def _all(self) -> Iterator[Point]:
        alike = len({tuple((key, len(axis)) for key, axis in axes.items()) for axes in self._axes}) == 1
        rows = itertools.zip_longest(*(itertools.product(*axes.values()) for axes in self._axes))
        for number, row in enumerate(rows):
            pair = number if alike else None  # of other hyperparameters there are other points
            for arm, at in enumerate(row):
                if at is not None:
                    yield Point(arm, dict(zip(self._axes[arm], at, strict=True)), exact=True, pair=pair)
