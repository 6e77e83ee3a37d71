"""A study from its plan to its last trial: asks trials stage by stage, hands them out, says how they end, refines."""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline import records
from pipeline.checks import check, check_values
from pipeline.eventlog import append_event, epochs_of
from pipeline.evolution import Evolution
from pipeline.objective import Objective
from pipeline.records import Ended, EpochEnded, Message, TrainJob, Trial, TrialTask
from pipeline.schema import Config
from pipeline.search.exploration import evolution
from pipeline.search.plan import Plan
from pipeline.study import folders
from pipeline.study.budget import Budget
from pipeline.study.cohorts import cohorts, conditions, populations
from pipeline.study.interruption import Stop
from pipeline.study.ledger import Ledger
from pipeline.study.parameters import ModelSizes
from pipeline.study.ranking import ranked
from pipeline.study.replicates import replicate_finalists
from pipeline.study.rungs import decide, going_on, is_over, with_earlier
from pipeline.study.sampling import Sampling
from pipeline.study.staging import beginning, staged
from pipeline.study.standing import standings
from pipeline.tracking.subscriber import Occurrence, StageBegan, Subscriber
from pipeline.workers import devices
from pipeline.workers.executor import Executor


class Study:
    """Runs what is missing of a plan in `folder`; the ledger there says what is done, and hears of everything first."""

    def __init__(self, plan: Plan, folder: Path, ledger: Ledger) -> None:
        self.plan, self.folder, self.ledger = plan, folder, ledger
        self.config = plan.config
        self.objective = Objective(self.config.sweep.metric, self.config.sweep.direction)
        self.budget = Budget(plan, ledger)
        self.subscribers: list[Subscriber] = [ledger] if plan.single else [ledger, self.budget]
        self.undecided = False  # whether the budget ended before it was known if another stage is worth it
        self.sizes: ModelSizes | None = None  # which models may be tried; None: all
        self.refusal: str | None = None  # why the config of a trial by itself can't be trained

    def run(self, executor: Executor, stop: Stop) -> None:
        """Runs every stage; returns early when `stop` is requested, or the budget leaves trials unfinished."""
        for index, region in staged(self, executor, stop):
            stage, sampling = self.plan.stages[index], Sampling(self.plan, index, region.spaces, self.sizes)
            for generation in sampling.generations(self.ledger, self.objective, self._epochs_of, self.budget.room):
                if stop.requested:
                    return
                if not self.plan.single:
                    first = self.ledger.of_stage(stage.name)[0].number == generation[0].number
                    began = beginning(self.plan, stage, region, generation, first)
                    self.tell(None, replace(began, to_come=sampling.to_come))
                rungs = self.plan.rungs(stage)
                if rungs and is_over(self, generation):
                    continue
                if not self._climb(generation, rungs, executor, stop):
                    return
            self.budget.more = stage.fills and not sampling.exhausted
        unfinished = self.undecided or any(trial.status is None for trial in self.ledger.sampled)
        if self.plan.single or stop.requested or unfinished:
            return
        for stage, times in going_on(self):  # the budget leaves time for more than the best
            if not self._climb(self.ledger.of_stage(stage.name), self.plan.rungs(stage), executor, stop, times):
                return
        replicate_finalists(self, executor, stop)

    def _climb(
        self, generation: Sequence[Trial], rungs: Sequence[int], executor: Executor, stop: Stop, times: int = 1
    ) -> bool:
        """Trains a generation, and who goes on with it, from rung to rung; whether all came to the end."""
        for before, rung in itertools.pairwise((0, *rungs, None)):
            numbers = with_earlier(self, generation) if rungs else [trial.number for trial in generation]
            executor.run(self._jobs(numbers, before or 0, rung), partial(self._receive, stop))
            waiting = (t for t in self._trials(numbers) if t.status is None and not (rung and t.reached >= rung))
            if stop.requested or any(waiting):
                return False
            if rung is not None:
                decide(self, generation[0].stage, rung, times)
        return True

    def train(self, numbers: Sequence[int], beginning: StageBegan, executor: Executor, stop: Stop) -> None:
        """Trains what has not ended of trials that belong to no stage's search."""
        self.tell(None, beginning)
        executor.run(self._jobs(numbers, 0, None), partial(self._receive, stop))

    def _epochs_of(self, trial: Trial) -> list[EpochEnded]:
        return epochs_of(self.trial_folder(trial))

    def _jobs(self, numbers: Sequence[int], before: int, rung: int | None) -> Iterator[TrainJob]:
        """A job a cohort, of those of its trials that have not ended, nor come to the rung.

        Survivors of the rung before, at epoch `before`, form new cohorts, so that few of them do not go on in many.
        Those that have since ended, or paused, keep their places: who is resumed trains among whom he did.
        """
        trials = [t for t in self._trials(numbers) if t.reached >= before]
        trials = [t for t in trials if not (t.status == "pruned" and t.reached == before)]
        workers, common = devices.workers_of(self.config), conditions(self.config)
        formed = populations(trials) if self.plan.evolves else None
        for cohort in formed or cohorts(map(self._checked, trials), workers, self.config.executor):
            now = {place: self.ledger.trials[trials[place].number] for place in cohort}
            missing = [p for p, trial in now.items() if trial.status is None and not (rung and trial.reached >= rung)]
            if not missing:
                continue
            ended = {trials[place].number: self._checked(trials[place]) for place in cohort if place not in missing}
            configs = [self._checked(trials[place]) for place in missing]
            last = configs[0].train.epochs
            epochs = min(rung or last, last) - before
            missing = missing[: self.budget.fitting(configs, epochs, whole=self.plan.evolves)]
            if not missing:
                continue  # a smaller cohort may find the time
            self._hand_out([trials[place] for place in missing])
            self.budget.hand_out([trials[place].number for place in missing], configs)
            yield TrainJob(
                trials[missing[0]].number,
                tuple(self.task(trials[place]) for place in missing),
                planned=len(cohort),
                ended=ended,
                until=rung,
                deadline=self.budget.deadline(),
                export=self.plan.single,
                conditions=common,
                repeat=self.plan.repeat,
                evolution=self._evolution([trials[place] for place in cohort]),
            )

    def _evolution(self, trials: Sequence[Trial]) -> Evolution | None:
        """What makes a population of a cohort, of one arm then."""
        arm = self.plan.arms[trials[0].arm]
        return evolution(arm.config, arm.space, trials) if self.plan.evolves else None

    def _checked(self, trial: Trial) -> Config:
        composed = self.plan.composed(trial)
        config = composed.config
        check_values(config, composed.values) if composed.values else check(config)
        return config

    def _hand_out(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            (self.trial_folder(trial) / "model.h5").unlink(missing_ok=True)  # of one that had paused, and goes on
            folders.write_config(self.trial_folder(trial), self.plan.composed(trial), self.plan.overrides(trial))
        self.ledger.hand_out(trial.number for trial in trials)
        for trial in trials:
            self.tell(trial, records.HandedOut(time.time()))

    def task(self, trial: Trial) -> TrialTask:
        """What a worker needs of a trial, for its training and for what is done after it."""
        composed = self.plan.composed(trial)
        return TrialTask(trial.number, composed.config, composed.record, str(self.trial_folder(trial).absolute()))

    def _receive(self, stop: Stop, message: Message) -> None:
        match message.report:
            case records.CohortPlanned(trials=numbers) as cohort:
                if not self.plan.single and not stop.requested:
                    self.tell(self.ledger.trials[numbers[0]], cohort)
            case records.TrialEvent(number, event, logged):
                trial = self.ledger.trials[number]
                if not logged:
                    append_event(self.trial_folder(trial), event)
                # what was trained is kept, whatever came then
                if self.plan.single and isinstance(event, Ended) and event.input_error and not self._epochs_of(trial):
                    self.refusal = event.reason  # nobody else is told of a trial that never was
                    self.ledger.on(trial, event)
                else:
                    self.tell(trial, event)

    def tell(self, trial: Trial | None, event: Occurrence) -> None:
        for subscriber in self.subscribers:
            subscriber.on(None if trial is None else self.ledger.trials[trial.number], event)

    def ranked(self) -> list[Trial]:
        """Every trial that ended, best first; those that failed or diverged come last, in order of number."""
        return ranked(self.ledger.sampled, self.objective, standings(self.ledger, self.objective))

    def _trials(self, numbers: Sequence[int]) -> list[Trial]:
        return [self.ledger.trials[number] for number in numbers]

    def trial_folder(self, trial: Trial) -> Path:
        return self.folder if self.plan.single else self.folder / str(trial.number)
