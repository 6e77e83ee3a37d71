"""The epochs of a cohort, of one trial or many: train, validate, keep the best, stop early, save the state."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.objective import Objective
from pipeline.records import Diagnosed, EpochEnded, Event, Grouped, Status
from pipeline.training import checkpoint
from pipeline.training.callbacks import Observation, Watch
from pipeline.training.deadline import Deadline
from pipeline.training.progress import Progress, not_finite

LEAST_COMPILING = 1.0  # seconds
Emit = Callable[[Event], None]


class StopRequested(Exception):
    """Training was asked to stop: between epochs with its state saved, within one with the last checkpoint's."""


class DeadlinePassed(StopRequested):
    """The deadline of a job has passed: what has not begun does not."""


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
    """A trial of a cohort."""

    number: int
    rates: Callable[[int], np.ndarray]  # the learning rates [steps] of an epoch counted from 0
    patience: int | None  # epochs without a better one before it stops
    state_path: Path
    identity: str  # what its checkpoint belongs to
    emit: Emit
    progress: Progress  # where it begins
    best: list[np.ndarray] = field(default_factory=list)  # its best epoch's weights
    watch: Watch = field(default_factory=Watch)  # its callbacks
    hyperparameters: Mapping[str, Any] | None = None  # those that change while it trains


@dataclass
class Outcome:
    """How a member's training ends: `completed`, `diverged`, `failed` or, to go on from its state.h5, `paused`."""

    status: Status
    reason: str | None = None
    error: Exception | None = None  # that it failed of


def worth_compacting(running: int, size: int, epochs_left: int, quickest: float, slowest: float) -> bool:
    """Whether going on with `running` of `size` trials saves more than it costs: a new size is compiled anew, which
    took as much longer as the first epoch did, unless it had been compiled before."""
    saved = epochs_left * quickest * (1 - running / size)
    return saved > max(slowest - quickest, LEAST_COMPILING)


