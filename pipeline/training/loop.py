"""The epochs of a cohort, of one trial or many: train, validate, keep the best, stop early, save the state."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.errors import InputError, in_one_line
from pipeline.objective import Objective
from pipeline.training import checkpoint
from pipeline.training.progress import Progress, not_finite

LEAST_COMPILING = 1.0  # seconds
Emit = Callable[[dict[str, Any]], None]


class Interrupted(Exception):
    """Training was asked to stop: between epochs with its state saved, within one with the last checkpoint's."""


class Trainer(Protocol):
    """What trains the trials of a cohort, counted from 0; SoloTrainer has one."""

    waited: float  # seconds of the last epoch in which training waited for data

    @property
    def size(self) -> int: ...

    def epoch(self, rates: np.ndarray, should_stop: Callable[[], bool]) -> list[dict[str, float]] | None:
        """Trains an epoch at learning rates [P, steps] and validates; metrics a trial, None if asked to stop."""

    def weights(self, i: int) -> list[np.ndarray]:
        """What predicting needs, in the order of model.weights."""

    def state(self, i: int) -> dict[str, np.ndarray]:
        """Everything that training changes."""

    def keep(self, indices: list[int]) -> None:
        """Goes on with these trials only."""


@dataclass
class Member:
    """A trial of a cohort.

    rates: the learning rates [steps] of an epoch counted from 0. progress, and `best`, its best epoch's weights:
    where it begins. identity: what its checkpoint belongs to. diagnose: what to record of its layers, from its weights
    after an epoch.
    """

    number: int
    rates: Callable[[int], np.ndarray]
    patience: int | None
    state_path: Path
    identity: str
    emit: Emit
    progress: Progress
    best: list[np.ndarray] = field(default_factory=list)
    diagnose: Callable[[list[np.ndarray]], dict[str, Any]] | None = None


@dataclass
class Outcome:
    """status: `completed`, `diverged` or `failed`, with the reason, or `paused`, to go on from its state.h5."""

    status: str
    reason: str | None = None


