"""A job of trials: which of them train together, in which mode, and what is said about it."""

import contextlib
import dataclasses
import errno
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from pipeline.errors import out_of_memory
from pipeline.evolution import Evolution
from pipeline.records import (
    CohortPlanned,
    Grouped,
    Interrupted,
    Repeat,
    Report,
    Requeued,
    TrainJob,
)
from pipeline.saving import check_savable
from pipeline.training import modes
from pipeline.training.deadline import Deadline
from pipeline.training.grouping import grouped, why_divided
from pipeline.training.loop import DeadlinePassed, EpochLoop, Member, Outcome, StopRequested, Trainer
from pipeline.training.population.start import train_population
from pipeline.training.trainers import along, fused_trainer, obstacle, repeated_trainer, solo_trainer
from pipeline.training.trial import TrainedTrial, export

Send = Callable[[Report], None]


def run_trials(job: TrainJob, send: Send, should_stop: Callable[[], bool]) -> None:
    """Trains the job's trials and writes their folders; every event goes to events.jsonl and then to `send`, with
    its trial's number.

    A trial's last event is `Ended` with status completed, diverged or failed, `Paused` once it has `until` epochs or
    the job's deadline is near, or `Interrupted`; unless it is `Requeued`: it is then to be a job by itself, for any
    worker. Nothing is raised.
    """
    _Work(job, send, should_stop).run()


