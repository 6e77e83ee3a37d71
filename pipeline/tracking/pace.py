"""How far a sweep is, counted in epochs of all its trials, how long the rest takes, and what is best so far."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.objective import Objective
from pipeline.records import SCORED, Ended, EpochEnded, Started, Trial
from pipeline.tracking.subscriber import Occurrence, StageBegan

WITHOUT_RESULT = ("diverged", "failed")


@dataclass(frozen=True)
class PlannedStage:
    """What the plan says of a stage's trials."""

    name: str
    n_trials: int
    epochs: int  # of a trial that nothing stops
    rungs: Sequence[int] = ()  # epochs after which 1 in `factor` goes on
    factor: int = 1

    def left(self, done: int = 0, decided: int = 0) -> float:
        """Epochs that a trial is expected to train after `done`; at a rung it may be the last, but for the one that is
        decided: who is still there goes on."""
        total, before, share = 0.0, done, 1.0
        for rung in (*self.rungs, self.epochs):
            if rung > done:
                total += share * (rung - before)
                before = rung
            if rung > done or rung == done > decided:
                share /= self.factor
        return total


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep stands at a time."""

    time: float  # seconds since 1970
    epochs: int  # trained in this start
    total: int  # with those that are still expected
    ended: int  # trials, in all starts
    trials: int  # in all
    seconds_left: float | None  # None: there is nothing to tell it by
    best: tuple[int, float] | None  # trial and metric


class Pace:
    """trials: those of earlier starts, of which those that ended count as trials but not as epochs."""

    def __init__(self, stages: Sequence[PlannedStage], objective: Objective, trials: Iterable[Trial] = ()) -> None:
        self._stages, self._objective = {stage.name: stage for stage in stages}, objective
        self._later = Counter({stage.name: stage.n_trials for stage in stages})  # trials of stages not begun
        self._waiting: Counter[str] = Counter()  # trials of stages begun that have not begun themselves
        self._running: dict[int, tuple[str, int]] = {}  # stage and epochs of those that have
        self._at: Counter[tuple[str, int]] = Counter()  # how many of them stand where
        self._decided: dict[str, int] = {}  # rung of a stage at which trials were pruned
        self._completed = self._possible = 0  # epochs of the trials that completed, and those that they might have had
        self._first = 0.0  # when the first epoch began
        self._scores: dict[int, tuple[tuple[float, float], float]] = {}  # of each trial's best epoch: score, metric
        self._best: int | None = None
        self._epochs = 0
        self._ended: set[int] = set()
        for trial in trials:
            if trial.status:
                self._ended.add(trial.number)
                self._later[trial.stage] -= 1
            if trial.metrics and trial.status not in WITHOUT_RESULT:
                self._score(trial, trial.metrics)

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        match event:
            case StageBegan():
                for name in self._stages:  # earlier ones have had all their trials
                    if name == event.stage:
                        break
                    self._later[name] = self._waiting[name] = 0
                self._later[event.stage] = self._decided[event.stage] = 0
                self._waiting[event.stage] = event.total - event.ended + event.to_come
            case Started() if trial:
                self._move(trial, event.resumed_after)
            case EpochEnded() if trial:
                self._first = self._first or event.time - (event.cohort_seconds or event.seconds)
                self._epochs += 1
                self._move(trial, event.epoch)
                self._score(trial, event.metrics)
            case Ended() if trial:
                self._end(trial, event)

    def progress(self, now: float) -> SweepProgress:
        rest = self._rest()
        seconds = None
        if self._epochs >= max(1, len(self._running)):  # all of a cohort have told of their first epoch
            # with what was spent on compiling between them, for more of it is to come
            seconds = rest * max(0.0, now - self._first) / self._epochs
        trials = len(self._ended) + len(self._running) + self._waiting.total() + self._later.total()
        best = None if self._best is None else (self._best, self._scores[self._best][1])
        return SweepProgress(now, self._epochs, self._epochs + round(rest), len(self._ended), trials, seconds, best)

    def _rest(self) -> float:
        """Epochs that are still expected. Trials that have not begun train the share of their epochs that others did,
        which early stopping makes smaller; those that run are taken to go on to the end."""
        places, decided = self._at.items(), self._decided
        running = sum(n * self._plan(stage).left(at, decided.get(stage, 0)) for (stage, at), n in places)
        full = sum(n * self._plan(stage).epochs for (stage, _), n in places)
        share = (self._completed + full) / (self._possible + full) if self._completed else 1.0
        unbegun = self._waiting + self._later  # without those below 0
        return running + share * sum(n * self._plan(stage).left() for stage, n in unbegun.items())

    def _plan(self, stage: str) -> PlannedStage:
        return self._stages.get(stage) or PlannedStage(stage, 0, 0)

    def _move(self, trial: Trial, epoch: int) -> None:
        self._take(trial)
        self._running[trial.number] = (trial.stage, epoch)
        self._at[trial.stage, epoch] += 1

    def _take(self, trial: Trial) -> None:
        """From where it was: running, waiting, or ended, after which it may go on."""
        if place := self._running.pop(trial.number, None):
            self._at[place] -= 1
            if not self._at[place]:
                del self._at[place]
        elif trial.number in self._ended:
            self._ended.remove(trial.number)
        elif self._waiting[trial.stage]:
            self._waiting[trial.stage] -= 1

    def _end(self, trial: Trial, event: Ended) -> None:
        self._take(trial)
        self._ended.add(trial.number)
        if event.status == "pruned":
            self._decided[trial.stage] = event.epochs
        if event.status == "completed":
            self._completed += event.epochs
            self._possible += self._plan(trial.stage).epochs
        if event.status not in SCORED:
            self._scores.pop(trial.number, None)
            if self._best == trial.number:
                self._best = max(self._scores, key=lambda number: self._scores[number][0], default=None)

    def _score(self, trial: Trial, metrics: Mapping[str, float | None]) -> None:
        score, value = self._objective.score(metrics), metrics.get(self._objective.metric)
        if value is None or trial.replicate_of is not None:
            return
        if trial.number not in self._scores or score > self._scores[trial.number][0]:
            self._scores[trial.number] = (score, value)
        if self._best is None or score > self._scores[self._best][0]:
            self._best = trial.number