@dataclass
class EpochLoop:
    """Trains members, all at the same epoch.

    A member that ends is handed to `finished` at once, its state saved: after its last epoch, when its patience is
    over, paused at `until`, or `diverged` with a metric that is not finite; what is saved of it then is its best
    weights and its last checkpoint's state, which was finite. The others go on, and the trainer lets go of those that
    ended once that saves time.
    """

    trainer: Trainer
    members: list[Member]
    places: Sequence[int] = ()  # of the members in the trainer, who may not be alone there; none: 0, 1, 2 …
    _: KW_ONLY
    epochs: int
    objective: Objective
    checkpoint_seconds: float
    finished: Callable[[Member, Outcome], None]
    until: int | None = None  # pauses after this epoch
    deadline: Deadline = field(default_factory=Deadline)  # pauses where another epoch would end later
    should_stop: Callable[[], bool] = lambda: False
    compacts: Callable[[int, int, int, float, float], bool] = worth_compacting
    compiling: float = 0.0  # seconds that compiling the trainer has taken, which count as the first epoch's

    def __post_init__(self) -> None:
        self._running = list(self.members)
        self._places = {m.number: place for m, place in zip(self.members, self.places or range(len(self.members)))}
        self._began_with = len(self.members)
        self._slowest = self._quickest = 0.0  # epochs since the trainer was last compiled, in seconds

    def run(self) -> None:
        """Raises StopRequested when `should_stop` turns true, with every running member's state saved if between
        epochs."""
        saved_at = time.monotonic()
        self._end_finished()
        for member in [member for member in self._running if not member.progress.epoch]:
            with self._failing(member):
                self._record_start(member)
        while self._running:
            if self.should_stop():
                self._save_all()
                raise StopRequested
            if self.deadline.passed(len(self._running)):
                for member in list(self._running):
                    self._end(member, Outcome("paused"))
                return
            for member in list(self._running):
                with self._failing(member):
                    progress = member.progress
                    member.watch.before_epoch(progress.epoch, progress.last_metrics, self._weights(member))
            if not self._running:
                return
            epoch = self._running[0].progress.epoch
            self._train_epoch(epoch)
            self._between_epochs()
            self._end_finished()
            if self._running:
                self.deadline.take_saving(lambda: self._save(self._running[0]))
            if self._running and time.monotonic() - saved_at >= self.checkpoint_seconds:
                self._checkpoint()
                saved_at = time.monotonic()
            self._compact((self.until or self.epochs) - epoch - 1)

    def _train_epoch(self, epoch: int) -> None:
        live = {self._places[member.number]: member.rates(epoch) for member in self._running}
        nothing = np.zeros_like(next(iter(live.values())))
        rates = np.stack([live.get(i, nothing) for i in range(self.trainer.size)])
        began = time.perf_counter()
        results = self.trainer.epoch(rates, self.should_stop)
        if results is None:  # in mid-epoch: the last checkpoint is what a resume starts from
            raise StopRequested
        seconds = time.perf_counter() - began
        self.deadline.take_epoch(seconds)
        seconds, self.compiling = self.compiling + seconds, 0.0
        self._quickest = min(self._quickest, seconds) if self._slowest else seconds
        self._slowest = max(self._slowest, seconds)
        n = len(self._running)
        for member in list(self._running):
            i = self._places[member.number]
            self._record_epoch(member, results[i], float(rates[i][-1]), seconds, n)
            if member in self._running and (bad := not_finite(results[i])) is not None:
                self._diverge(member, results[i], f"{bad} is {results[i][bad]} in epoch {member.progress.epoch + 1}")

    def _diverge(self, member: Member, metrics: dict[str, float], reason: str) -> None:
        """What becomes of a member with a metric that is not finite."""
        self._end(member, Outcome("diverged", reason))

    def _between_epochs(self) -> None:
        """Whatever else is done after each epoch."""

    def _record_epoch(self, member: Member, metrics: dict[str, float], rate: float, seconds: float, n: int) -> None:
        """One more epoch of a member, which took `seconds` for all `n` of the cohort."""
        progress, weights = member.progress, self._weights(member)
        progress.seconds += seconds / n
        progress.cohort = self.trainer.size
        finite = not_finite(metrics) is None
        if finite and progress.update(metrics, self.objective):
            member.best = weights()
        epoch = progress.epoch if finite else progress.epoch + 1
        observed, failure = Observation(), None
        try:
            observed = member.watch.after_epoch(epoch, metrics, weights)
        except Exception as error:
            failure = error
        member.emit(
            EpochEnded(
                time.time(),
                epoch,
                {**metrics, **observed.metrics},
                learning_rate=rate,
                data_wait=self.trainer.waited / seconds,
                seconds=seconds / n,
                cohort_seconds=seconds if n > 1 else None,
                hyperparameters=member.hyperparameters,
                diagnostics=observed.layers or None,
            )
        )
        if failure:
            self._end(member, Outcome("failed", error=failure))

    def _record_start(self, member: Member) -> None:
        observed = member.watch.at_start(self._weights(member))
        if observed != Observation():
            member.emit(Diagnosed(time.time(), 0, observed.metrics.get("probe_loss"), observed.layers))

    @contextlib.contextmanager
    def _failing(self, member: Member, kind: type[Exception] = Exception) -> Iterator[None]:
        """An error here, a callback's mostly, is the end of its member."""
        try:
            yield
        except kind as error:
            self._end(member, Outcome("failed", error=error))

    def _weights(self, member: Member) -> Callable[[], list[np.ndarray]]:
        return partial(self.trainer.weights, self._places[member.number])

    def _end_finished(self) -> None:
        for member in list(self._running):
            progress = member.progress
            if progress.epoch >= self.epochs:
                self._end(member, Outcome("completed"))
            elif progress.patience_is_over(member.patience):
                reason = f"stopped early: {member.patience} epochs without a better one"
                self._end(member, Outcome("completed", reason))
            elif self.until is not None and progress.epoch >= self.until:
                self._end(member, Outcome("paused"))

    def _end(self, member: Member, outcome: Outcome) -> None:
        self._running.remove(member)
        try:
            if outcome.status in ("completed", "paused"):
                self._save(member)
            elif outcome.status == "diverged" and member.best:
                finite = checkpoint.load(member.state_path, member.identity)
                self._save(member, finite[0] if finite else {})
        except OSError as error:
            outcome = Outcome("failed", error=error)
        if outcome.status in ("completed", "diverged"):
            progress = member.progress
            try:
                member.watch.at_end(progress.epoch, progress.last_metrics, member.best, outcome.status)
            except Exception as error:
                outcome = Outcome("failed", error=error)
        self.finished(member, outcome)

    def _save_all(self) -> None:
        """The state of all that run, before training stops."""
        for member in self._running:
            self._save(member)

    def _checkpoint(self) -> None:
        """The same while training goes on."""
        for member in list(self._running):
            with self._failing(member, OSError):  # its folder takes no more; the others go on
                self._save(member)

    def _save(self, member: Member, state: dict[str, np.ndarray] | None = None) -> None:
        """state: to be saved; None: what the trainer has."""
        state = self.trainer.state(self._places[member.number]) if state is None else state
        checkpoint.save(member.state_path, state, member.best, member.progress, member.identity)

    def _compact(self, epochs_left: int) -> None:
        """Lets the trainer go on without the trials that ended, where that saves more than it costs."""
        n, times = len(self._running), (self._quickest, self._slowest)
        # Half of those that began here: places filled up for the sake of equal rounding stay filled.
        if 0 < n <= self._began_with / 2 and self.compacts(n, self.trainer.size, epochs_left, *times):
            self.trainer.keep([self._places[member.number] for member in self._running])
            self._places = {member.number: i for i, member in enumerate(self._running)}
            self._began_with, self._slowest = n, 0.0
            for member in self._running:
                member.progress.members = list(self._places)
                member.emit(Grouped(time.time(), member.progress.epoch, list(self._places)))
