"""A search replayed on a table of curves: a sampler asks, the nearest trial that it has not had answers.

What asks, compares and stops are the project's own functions. Epochs are counted as if trials were trained one after
the other, up to each rung in turn: a sampler that asks for many at once gains nothing by that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.events import Status
from pipeline.objective import Objective
from pipeline.records import Trial
from pipeline.schema import Halving, Target
from pipeline.search.halving import promoted, pruned, rungs
from pipeline.search.samplers.sampler import Outcome, Search, make_sampler
from tests.benchmarks.curves import Curves

COHORT = 64  # trials at a time, of samplers that would give all at once
LOSS = Objective("val_loss", "minimize")


@dataclass(frozen=True)
class Way:
    """A way to search."""

    sampler: str  # in pipeline.search.samplers
    halving: Halving | None = None


@dataclass(frozen=True)
class Replayed:
    """A trial of a replay, and the row of the table that says what it does."""

    trial: Trial
    row: int


class Replay:
    """One search. limit: of epochs, at which it is given up."""

    def __init__(self, table: Curves, way: Way, seed: int, limit: float = np.inf) -> None:
        self._table, self._way, self._limit = table, way, limit
        self._n, self._epochs = table.losses.shape
        finite = np.isfinite(table.losses)
        self._lengths = np.where(finite.all(axis=1), self._epochs, np.argmin(finite, axis=1) + 1)  # where it diverged
        self._free = np.ones(self._n, bool)
        search = Search((table.space,), (seed,), 0, self._n)
        self._sampler = make_sampler(Target(f"pipeline.search.samplers.{way.sampler}"), search)
        self.trained: list[Replayed] = []
        self.spent = 0

    def epochs_to(self, goal: float) -> float:
        """How many epochs it takes to a loss of `goal` or less; infinite if it is not reached."""
        size = self._sampler.generation or COHORT
        while self._free.any() and self.spent < self._limit:
            points = self._sampler.ask(min(size, int(self._free.sum())))
            if not points:
                break
            asked = np.array([[point.coordinates[key] for key in self._table.space] for point in points])
            number = len(self.trained)
            generation = [
                Replayed(Trial(number + i, "s", 0, {}), self._table.taken(at, self._free)) for i, at in enumerate(asked)
            ]
            first = len(self.trained)
            self.trained += generation
            for begin, end in self._segments():
                for place in self._going_on(begin):
                    reached = self._train(place, begin, end, goal)
                    if reached is not None:
                        return reached
                if end < self._epochs:
                    self._compare(end)
            if self._sampler.generation:
                self._sampler.tell([self._outcome(trained) for trained in self.trained[first:]])
        return np.inf

    def _segments(self) -> Sequence[tuple[int, int]]:
        ends = [*rungs(self._way.halving, self._epochs), self._epochs]
        return list(zip([0, *ends], ends))

    def _going_on(self, begin: int) -> list[int]:
        """The places of those that train on from an epoch."""
        trials = [trained.trial for trained in self.trained]
        return [trial.number for trial in trials if trial.status is None and trial.reached == begin]

    def _train(self, place: int, begin: int, end: int, goal: float) -> float | None:
        """Trains a trial on to `end`; returns the epochs spent until it reached the goal, or None."""
        trial, row = self.trained[place].trial, self.trained[place].row
        stop = min(end, int(self._lengths[row]))
        hits = np.flatnonzero(self._table.lowest[row, begin:stop] <= goal)
        if len(hits):
            return float(self.spent + hits[0] + 1)
        self.spent += stop - begin
        diverged = not np.isfinite(self._table.losses[row, stop - 1])
        status = "diverged" if diverged else "completed" if stop == self._epochs else None
        self.trained[place] = replace(self.trained[place], trial=replace(trial, status=status, reached=stop))
        return None

    def _compare(self, rung: int) -> None:
        """Stops those that do not go on past a rung, compared by what all had there; those that had stopped and are
        among the best of more go on after all."""
        halving = self._way.halving
        assert halving is not None
        there = [replace(t.trial, metrics={"val_loss": self._table.lowest[t.row, rung - 1]}) for t in self.trained]
        for trial, _ in pruned(there, rung, halving.factor, LOSS):
            self._set(trial.number, "pruned")
        for trial in promoted(there, rung, halving.factor, LOSS):
            self._set(trial.number, None)

    def _set(self, number: int, status: Status | None) -> None:
        trained = self.trained[number]
        self.trained[number] = replace(trained, trial=replace(trained.trial, status=status))

    def _outcome(self, trained: Replayed) -> Outcome:
        trial, row = trained.trial, trained.row
        curve = np.where(np.isfinite(self._table.losses[row]), -self._table.losses[row], -np.inf)[: trial.reached]
        score = None if trial.status == "diverged" else float(-self._table.lowest[row, trial.reached - 1])
        at = dict(zip(self._table.space, self._table.coordinates[row].tolist(), strict=True))
        return Outcome(0, at, trial.status or "failed", score, tuple(curve.tolist()))
