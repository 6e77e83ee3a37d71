"""The epochs of one trial: train, validate, keep the best, stop early, save the state."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.objective import Objective
from pipeline.training import checkpoint
from pipeline.training.progress import Progress, not_finite
from pipeline.training.solo import SoloTrainer

Emit = Callable[[dict[str, Any]], None]


class Interrupted(Exception):
    """Training was asked to stop: between epochs with its state saved, within one with the last checkpoint's."""


@dataclass
class Outcome:
    """status: `completed` or `diverged`, with the reason; best: weights of the best epoch, empty if none was."""

    status: str
    reason: str | None
    progress: Progress
    best: list[np.ndarray] = field(default_factory=list)


def train(
    trainer: SoloTrainer,
    *,
    epochs: int,
    rates: Callable[[int], np.ndarray],
    objective: Objective,
    patience: int | None,
    state_path: Path,
    checkpoint_seconds: float,
    progress: Progress,
    best: list[np.ndarray],
    identity: str = "",
    emit: Emit,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Trains from `progress` (and `best`, its weights) up to `epochs` epochs.

    rates: the learning rates [steps] of an epoch counted from 0.
    A metric that is not finite ends the trial as `diverged`; what is on disk then is the last checkpoint, which
    was finite, if there was one. identity: what the checkpoint belongs to.
    Raises Interrupted when `should_stop` turns true.
    """
    saved_at = time.monotonic()

    def save() -> None:
        checkpoint.save(state_path, trainer.state(), best, progress, identity)

    while progress.epoch < epochs and not progress.patience_is_over(patience):
        if should_stop():
            save()
            raise Interrupted
        began = time.perf_counter()
        epoch_rates = rates(progress.epoch)
        trained = trainer.train_epoch(epoch_rates, should_stop)
        if trained is None:  # in mid-epoch: the last checkpoint is what a resume starts from
            raise Interrupted
        metrics = {**trained, **trainer.evaluate()}
        seconds = time.perf_counter() - began
        progress.seconds += seconds
        bad = not_finite(metrics)
        if bad is None and progress.update(metrics, objective):
            best = trainer.weights()
        epoch = progress.epoch if bad is None else progress.epoch + 1
        rate = float(epoch_rates[-1])
        emit({"event": "epoch", "epoch": epoch, **metrics, "learning_rate": rate, "seconds": seconds})
        if bad is not None:
            return Outcome("diverged", f"{bad} is {metrics[bad]} in epoch {epoch}", progress, best)
        if time.monotonic() - saved_at >= checkpoint_seconds:
            save()
            saved_at = time.monotonic()
    save()
    reason = None if progress.epoch >= epochs else f"stopped early: {patience} epochs without a better one"
    return Outcome("completed", reason, progress, best)
