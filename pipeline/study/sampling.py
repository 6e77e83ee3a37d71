"""The trials of a stage as its sampler asks for them: generation by generation, each told of before the next."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from pipeline.errors import InputError
from pipeline.jsonl import finite
from pipeline.layout import counted
from pipeline.objective import Objective
from pipeline.records import SCORED, EpochEnded, Trial
from pipeline.schema import leaves
from pipeline.search.given import Given
from pipeline.search.plan import Plan, search_of
from pipeline.search.samplers.sampler import Outcome, Point, Sampler, blamed, make_sampler
from pipeline.search.space import Params, Space, coordinates_of, params_at
from pipeline.search.tiers import kept_fixed
from pipeline.study.ledger import Ledger
from pipeline.study.parameters import ModelSizes
from pipeline.tracking.display import print_line
from pipeline.workers import devices
from pipeline.workers.executor import Executor

LEAST_FILLING, A_WORKER = 64, 32  # trials of a generation that fills a budget, unless its sampler wants another number


def _lacking(trials: Sequence[Trial], begun: Sequence[Trial]) -> list[Trial]:
    """Those of `trials` that are not among `begun`, which an earlier version may have asked in another order."""
    had, new = Counter(map(_what, begun)), []
    for trial in trials:
        if had[_what(trial)]:
            had[_what(trial)] -= 1
        else:
            new.append(trial)
    return new


def _what(trial: Trial) -> str:
    """Equal for trials of the same values, also where one has been in the ledger."""
    return json.dumps(finite([trial.arm, trial.params]), sort_keys=True)


def _as_told(trial: Trial, asked: int, epochs: Sequence[EpochEnded]) -> tuple[Trial, Sequence[EpochEnded]]:
    """A trial as it was when its stage had asked for so many and the sampler was told of it: a resumed sweep, in which
    it may have gone on since, tells the same."""
    later = next((promotion for promotion in trial.promotions if promotion.asked > asked), None)
    if later is None:
        return trial, epochs
    told = replace(trial, status="pruned", reached=later.epoch, metrics=later.metrics)
    return told, [epoch for epoch in epochs if epoch.epoch <= later.epoch]


class Sampling:
    """One stage, in the spaces in which its arms are searched there."""

    def __init__(self, plan: Plan, index: int, spaces: Sequence[Space], sizes: ModelSizes | None = None) -> None:
        self._sizes, self._left_out = sizes, 0  # points, for their models were too large
        self._plan, self._index, self._stage, self._spaces = plan, index, plan.stages[index], spaces
        self._fixed: list[Params] = [
            kept_fixed(arm.space, space, arm.composed.record) if len(space) < len(arm.space) else {}
            for arm, space in zip(plan.arms, spaces, strict=True)
        ]
        self._sampler = self._made(())
        self._asked = 0
        self.to_come = self._stage.n_trials  # trials that are asked after the generation at hand
        self.exhausted = False  # whether all different trials of the spaces were asked

    def _made(self, history: Iterable[Outcome]) -> Sampler:
        search = search_of(self._plan.arms, self._spaces, self._index, self._stage.n_trials)
        search, given = replace(search, history=tuple(history)), self._stage.given
        with blamed(self._plan.sampler):
            return Given(search, given) if given else make_sampler(self._plan.sampler, search)

    @property
    def _size(self) -> int:
        """Trials of a generation."""
        if self._stage.fills and not self._sampler.generation:
            return max(LEAST_FILLING, A_WORKER * devices.workers_of(self._plan.config))
        return self._sampler.generation or self._stage.n_trials

    def first(self, most: int | None = None) -> list[Trial]:
        """The trials of the first generation, which is cut where the stage has fewer. most: so many of them."""
        return self._ask(self._size if most is None else min(self._size, most))[: self._stage.n_trials]

    def different(self) -> int | None:
        """How many different trials the space has, where that is fewer than the first generation is to have."""
        n = len(self.first())
        return n if n < min(self._size, self._stage.n_trials) else None

    def generations(
        self,
        ledger: Ledger,
        objective: Objective,
        epochs_of: Callable[[Trial], Sequence[EpochEnded]],
        room: Callable[[int], int] = lambda n: n,
    ) -> Iterator[list[Trial]]:
        """The stage's trials, a list a generation; those that the ledger lacks are asked there first.

        The sampler is told of a generation when the next one is taken: its trials must have ended by then. In a resumed
        sweep it is asked and told all again, and so comes to know what it knew: the trials that the ledger has stand
        for the points that it gives again. epochs_of: a trial's events, one an epoch.
        room: how many of so many trials the budget has time for, of a stage that fills it.
        """
        if self._index and self._sampler.generation is not None:
            self._sampler = self._made(self._history(ledger, objective, epochs_of))
        begun = ledger.of_stage(self._stage.name)
        total = max(self._stage.n_trials, len(begun))  # asking for less loses nothing that was begun
        start, exhausted = 0, False
        while start < total and not exhausted:
            size = self._size if self._stage.fills else self._sampler.generation or total
            trials = self._ask(size)
            exhausted = len(trials) < min(size, total - start)
            if exhausted and not self._stage.given:
                small = " with models small enough" if self._left_out else ""
                most = counted(start + len(trials), "different trial")
                print_line(f"the space has no more than {most}{small}: each is tried once")
            # The last generation is cut, and whole once the total has grown.
            window = slice(start, min(start + size, total))
            self.to_come = 0 if exhausted or self._stage.fills else max(0, total - start - size)
            yield from self._pieces(ledger, trials, window, room if self._stage.fills else None)
            generation = ledger.of_stage(self._stage.name)[window]
            self.exhausted = exhausted and len(generation) == len(trials)
            exhausted |= self._stage.fills and len(generation) < len(trials)
            start += size
            if start < total and not exhausted:
                ended = [ledger.trials[trial.number] for trial in generation]
                outcomes = [self._outcome(*_as_told(t, start, epochs_of(t)), objective) for t in ended]
                with blamed(self._plan.sampler):
                    self._sampler.tell(outcomes)

    def _pieces(
        self, ledger: Ledger, trials: Sequence[Trial], window: slice, room: Callable[[int], int] | None
    ) -> Iterator[list[Trial]]:
        """A generation whole, or in the pieces that there is room for, each with those before it; first what had begun.
        window: its places among the stage's trials."""

        def begun() -> list[Trial]:
            return ledger.of_stage(self._stage.name)[window]

        def new() -> list[Trial]:
            return _lacking(trials, begun())[: window.stop - window.start - len(begun())]

        if begun() and (room or not new()):
            yield begun()
        while (lacking := new()) and (n := room(len(lacking)) if room else len(lacking)):
            ledger.ask(replace(trial, number=len(ledger.trials) + i) for i, trial in enumerate(lacking[:n]))
            yield begun()

    def _ask(self, n: int) -> list[Trial]:
        """Up to `n` trials, counted from 0, without those whose models are too large."""
        trials: list[Trial] = []
        before = self._left_out
        with blamed(self._plan.sampler):
            while points := list(self._sampler.ask(n - len(trials))):
                asked = [self._trial(point) for point in points]
                allowed = [self._plan.composed(trial).config for trial in asked] if self._sizes else []
                small = self._sizes.allowed(allowed) if self._sizes else [True] * len(asked)
                trials += [trial for trial, is_small in zip(asked, small, strict=True) if is_small]
                self._left_out += small.count(False)
                if len(trials) >= n or all(small):
                    break
        if self._sizes and self._left_out > before:
            if self._stage.given:
                self._sizes.tell_given(self._left_out, n)
            elif not trials and not self._asked:
                self._sizes.refuse()
            else:
                then = "; the sampler's next take their place" if len(trials) >= n else ""
                self._sizes.tell(self._stage.name, self._left_out, then)
        self._asked += len(trials)
        return [replace(trial, number=i) for i, trial in enumerate(trials)]

    def _trial(self, point: Point) -> Trial:
        self._check(point)
        params = params_at(self._spaces[point.arm], point.coordinates, point.exact)
        params = {**self._plan.arms[point.arm].crossed, **self._fixed[point.arm], **params}
        return Trial(0, self._stage.name, point.arm, params, pair=point.pair)

    def _check(self, point: Point) -> None:
        problem = None
        if not isinstance(point, Point):
            problem = f"{point!r:.60}, which is no Point"
        elif point.arm not in range(len(self._spaces)):
            problem = f"a point of arm {point.arm}; the last is {len(self._spaces) - 1}"
        elif missing := [key for key in self._spaces[point.arm] if key not in point.coordinates]:
            problem = f"a point without {missing[0]}"
        if problem:
            raise InputError(f"sweep.sampler: {self._plan.sampler.target}: ask() gives {problem}.")

    def _history(
        self, ledger: Ledger, objective: Objective, epochs_of: Callable[[Trial], Sequence[EpochEnded]]
    ) -> Iterator[Outcome]:
        """What earlier stages have tried in this one's spaces: where they did not search a key, at its fixed value."""
        epochs = {stage.name: self._plan.epochs(stage) for stage in self._plan.stages[: self._index + 1]}
        fixed = [dict(leaves(arm.composed.record)) for arm in self._plan.arms]
        counts = Counter(trial.stage for trial in ledger.sampled)
        for now in ledger.sampled:
            if now.stage not in epochs or now.stage == self._stage.name:
                continue
            trial, curve = _as_told(now, counts[now.stage], epochs_of(now))
            values, space = {**fixed[trial.arm], **trial.params}, self._spaces[trial.arm]
            if trial.status and all(dist.contains(values[key]) for key, dist in space.items()):
                outcome = self._outcome(replace(trial, params=values), curve, objective)
                shorter = epochs[trial.stage] < epochs[self._stage.name] and outcome.status == "completed"
                yield replace(outcome, status="pruned") if shorter else outcome

    def _outcome(self, trial: Trial, epochs: Sequence[EpochEnded], objective: Objective) -> Outcome:
        score = objective.score(trial.metrics)[0] if trial.status in SCORED else -math.inf
        return Outcome(
            trial.arm,
            coordinates_of(self._spaces[trial.arm], trial.params),
            trial.status or "failed",
            score if math.isfinite(score) else None,
            tuple(objective.score(epoch.metrics)[0] for epoch in epochs),
        )


def first_sizes(plan: Plan, executor: Executor) -> ModelSizes | None:
    """Which models sweep.max_parameters lets be tried, as far as the first generation goes that is not given; None:
    all. Raises InputError, before anything is written, if the whole space is too large."""
    if plan.config.sweep.max_parameters is None:
        return None
    sizes = ModelSizes(plan.config.sweep.max_parameters, executor)
    index = plan.first_asked
    Sampling(plan, index, plan.free(plan.stages[index]), sizes).first()
    return sizes
