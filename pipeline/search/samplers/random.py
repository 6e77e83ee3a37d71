"""Random search: every point drawn independently from the whole space (Bergstra & Bengio 2012)."""

import random
from collections.abc import Sequence

from pipeline.search.samplers.drawn import Draw, Drawn


def draw(seed: int, stage: int, point: int, attempt: int, key: str) -> float:
    """The u in [0, 1) of one parameter of one point.

    A pure function of its arguments: trials do not depend on the number of workers or on which trials ran
    before, and a parameter's draws stay the same when another is pinned or freed.
    """
    return random.Random(f"{seed}/{stage}/{point}/{attempt}/{key}").random()


class Random(Drawn):
    def draws(self, seed: int, keys: Sequence[str]) -> Draw:
        stage = self.search.stage
        return lambda point, attempt: {key: draw(seed, stage, point, attempt, key) for key in keys}
