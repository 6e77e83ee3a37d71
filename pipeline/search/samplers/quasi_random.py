"""Quasi-random search: points of a Sobol sequence, which leave smaller gaps than independent draws (Sobol' 1967)."""

import itertools
import random
from collections.abc import Sequence

from pipeline.search.samplers.drawn import Draw, Drawn

BITS = 30
# Of each dimension after the first: its primitive polynomial and first direction numbers (Joe & Kuo 2008).
DIRECTIONS = (
    (3, 1), (7, 1, 3), (11, 1, 3, 1), (13, 1, 1, 1), (19, 1, 1, 3, 3), (25, 1, 3, 5, 13), (37, 1, 1, 5, 5, 17),
    (41, 1, 1, 5, 5, 5), (47, 1, 1, 7, 11, 19), (55, 1, 1, 5, 1, 1), (59, 1, 1, 1, 3, 11), (61, 1, 3, 5, 5, 31),
    (67, 1, 3, 3, 9, 7, 49), (91, 1, 1, 1, 15, 21, 21), (97, 1, 3, 1, 13, 27, 49), (103, 1, 1, 1, 15, 7, 5),
    (109, 1, 3, 1, 15, 13, 25), (115, 1, 1, 5, 5, 19, 61), (131, 1, 3, 7, 11, 23, 15, 103),
    (137, 1, 3, 7, 13, 13, 15, 69), (143, 1, 1, 3, 13, 7, 35, 63), (145, 1, 3, 5, 9, 1, 25, 53),
    (157, 1, 3, 1, 13, 9, 35, 107),
)  # fmt: skip
DIMENSIONS = len(DIRECTIONS) + 1


class QuasiRandom(Drawn):
    """Each seed and stage shifts the sequence elsewhere, key by key. A key past the 24th is drawn at random: a sequence
    of more dimensions would be no more even in so few trials."""

    def draws(self, seed: int, keys: Sequence[str]) -> Draw:
        place, sources = itertools.count(), {key: random.Random(f"{seed}/{self.search.stage}/{key}") for key in keys}
        shifts = [source.getrandbits(BITS) for source in sources.values()]

        def draw(point: int, attempt: int) -> dict[str, float]:
            n = next(place)
            return {
                key: (sobol(n, dimension) ^ shifts[dimension]) / 2**BITS if dimension < DIMENSIONS else source.random()
                for dimension, (key, source) in enumerate(sources.items())
            }

        return draw


def sobol(n: int, dimension: int) -> int:
    """The coordinate of the n-th point, out of 2^BITS."""
    gray, x = n ^ (n >> 1), 0
    for bit, number in enumerate(_NUMBERS[dimension]):
        if gray >> bit & 1:
            x ^= number
    return x


def _numbers(polynomial: int, first: Sequence[int]) -> list[int]:
    """The direction numbers of a dimension."""
    degree, m = len(first), list(first)
    for k in range(degree, BITS):
        new = m[k - degree] ^ (m[k - degree] << degree)
        for i in range(1, degree):
            if polynomial >> (degree - i) & 1:
                new ^= m[k - i] << i
        m.append(new)
    return [number << (BITS - 1 - k) for k, number in enumerate(m)]


_NUMBERS = [[1 << (BITS - 1 - k) for k in range(BITS)], *(_numbers(p, first) for p, *first in DIRECTIONS)]
