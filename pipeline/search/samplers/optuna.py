"""Optuna's samplers, asked in generations and told by this program: a study in memory for each arm, in coordinates of
scales, so that what a sampler takes to be even, or near, is so on the range's own scale.
"""

import importlib.util
import math
import random
import warnings
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.schema import Target
from pipeline.search.samplers.quasi_random import QuasiRandom
from pipeline.search.samplers.sampler import Outcome, Point, Sampler, Search
from pipeline.search.space import Choice, Distribution, Space, params_at
from pipeline.targets import call, takes

if TYPE_CHECKING:  # importing Optuna takes a third of a second, for which only those wait who use it
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial, TrialState

    Make = Callable[[int, Sequence[FrozenTrial]], BaseSampler]

# How many trials are asked for at once. What TPE takes to the best of 256 random trials, in trials and in generations
# (medians over 20 to 40 seeds, of three made-up losses over 3, 4 and 6 dimensions; 188 to 358 without learning):
#   size 4: 60, 52, 50 trials in 13 to 16 generations; 8: 52, 56, 48 in 7; 16: 61, 58, 58 in 4; 32: 70, 72, 66 in 3;
#   64: 110, 76, 110 in 2.
# Up to 16 hardly a trial is wasted. An epoch of a trial, 5.2 ms alone, costs 2.1 ms among 8, 1.45 among 16 and 1.3
# among 32, and each generation 1.4 s of CPU besides: where trials are as short as on digits 64 is the soonest.
GENERATION = 16
ATTEMPTS = 8  # of a sampler to give values that its arm has not had; then they are drawn


class OptunaSampler(Sampler):
    """Asks for a whole generation at once, so that its trials train together: those that have not ended count as ones
    of which little is hoped (a constant liar). Each arm gets as many of them and learns of its own trials only.
    """

    repeats = False
    startup = 0  # how many of an arm's trials are drawn quasi-randomly, for all arms alike, before it learns
    most: int | None = None  # how many of its trials an arm learns from, where more would only take longer
    complete_only = False  # whether Optuna's sampler looks at no trial that was pruned

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        drawn = QuasiRandom(search)
        with _quiet():
            self._arms = [
                _Arm(space, partial(self._made, seed), drawn.of_arm(arm), self.startup)
                for arm, (space, seed) in enumerate(zip(search.spaces, search.seeds, strict=True))
            ]
            self._take(search.history)
        self._turn = 0  # of which arm it is

    @abstractmethod
    def make(self, seed: int, known: "Sequence[FrozenTrial]") -> "BaseSampler":
        """Optuna's sampler for an arm, of which trials are known."""

    def _made(self, seed: int, before: int, known: "Sequence[FrozenTrial]") -> "BaseSampler":
        return self.make(random.Random(f"{seed}/{self.search.stage}/{before}").getrandbits(31), known)

    @property
    def of_each_arm(self) -> int:
        """How many of a generation's trials each arm has."""
        return math.ceil((self.search.generation or GENERATION) / len(self.search.spaces))

    @property
    def generation(self) -> int:
        return self.of_each_arm * len(self.search.spaces)

    def ask(self, n: int) -> list[Point]:
        points: list[Point] = []
        without = 0  # arms in a row that had nothing new
        with _quiet():
            while len(points) < n and without < len(self._arms):
                at = self._arms[self._turn].ask()
                if at is not None:
                    points.append(Point(self._turn, at))
                without = without + 1 if at is None else 0
                self._turn = (self._turn + 1) % len(self._arms)
        return points

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        with _quiet():
            self._take(outcomes)
            for arm in self._arms:
                arm.conclude(self.most, 2 * self.of_each_arm)

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._arms[outcome.arm].note(outcome.score)
        for outcome in outcomes:
            arm = self._arms[outcome.arm]
            arm.tell(outcome.coordinates, *self._result(outcome, arm.worst), len(outcome.curve))

    def _result(self, outcome: Outcome, worst: float | None) -> "tuple[TrialState, float | None]":
        """What Optuna is told of a trial: of one that failed nothing, of one that diverged that no other is worse."""
        from optuna.trial import TrialState

        if outcome.status == "failed" or (outcome.score is None and self.complete_only and worst is None):
            return TrialState.FAIL, None
        if outcome.status == "completed" and outcome.score is not None:
            return TrialState.COMPLETE, outcome.score
        if self.complete_only:
            return TrialState.COMPLETE, worst if outcome.score is None else outcome.score
        return TrialState.PRUNED, outcome.score


class Named(OptunaSampler):
    """One of Optuna's by its name, as Optuna has it: what it draws before it learns is its own, too."""

    def __init__(self, search: Search, *, target: str, arguments: Mapping[str, Any]) -> None:
        self._target = Target(target, arguments)
        super().__init__(search)

    def make(self, seed: int, known: "Sequence[FrozenTrial]") -> "BaseSampler":
        from optuna.samplers import BaseSampler

        if self._target.target.endswith(".GPSampler"):  # which else says so once a generation has been trained
            need_torch(f"sweep.sampler: {self._target.target}")
        seeded = "seed" not in self._target.arguments and takes(self._target, "seed")
        sampler = call("sweep.sampler", self._target, **({"seed": seed} if seeded else {}))
        if not isinstance(sampler, BaseSampler):
            raise InputError(f"sweep.sampler: {self._target.target} is no sampler of Optuna's.")
        return sampler


