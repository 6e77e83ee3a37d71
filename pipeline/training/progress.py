"""Where a trial stands: epochs done, the best one, and why it ends."""

import math
from dataclasses import dataclass, field

from pipeline.objective import Objective


@dataclass
class Progress:
    epoch: int = 0  # epochs done
    best_epoch: int = 0  # from 1; 0: none yet
    best_metrics: dict[str, float] = field(default_factory=dict)  # of that epoch
    seconds: float = 0.0
    cohort: int = 1  # trials in the computation that did the last epoch
    members: list[int] = field(default_factory=list)  # their numbers, of those too that have ended and fill a place
    last_metrics: dict[str, float] = field(default_factory=dict)  # of the last epoch

    def update(self, metrics: dict[str, float], objective: Objective) -> bool:
        """Takes one more epoch; True if it is the best so far."""
        self.epoch, self.last_metrics = self.epoch + 1, dict(metrics)
        better = not self.best_epoch or objective.score(metrics) > objective.score(self.best_metrics)
        if better:
            self.best_epoch, self.best_metrics = self.epoch, dict(metrics)
        return better

    def patience_is_over(self, patience: int | None) -> bool:
        """Early stopping: `patience` epochs in a row without a better one; None never stops."""
        return patience is not None and self.epoch - self.best_epoch >= patience


def not_finite(metrics: dict[str, float]) -> str | None:
    """The name of the first metric that is NaN or infinite."""
    return next((name for name, value in metrics.items() if not math.isfinite(value)), None)
