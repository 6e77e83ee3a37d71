"""The epochs of a population, and what is done between them."""

import math
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.evolution import Evolution
from pipeline.records import Exploited
from pipeline.schema import Config, changed
from pipeline.training import checkpoint
from pipeline.training.checkpoint import SavedPopulation
from pipeline.training.fused.trainer import FusedTrainer
from pipeline.training.loop import EpochLoop, Member, Outcome, StopRequested
from pipeline.training.population.numbers import Numbers
from pipeline.training.progress import not_finite
from pipeline.training.trial import learning_rates

RATE = "optimizer.learning_rate"  # which the trainer gets epoch by epoch, as the schedule says
WORST = (-math.inf, -math.inf)  # of a trial whose metrics are not finite


@dataclass
class PopulationLoop(EpochLoop):
    """Trains a population to its end. Nobody stops early or is let go of: a member with a metric that is not finite is
    the worst, and copies another one when it next can. One file has the state of all, so that they are never at
    different epochs."""

    trainer: FusedTrainer
    _: KW_ONLY
    evolution: Evolution
    configs: Mapping[int, Config]  # with which they began, by number, for each place of the trainer
    numbers: Numbers
    steps: int  # of an epoch
    path: Path  # of the file
    identity: str  # what it belongs to
    saved: SavedPopulation | None = None  # what was in it
    silent: frozenset[int] = frozenset()  # members that leave nothing anywhere

    def __post_init__(self) -> None:
        super().__post_init__()
        self._failures: list[tuple[Member, Outcome]] = []  # of this epoch
        self._place = {number: place for place, number in enumerate(self.configs)}
        self._failed = self._paused = False  # whether any of them has
        self._params = dict(self.evolution.params)  # now
        if self.saved:
            self.trainer.set_whole(self.saved.state)
            self._params |= self.saved.params
        for number, place in self._place.items():
            self.numbers.set(place, self._params[number])
        self._set_numbers()
        for member in self.members:
            if self.saved:
                member.progress = self.saved.progress[member.number]
                member.best = self.saved.best.get(member.number, [])
            self._follow(member)
            if not member.progress.epoch:
                member.emit(Exploited(time.time(), 0, member.number, self._params[member.number]))

    @property
    def done(self) -> bool:
        """Whether all have come to their end, so that nobody goes on from the file."""
        return not self._failed and all(member.progress.epoch >= self.epochs for member in self.members)

    def _set_numbers(self) -> None:
        self.trainer.set_numbers(self.numbers.layers, self.numbers.optimizer, self.numbers.label_smoothing)

    def _follow(self, member: Member) -> None:
        """Gives a member the hyperparameters that are its own now."""
        params = member.hyperparameters = self._params[member.number]
        own = {key: value for key, value in params.items() if key == RATE or key.startswith("schedule.")}
        config = changed(self.configs[member.number], own)
        member.rates = partial(learning_rates, config, self.steps)

    def _train_epoch(self, epoch: int) -> None:
        try:
            super()._train_epoch(epoch)
        except StopRequested:  # in mid-epoch: the trainer stands where the epoch began
            self._save_all()
            raise

    def _diverge(self, member: Member, metrics: dict[str, float], reason: str) -> None:
        member.progress.epoch, member.progress.last_metrics = member.progress.epoch + 1, metrics

    def _between_epochs(self) -> None:
        if self._running and (epoch := self._running[0].progress.epoch) < self.epochs:
            self._copy(epoch)
        self._end_failed()

    def _copy(self, epoch: int) -> None:
        """The worst copy the best."""
        copies = self.evolution.copies(epoch, {m.number: self._score(m) for m in self._running}, self._params)
        if not copies:
            return
        sources = list(range(self.trainer.size))
        for copy in copies:
            sources[self._place[copy.trial]] = self._place[copy.source]
            self.numbers.set(self._place[copy.trial], copy.params)
        self.trainer.copy(sources)
        self._set_numbers()
        self._params |= {copy.trial: copy.params for copy in copies}
        members = {member.number: member for member in self._running}
        for copy in copies:
            self._follow(members[copy.trial])
            # Told before it is saved: a start from the file finds the lineage whole.
            members[copy.trial].emit(Exploited(time.time(), epoch, copy.source, copy.params))

    def _score(self, member: Member) -> tuple[float, ...]:
        metrics = member.progress.last_metrics
        return WORST if not_finite(metrics) else self.objective.score(metrics)

    def _end_finished(self) -> None:
        if not self._running or self._running[0].progress.epoch < self.epochs:
            return
        self._save_all()  # before the first of them has ended, after which it can't train again
        ended = list(self._running)
        for member in ended:
            bad = not_finite(metrics := member.progress.last_metrics)
            reason = f"{bad} is {metrics[bad]} in its last epoch" if bad else None
            self._end(member, Outcome("diverged" if bad else "completed", reason))

    def _end(self, member: Member, outcome: Outcome) -> None:
        if outcome.status == "failed":
            self._running.remove(member)
            self._failures.append((member, outcome))
        else:
            if outcome.status == "paused" and not self._paused:  # all of them do now
                self._paused = True
                self._save_all()
            super()._end(member, outcome)

    def _end_failed(self) -> None:
        """Members fail one by one, of their own callbacks. The others no longer copy them, nor does who goes on from
        the file once that is written down."""
        if self._failures:
            self._failed = True
            self._save_all()
        for member, outcome in self._failures:
            self._running.append(member)
            super()._end(member, outcome)
        self._failures = []

    def run(self) -> None:
        super().run()
        self._end_failed()

    def _save_all(self) -> None:
        everyone = {member.number: member for member in self.members}
        checkpoint.save_population(
            self.path,
            SavedPopulation(
                self.trainer.whole(),
                {number: member.progress for number, member in everyone.items()},
                {number: member.best for number, member in everyone.items() if member.best},
                self._params,
            ),
            self.identity,
        )

    def _checkpoint(self) -> None:
        self._save_all()

    def _save(self, member: Member, state: dict[str, np.ndarray] | None = None) -> None:
        if member.number not in self.silent:
            super()._save(member, state)