def train(
    trainer: Trainer,
    members: list[Member],
    *,
    epochs: int,
    until: int | None = None,
    objective: Objective,
    checkpoint_seconds: float,
    finished: Callable[[Member, Outcome], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Trains members, all at the same epoch, up to `epochs` epochs, or only `until` this one.

    A member that ends is handed to `finished` at once, its state saved: after its last epoch, when its patience is
    over, paused at `until`, or `diverged` with a metric that is not finite; what is saved of it then is its best
    weights and its last checkpoint's state, which was finite. The others go on, and the trainer lets go of those that
    ended once that saves time.
    Raises Interrupted when `should_stop` turns true, with every running member's state saved if between epochs.
    """
    running = list(members)
    places = {member.number: i for i, member in enumerate(members)}  # in the trainer
    saved_at = time.monotonic()
    slowest = quickest = 0.0
    began_with = len(members)

    def save(member: Member) -> None:
        state = trainer.state(places[member.number])
        checkpoint.save(member.state_path, state, member.best, member.progress, member.identity)

    def end(member: Member, outcome: Outcome) -> None:
        running.remove(member)
        try:
            if outcome.status in ("completed", "paused"):
                save(member)
            elif outcome.status == "diverged" and member.best:
                finite = checkpoint.load(member.state_path, member.identity)
                state = finite[0] if finite else {}
                checkpoint.save(member.state_path, state, member.best, member.progress, member.identity)
        except OSError as error:
            outcome = unsaved(member, error)
        finished(member, outcome)

    def unsaved(member: Member, error: OSError) -> Outcome:
        """The end of a member whose folder takes no more; the others go on."""
        return Outcome("failed", f"{error.strerror}: {error.filename or member.state_path}")

    def settle() -> None:
        """Ends the members that are done."""
        for member in list(running):
            progress = member.progress
            if progress.epoch >= epochs:
                end(member, Outcome("completed"))
            elif progress.patience_is_over(member.patience):
                reason = f"stopped early: {member.patience} epochs without a better one"
                end(member, Outcome("completed", reason))
            elif until is not None and progress.epoch >= until:
                end(member, Outcome("paused"))

    settle()
    for member in running:
        if not member.progress.epoch and (start := _diagnosis(member, partial(trainer.weights, places[member.number]))):
            member.emit({"event": "diagnosed", "epoch": 0, **start})
    while running:
        if should_stop():
            for member in running:
                save(member)
            raise Interrupted
        epoch = running[0].progress.epoch
        live = {places[member.number]: member.rates(epoch) for member in running}
        nothing = np.zeros_like(next(iter(live.values())))
        rates = np.stack([live.get(i, nothing) for i in range(trainer.size)])
        began = time.perf_counter()
        results = trainer.epoch(rates, should_stop)
        if results is None:  # in mid-epoch: the last checkpoint is what a resume starts from
            raise Interrupted
        seconds = time.perf_counter() - began
        quickest = min(quickest, seconds) if slowest else seconds
        slowest = max(slowest, seconds)
        share, wait = seconds / len(running), trainer.waited / seconds
        for member in list(running):
            i = places[member.number]
            member.progress.cohort = trainer.size
            facts = {"learning_rate": float(rates[i][-1]), "data_wait": wait}
            _take(member, results[i], facts, share, seconds, objective, partial(trainer.weights, i))
            if (bad := not_finite(results[i])) is not None:
                reason = f"{bad} is {results[i][bad]} in epoch {member.progress.epoch + 1}"
                end(member, Outcome("diverged", reason))
        settle()
        if running and time.monotonic() - saved_at >= checkpoint_seconds:
            for member in list(running):
                try:
                    save(member)
                except OSError as error:
                    end(member, unsaved(member, error))
            saved_at = time.monotonic()
        left = (until or epochs) - epoch - 1
        # Half of those that began here: places filled up for the sake of equal rounding stay filled.
        if 0 < len(running) <= began_with / 2 and _worth_compacting(
            len(running), trainer.size, left, quickest, slowest
        ):
            trainer.keep([places[member.number] for member in running])
            places = {member.number: i for i, member in enumerate(running)}
            began_with, slowest = len(running), 0.0


def _take(
    member: Member,
    metrics: dict[str, float],
    facts: dict[str, float],
    share: float,
    seconds: float,
    objective: Objective,
    weights: Callable[[], list[np.ndarray]],
) -> None:
    """One more epoch of a member. facts: what else its event says; seconds: what the epoch took for the whole cohort;
    share: this member's part."""
    progress = member.progress
    progress.seconds += share
    finite = not_finite(metrics) is None
    if finite and progress.update(metrics, objective):
        member.best = weights()
    epoch = progress.epoch if finite else progress.epoch + 1
    times = {"seconds": share} if share == seconds else {"seconds": share, "cohort_seconds": seconds}
    layers = _diagnosis(member, weights)
    member.emit({"event": "epoch", "epoch": epoch, **metrics, **facts, **times, **layers})


def _diagnosis(member: Member, weights: Callable[[], list[np.ndarray]]) -> dict[str, Any]:
    """What an event gains of a member's layers. If it can't be had the member says why, once, and trains on: only
    data that can't be read would fail it in training, too."""
    if member.diagnose is None:
        return {}
    trained = weights()
    try:
        return member.diagnose(trained)
    except (InputError, OSError):
        raise
    except Exception as error:
        member.diagnose = None
        member.emit({"event": "undiagnosed", "reason": in_one_line(error)})
        return {}


def _worth_compacting(running: int, size: int, epochs_left: int, quickest: float, slowest: float) -> bool:
    """Whether going on without the trials that ended saves more than it costs: a new size is compiled anew, which
    took as much longer as the first epoch did, unless a probe had compiled it before."""
    saved = epochs_left * quickest * (1 - running / size)
    return saved > max(slowest - quickest, LEAST_COMPILING)
