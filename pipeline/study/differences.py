"""How far a difference between two may be chance: what the leaderboard says of its first two, and of arms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The mean of the differences of pairs, and the interval that holds it with 95 % confidence."""

    pairs: int
    mean: float
    low: float
    high: float

    @property
    def tells(self) -> bool:
        """Whether the two can be told apart: chance alone would hardly make them differ so."""
        return self.low > 0 or self.high < 0

    def swapped(self) -> "Difference":
        return Difference(self.pairs, -self.mean, -self.high, -self.low)

    def __str__(self) -> str:
        mean, low, high = (round(value, 4) + 0.0 for value in (self.mean, self.low, self.high))  # no minus zero
        return f"{mean:+.4f} on the average, 95 % interval {low:+.4f} to {high:+.4f}"


def paired(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """`first` minus `second`, pair by pair; None with fewer than two pairs."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    interval = interval_of_mean(differences)
    return interval and Difference(len(differences), fmean(differences), *interval)


def interval_of_mean(values: Sequence[float]) -> tuple[float, float] | None:
    """mean +- t * sd / sqrt(n), where t is the quantile of Student's distribution with n - 1 degrees of freedom that
    leaves 2.5 % on each side (Student 1908). None with fewer than two values."""
    from scipy.special import stdtrit  # which takes a tenth of a second, and no other part of this process needs

    if (n := len(values)) < 2:
        return None
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * stdev(values) / math.sqrt(n)
    return fmean(values) - half, fmean(values) + half