class _Arm:
    """What one arm has tried: at first a list, then a study of Optuna's.

    make: a sampler, by how many the arm has had and by what is known. drawn: points for when there is nothing to learn
    from, or the sampler repeats itself. startup: how many trials there must be to learn from.
    """

    def __init__(self, space: Space, make: "Make", drawn: Iterator[Mapping[str, float]], startup: int) -> None:
        self._space, self._make, self._drawn, self._startup = space, make, drawn, startup
        self._distributions = {key: _distribution(dist) for key, dist in space.items()}
        self._tried: set[str] = set()
        self._asked: deque[Trial | None] = deque()  # and not told yet; None: drawn
        self._known: list[FrozenTrial] = []  # before there is a study
        self._samplers = 0
        self._study = None if startup else self._opened([])
        self.worst: float | None = None  # score

    def _opened(self, trials: "Sequence[FrozenTrial]") -> "Study":
        import optuna

        sampler = self._make(self._samplers, trials)
        self._samplers += 1
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.add_trials(trials)
        return study

    def ask(self) -> dict[str, float] | None:
        """A point whose values the arm has not had; None if there is none."""
        from optuna.trial import TrialState

        if self._study is None and len(self._known) >= self._startup:
            self._study = self._opened(self._known)
        for _ in range(ATTEMPTS):
            if self._study is None:
                break
            trial = self._study.ask(self._distributions)
            if self._is_new(at := dict(trial.params)):
                self._asked.append(trial)
                return at
            self._study.tell(trial, state=TrialState.FAIL)
        for drawn in self._drawn:
            if self._is_new(at := self._inside(drawn)):
                self._asked.append(None)
                return at
        return None

    def _is_new(self, at: Mapping[str, float]) -> bool:
        values = repr(params_at(self._space, at))
        if values in self._tried:
            return False
        self._tried.add(values)
        return True

    def note(self, score: float | None) -> None:
        if score is not None:
            self.worst = min(score, score if self.worst is None else self.worst)

    def tell(self, coordinates: Mapping[str, float], state: "TrialState", value: float | None, epochs: int) -> None:
        """Of the trial that was asked for first, or of one that nobody asked for."""
        from optuna.trial import TrialState, create_trial

        at = self._inside(coordinates)
        asked = self._asked.popleft() if self._asked else None
        # Of a curve, Optuna's samplers look at nothing but the last point.
        curve = {max(1, epochs): value} if state == TrialState.PRUNED and value is not None else {}
        if self._study and asked:
            storage = self._study._storage
            for key, dist in self._distributions.items():  # rounded, they are not quite those that it gave
                storage.set_trial_param(asked._trial_id, key, dist.to_internal_repr(at[key]), dist)
            for step, score in curve.items():
                asked.report(score, step)
            self._study.tell(asked, value if state == TrialState.COMPLETE else None, state)
            return
        trial = create_trial(
            state=state, value=value, params=at, distributions=self._distributions, intermediate_values=curve
        )
        if self._study:
            self._study.add_trial(trial)
        else:
            self._known.append(trial)

    def _inside(self, coordinates: Mapping[str, float]) -> dict[str, float]:
        """Where roundings have left the range."""
        at = {}
        for key, dist in self._space.items():
            low, high = dist.ends()
            at[key] = int(coordinates[key]) if isinstance(dist, Choice) else min(max(coordinates[key], low), high)
        return at

    def conclude(self, most: int | None, recent: int) -> None:
        """Leaves no trial open; of too many the best and the most recent stay, and every second of the rest."""
        from optuna.trial import TrialState

        for asked in self._asked:
            if self._study and asked:
                self._study.tell(asked, state=TrialState.FAIL)
        self._asked.clear()
        trials = self._study.get_trials(deepcopy=False) if self._study else []
        if most is None or len(trials) <= most:
            return
        ranked = sorted((t for t in trials if t.value is not None), key=lambda t: (t.state, -(t.value or 0)))
        kept = {trial.number for trial in [*ranked[: most // 8], *trials[-recent:]]}
        rest = [t.number for t in trials if t.state != TrialState.FAIL and t.number not in kept]
        while rest and len(kept) + len(rest) > most:
            rest = rest[1::2]
        self._study = self._opened([trials[number] for number in sorted({*kept, *rest})])


def need_torch(what: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise InputError(f"{what} needs PyTorch, the extra `gp`: pip install -e '.[gp]'. Or use sweep=tpe.")


def _distribution(dist: Distribution) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(dist, Choice):
        return CategoricalDistribution(range(len(dist.values)))
    return FloatDistribution(*dist.ends())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's own lines: what a user should know, notes() say."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
