"""What "better" means: one rule for the best epoch, early stopping, the leaderboard and the next region."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """A validation metric and its direction.

    Ties go to the lower val_loss: accuracy on a few hundred examples takes few distinct values, and the winner
    among equals should not be whoever ran first.
    """

    metric: str = "val_accuracy"
    direction: str = "maximize"

    def score(self, metrics: Mapping[str, float | None]) -> tuple[float, float]:
        """Sortable, larger is better. A metric that is missing or not finite is worse than any other."""

        def signed(name: str, sign: int) -> float:
            value = metrics.get(name)
            return sign * value if value is not None and math.isfinite(value) else -math.inf

        return signed(self.metric, 1 if self.direction == "maximize" else -1), signed("val_loss", -1)
