"""The trials of a stage as its sampler asks for them: generation by generation, each told of before the next."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from pipeline.objective import Objective
from pipeline.records import SCORED, EpochEnded, Trial
from pipeline.search.plan import Plan
from pipeline.search.samplers.sampler import Outcome
from pipeline.search.space import Params, Space, coordinates_of, params_at
from pipeline.study.ledger import Ledger
from pipeline.tracking.display import print_line


class Sampling:
    """One stage, in the spaces in which its arms are searched there."""

    def __init__(self, plan: Plan, index: int, spaces: Sequence[Space]) -> None:
        self._plan, self._stage, self._spaces = plan, plan.stages[index], spaces
        self._sampler = plan.make_sampler(index, spaces)

    def first(self) -> list[tuple[int, Params]]:
        """Arm and parameters of the trials of the first generation."""
        return self._ask(self._sampler.generation or self._stage.n_trials)

    def generations(
        self, ledger: Ledger, objective: Objective, epochs_of: Callable[[Trial], Sequence[EpochEnded]]
    ) -> Iterator[list[Trial]]:
        """The stage's trials, a list a generation; those that the ledger lacks are asked there first.

        The sampler is told of a generation when the next one is taken: its trials must have ended by then. In a resumed
        sweep it is asked and told all again, and so comes to know what it knew: the trials that the ledger has stand
        for the points that it gives again. epochs_of: a trial's events, one an epoch.
        """
        begun = self._trials(ledger)
        total = max(self._stage.n_trials, len(begun))  # asking for less loses nothing that was begun
        start, exhausted = 0, False
        while start < total and not exhausted:
            wanted = self._sampler.generation or total
            points = self._ask(wanted)
            exhausted = len(points) < min(wanted, total - start)
            if exhausted:
                print_line(f"the space has no more than {start + len(points)} different trials: each is tried once")
            points = points[: total - start]  # the last generation is cut, and whole once the total has grown
            if new := points[max(0, len(begun) - start) :]:
                numbers = itertools.count(len(ledger.trials))
                ledger.ask([self._trial(next(numbers), arm, params) for arm, params in new])
                begun = self._trials(ledger)
            if generation := begun[start : start + len(points)]:
                yield generation
            start += len(points)
            if start < total and not exhausted:
                ended = [ledger.trials[trial.number] for trial in generation]
                self._sampler.tell([self._outcome(trial, objective, epochs_of(trial)) for trial in ended])

    def _ask(self, n: int) -> list[tuple[int, Params]]:
        points = self._sampler.ask(n)
        return [(p.arm, params_at(self._spaces[p.arm], p.coordinates, p.exact)) for p in points]

    def _trial(self, number: int, arm: int, params: Params) -> Trial:
        return Trial(number, self._stage.name, arm, {**self._plan.arms[arm].crossed, **params})

    def _trials(self, ledger: Ledger) -> list[Trial]:
        return ledger.of_stage(self._stage.name)

    def _outcome(self, trial: Trial, objective: Objective, epochs: Sequence[EpochEnded]) -> Outcome:
        score = objective.score(trial.metrics)[0] if trial.status in SCORED else -math.inf
        return Outcome(
            trial.arm,
            coordinates_of(self._spaces[trial.arm], trial.params),
            trial.status or "failed",
            score if math.isfinite(score) else None,
            tuple(objective.score(epoch.metrics)[0] for epoch in epochs),
        )
