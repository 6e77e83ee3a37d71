"""The time by which a cohort is to have paused: a sweep has a budget."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

MARGIN = 1.1  # times the last epoch, which the next one may take


@dataclass
class Deadline:
    """at: seconds since 1970, by which all is to be saved; None: never."""

    at: float | None = None
    epoch: float = 0.0  # seconds of the last one
    saving: float | None = None  # seconds for a trial; None: not measured yet

    def passed(self, n_trials: int) -> bool:
        """Whether another epoch of so many trials, with their states saved after it, would end too late. Before the
        first nobody knows how long one takes."""
        if self.at is None:
            return False
        return time.time() + MARGIN * self.epoch + n_trials * (self.saving or 0.0) >= self.at

    def take_epoch(self, seconds: float) -> None:
        # The first one of a computation may have been compiled in it.
        self.epoch = seconds

    def take_saving(self, save: Callable[[], None]) -> None:
        """Measures, once, what saving a trial takes."""
        if self.at is None or self.saving is not None:
            return
        began = time.perf_counter()
        with contextlib.suppress(OSError):  # what can't be saved is told of when it must be
            save()
        self.saving = time.perf_counter() - began
