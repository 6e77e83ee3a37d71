"""Time as a sweep spent it: what passed between two starts is left out."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

PAUSE = 600.0  # seconds in which nothing was heard before a trial started: nobody was at work


class Clock:
    """starts, ends: when trials were started, and when epochs ended, in seconds since 1970."""

    def __init__(self, starts: Sequence[float], ends: Sequence[float]) -> None:
        times = sorted([*((time, True) for time in starts), *((time, False) for time in ends)])
        self.begun = times[0][0] if times else None
        pauses = [(b, b - a) for (a, _), (b, start) in pairwise(times) if start and b - a > PAUSE]
        self._over = [time for time, _ in pauses]
        self._sums = [0.0, *accumulate(length for _, length in pauses)]

    def seconds(self, time: float) -> float:
        """Since the first trial began, without the pauses."""
        return time - (self.begun or 0.0) - self._sums[bisect_left(self._over, time + 1e-9)]