class _Work:
    """One job: its trials, and those of them that have not ended."""

    def __init__(self, job: TrainJob, send: Send, should_stop: Callable[[], bool]) -> None:
        self._job, self._send, self._should_stop = job, send, should_stop
        self._trials = [TrainedTrial(task, send) for task in job.trials]
        self._open = {trial.number: trial for trial in self._trials}
        self._planned = max(job.planned, len(self._trials))
        self._divided: str | None = None  # why trials of the job don't train together

    def run(self) -> None:
        models: dict[str, keras.Model] = {}
        population = self._job.evolution or (self._job.repeat and self._job.repeat.evolution)
        try:
            for trial in self._trials:
                with self._failing([trial]):
                    self._go_on()
                    trial.build(models, population.nominal if population else {})
            if population:
                with self._failing(self._trials):
                    self._train_population(population)
            elif self._job.repeat:
                with self._failing(self._trials):
                    self._train_again(self._job.repeat, models)
            groups = grouped(list(self._open.values()))
            self._divided = why_divided(groups)
            for group in groups:
                with self._failing(group):
                    self._train_group(group)
        except DeadlinePassed:
            for trial in self._open.values():
                trial.paused()
        except StopRequested:
            for trial in self._open.values():
                trial.emit(Interrupted(time.time()))
        finally:
            for trial in self._trials:
                trial.close()

    def _go_on(self) -> None:
        """Raises StopRequested if nothing more is to be begun."""
        if self._should_stop():
            raise StopRequested
        if Deadline(self._job.deadline).passed(0):
            raise DeadlinePassed

    @contextlib.contextmanager
    def _failing(self, trials: list[TrainedTrial]) -> Iterator[None]:
        """An error here is the end of those of `trials` that have not ended."""
        try:
            yield
        except StopRequested:
            raise
        except Exception as error:
            cause = unreadable(trials) or error
            for trial in trials:
                if self._open.pop(trial.number, None):
                    trial.failed(cause)

    def _finished(self, member: Member, outcome: Outcome) -> None:
        if self._job.repeat and outcome.status == "paused":
            return  # it goes on in the next of its cohorts
        trial = self._open[member.number]
        with self._failing([trial]):
            if self._job.export and member.best and not outcome.error:
                export(trial.task)
            if outcome.error and (unread := unreadable([trial])):  # no mistake of the config's, by then
                outcome = dataclasses.replace(outcome, error=unread)
            trial.ended(member, outcome)
            del self._open[member.number]

    def _train_again(self, repeat: Repeat, models: dict[str, keras.Model]) -> None:
        """The one trial, in cohorts like those that it was part of."""
        (trial,) = self._trials
        for i, cohort in enumerate(repeat.cohorts):
            until = repeat.cohorts[i + 1].epoch if i + 1 < len(repeat.cohorts) else None
            if trial.number in self._open and (until is None or trial.progress.epoch < until):
                trainer, places = repeated_trainer(trial, cohort, models, self._job.conditions)
                self._train(trainer, [trial], cohort.mode, places, until=until)
                trial.build(models)  # from its state.h5

    def _train_population(self, population: Evolution) -> None:
        """The job's trials, which make up a population with those that have ended; or one of them once more."""
        if not self._open:
            return
        trials, repeat = list(self._open.values()), self._job.repeat
        check_savable(trials[0].model)
        configs = {task.number: task.config for task in self._job.trials} | dict(self._job.ended)
        if repeat:
            configs = dict(zip(population.params, repeat.cohorts[0].configs))
        train_population(
            trials,
            {number: configs[number] for number in population.params},
            population,
            self._job.conditions,
            repeated=repeat is not None,
            deadline=Deadline(self._job.deadline),
            send=self._send,
            finished=self._finished,
            go_on=self._go_on,
            should_stop=self._should_stop,
        )

    def _train_group(self, trials: list[TrainedTrial]) -> None:
        """Trains trials of one group: fused, in as many cohorts as memory asks for; or hands them back, to be trained
        one by one by whoever is free."""
        check_savable(trials[0].model)
        share = len(trials) / len(self._job.trials)
        planned = max(len(trials), round(share * self._planned))
        plan = modes.plan_fusion(trials, planned, obstacle(trials[0]), self._job.conditions)
        if self._divided:
            plan = dataclasses.replace(plan, reason=f"{plan.reason}; {self._divided}")
        if plan.mode == "solo":
            self._train_unfused(trials, plan)
            return
        size = plan.largest(len(trials))
        for start in range(0, len(trials), size):
            part = trials[start : start + size]
            self._train_fused(part, part if self._job.halved else self._filled(part), plan)

    def _filled(self, trials: list[TrainedTrial]) -> list[TrainedTrial]:
        """The places of a cohort that goes on, each with its trial. Among another number of trials, beside narrower
        ones or in another order, products may round otherwise: so those that have ended train along where they did,
        and the first of `trials` stands in for those that nobody knows."""
        size = max(len(trials), min(self._planned, max(trial.progress.cohort for trial in trials)))
        progress, own = trials[0].progress, {trial.number: trial for trial in trials}
        models: dict[str, keras.Model] = {}
        for number in progress.members:
            if number not in own and number in self._job.ended:
                self._go_on()
                own[number] = along(number, self._job.ended[number], progress, models)
        order = [*filter(own.__contains__, progress.members), *(n for n in own if n not in progress.members)]
        return [*(own[number] for number in order), *[trials[0]] * (size - len(own))]

    def _train_unfused(self, trials: list[TrainedTrial], plan: modes.FusionPlan) -> None:
        self._go_on()
        numbers = tuple(trial.number for trial in trials)
        if self._planned > 1:
            self._send(CohortPlanned(numbers, plan.summary(1)))
        if len(trials) > 1:
            self._send(Requeued(numbers))
            for number in numbers:
                del self._open[number]
        else:
            self._train(solo_trainer(trials[0]), trials, plan.mode)

    def _train_fused(self, trials: list[TrainedTrial], places: list[TrainedTrial], plan: modes.FusionPlan) -> None:
        """One cohort; `places` has who trains along, too. Out of memory, its halves are tried; where its graph fails,
        the next mode; for any other error its trials train alone, where the error belongs to the trial that has it."""
        error = self._attempt(trials, places, plan)
        unended = [trial for trial in trials if trial.number in self._open]
        if error is None or not unended:
            return
        if unreadable(unended):
            raise error
        for trial in unended:
            trial.build({})  # from its last state.h5
        if out_of_memory(error) and len(unended) > 1:
            half = len(unended) // 2
            for part in (unended[:half], unended[half:]):
                self._train_fused(part, part, plan)
            return
        fresh = all(trial.state is None for trial in unended) and not isinstance(error, OSError)
        if fresh and not out_of_memory(error):  # not of a full disk, nor of what was saved
            modes.note_failure(unended[0], plan.mode, error)
            self._train_group(unended)
        else:
            reason = modes.unfused(self._job.conditions.fuse, modes.unfused_reason(error))
            self._train_unfused(unended, dataclasses.replace(plan, mode="solo", reason=reason))

    def _attempt(
        self, trials: list[TrainedTrial], places: list[TrainedTrial], plan: modes.FusionPlan
    ) -> Exception | None:
        """Trains a cohort; the error if it fails, without what it holds in memory."""
        try:
            self._go_on()
            trainer = fused_trainer(places, plan)
            self._go_on()
            self._send(CohortPlanned(tuple(t.number for t in trials), plan.summary(len(trials))))
            began = time.perf_counter()
            # Compiles the graph: where that fails, no trial has begun.
            trainer.rehearse(np.zeros((trainer.size, trials[0].steps), np.float32), 0)
            self._train(trainer, trials, plan.mode, places, compiling=time.perf_counter() - began)
        except StopRequested:
            raise
        except Exception as error:
            return error.with_traceback(None)
        return None

    def _train(
        self,
        trainer: Trainer,
        trials: list[TrainedTrial],
        mode: str,
        places: Sequence[TrainedTrial] = (),
        *,
        compiling: float = 0.0,
        until: int | None = None,
    ) -> None:
        """places: a trial for each place of the trainer; none: `trials` are they."""
        self._go_on()
        config, numbers = trials[0].config, [trial.number for trial in places or trials]
        warning = trials[0].warning  # of layers that all have
        for trial in trials:
            trial.progress.members = list(dict.fromkeys(numbers))
            trial.started(len(trials), warning)
            if mode != "solo" and not self._job.repeat:
                trial.emit(Grouped(time.time(), trial.progress.epoch, numbers, mode))
        loop = EpochLoop(
            trainer,
            [trial.member() for trial in trials],
            [numbers.index(trial.number) for trial in trials],
            epochs=config.train.epochs,
            until=until or self._job.until,
            deadline=Deadline(self._job.deadline),
            objective=trials[0].objective(),
            checkpoint_seconds=config.train.checkpoint_seconds,
            finished=self._finished,
            should_stop=self._should_stop,
            compiling=compiling,
        )
        loop.run()


def unreadable(trials: list[TrainedTrial]) -> OSError | None:
    """Why data could not be read while trials were trained on it, if that is what happened; an error of the machine
    by then, no longer of the user's input."""
    splits = [trial.splits for trial in trials if hasattr(trial, "splits")]
    failure = next((s.failure for s in splits if s.failure), None)
    return OSError(errno.EIO, str(failure)) if failure else None
