"""A job of trials: which of them train together, in which mode, and what is said about it."""

import contextlib
import dataclasses
import errno
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np

from pipeline.data.input_pipeline import evaluation_batches, evaluation_steps, training_batches
from pipeline.errors import out_of_memory
from pipeline.limits import MULTI_DEVICE
from pipeline.records import (
    CohortPlanned,
    Event,
    Interrupted,
    MeasureJob,
    Measurement,
    Report,
    Requeued,
    TrainJob,
    TrialEvent,
    TrialTask,
)
from pipeline.targets import call
from pipeline.training import distributed, modes
from pipeline.training.distributed import DistributedTrainer
from pipeline.training.fused.trainer import FusedTrainer, stacking, updates
from pipeline.training.loop import Member, Outcome, StopRequested, Trainer, train
from pipeline.training.solo import SoloTrainer
from pipeline.training.trial import TrainedTrial, build_model, export

Send = Callable[[Report], None]


def run_trials(job: TrainJob, send: Send, should_stop: Callable[[], bool]) -> None:
    """Trains the job's trials and writes their folders; every event goes to events.jsonl and then to `send`, with
    its trial's number.

    A trial's last event is `Ended` with status completed, diverged or failed, `Paused` once it has `until` epochs,
    or `Interrupted`; unless it is `Requeued`: it is then to be a job by itself, for any worker. Nothing is raised.
    """
    _Work(job, send, should_stop).run()


class _Work:
    """One job: its trials, and those of them that have not ended."""

    def __init__(self, job: TrainJob, send: Send, should_stop: Callable[[], bool]) -> None:
        self._job, self._send, self._should_stop = job, send, should_stop
        self._trials = [TrainedTrial(task, self._sender(task.number)) for task in job.trials]
        self._open = {trial.number: trial for trial in self._trials}
        self._planned = max(job.planned, len(self._trials))

    def _sender(self, number: int) -> Callable[[Event], None]:
        return lambda event: self._send(TrialEvent(number, event))

    def run(self) -> None:
        models: dict[str, keras.Model] = {}
        try:
            for trial in self._trials:
                with self._failing([trial]):
                    trial.build(models)
            for group in _groups(list(self._open.values())):
                with self._failing(group):
                    self._train_group(group)
        except StopRequested:
            for trial in self._open.values():
                trial.emit(Interrupted(time.time()))
        finally:
            for trial in self._trials:
                trial.close()

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
        trial = self._open[member.number]
        with self._failing([trial]):
            if self._job.export and member.best and not outcome.error:
                export(trial.task)
            if outcome.error and (unread := unreadable([trial])):  # no mistake of the config's, by then
                outcome = dataclasses.replace(outcome, error=unread)
            trial.ended(member, outcome)
            del self._open[member.number]

    def _train_group(self, trials: list[TrainedTrial]) -> None:
        """Trains trials of one group: fused, in as many cohorts as memory asks for; or hands them back, to be trained
        one by one by whoever is free."""
        share = len(trials) / len(self._job.trials)
        planned = max(len(trials), round(share * self._planned))
        plan = modes.plan_fusion(trials, planned, obstacle(trials[0]), self._job.conditions)
        if plan.mode == "solo":
            self._alone(trials, plan)
            return
        size = plan.largest(len(trials))
        for start in range(0, len(trials), size):
            part = trials[start : start + size]
            # A product of another number of trials may round otherwise: one that goes on does so among as many.
            before = min(self._planned, max(trial.progress.cohort for trial in part))
            before = 0 if self._job.halved else before
            self._train_fused(part, before, plan)

    def _alone(self, trials: list[TrainedTrial], plan: modes.FusionPlan) -> None:
        numbers = [trial.number for trial in trials]
        cohort = CohortPlanned(tuple(numbers), plan.summary(1))
        if len(trials) > 1:
            self._send(cohort)
            self._send(Requeued(tuple(numbers)))
            for number in numbers:
                del self._open[number]
            return
        if self._planned > 1:
            self._send(cohort)
        self._train(solo_trainer(trials[0]), trials)

    def _train_fused(self, trials: list[TrainedTrial], at_least: int, plan: modes.FusionPlan) -> None:
        """One cohort, filled up to `at_least` places. Out of memory, its halves are tried; where its graph fails, the
        next mode; for any other error its trials train alone, where the error belongs to the trial that has it."""
        error = self._attempt(trials, at_least, plan)
        left = [trial for trial in trials if trial.number in self._open]
        if error is None or not left:
            return
        if unreadable(left):
            raise error
        for trial in left:
            trial.build({})  # from its last state.h5
        if out_of_memory(error) and len(left) > 1:
            half = len(left) // 2
            for part in (left[:half], left[half:]):
                self._train_fused(part, 0, plan)
            return
        fresh = all(trial.state is None for trial in left) and not isinstance(error, OSError)
        if fresh and not out_of_memory(error):  # not of a full disk, nor of what was saved
            modes.note_failure(left[0], plan.mode, error)
            self._train_group(left)
        else:
            self._alone(left, dataclasses.replace(plan, mode="solo", reason=modes.unfused_reason(error)))

    def _attempt(self, trials: list[TrainedTrial], at_least: int, plan: modes.FusionPlan) -> Exception | None:
        """Trains a cohort; the error if it fails, without what it holds in memory."""
        try:
            trainer = fused_trainer(trials, plan, at_least)
            self._send(CohortPlanned(tuple(t.number for t in trials), plan.summary(len(trials))))
            began = time.perf_counter()
            # Compiles the graph: where that fails, no trial has begun.
            trainer.rehearse(np.zeros((trainer.size, trials[0].steps), np.float32), 0)
            self._train(trainer, trials, compiling=time.perf_counter() - began)
        except StopRequested:
            raise
        except Exception as error:
            return error.with_traceback(None)
        return None

    def _train(self, trainer: Trainer, trials: list[TrainedTrial], compiling: float = 0.0) -> None:
        config = trials[0].config
        for trial in trials:
            trial.started(cohort=len(trials))
        train(
            trainer,
            [trial.member() for trial in trials],
            epochs=config.train.epochs,
            until=self._job.until,
            objective=trials[0].objective(),
            checkpoint_seconds=config.train.checkpoint_seconds,
            finished=self._finished,
            should_stop=self._should_stop,
            compiling=compiling,
        )


def _groups(trials: list[TrainedTrial]) -> list[list[TrainedTrial]]:
    """Trials that can be one computation: of one structure, optimizer, size and shape of data, at the same epoch."""
    groups: dict[Any, list[TrainedTrial]] = {}
    keys: dict[int, str] = {}
    for trial in trials:
        if id(trial.model) not in keys:
            keys[id(trial.model)] = stacking.structure(trial.model, pad=True).key()
        train, data = trial.config.train, trial.splits
        settings = (train.batch_size, train.epochs, train.augment, trial.objective())
        precision = trial.config.device.precision
        shapes = (data.train.inputs.shape, data.validation.inputs.shape, data.n_classes)
        stream = id(data) if trial.streams else None  # one stream serves one data set
        structure = (keys[id(trial.model)], trial.head.key, type(trial.optimizer), precision)
        key = (structure, obstacle(trial), settings, shapes, stream, trial.progress.epoch)
        groups.setdefault(key, []).append(trial)
    return list(groups.values())


def obstacle(trial: TrainedTrial) -> str | None:
    """Why a trial can't be part of a fused cohort; None if it can, as far as can be seen before trying."""
    if trial.config.device.name in MULTI_DEVICE:
        return f"device={trial.config.device.name} trains each on several devices at once"
    if trial.config.device.precision == "mixed_float16":
        return "mixed_float16 scales the loss of each model by itself; mixed_bfloat16 fuses"
    if any(getattr(v, "constraint", None) is not None for v in trial.model.trainable_variables):
        return "a layer constrains its weights"
    return updates.obstacle(trial.optimizer)


def unreadable(trials: list[TrainedTrial]) -> OSError | None:
    """Why data could not be read while trials were trained on it, if that is what happened; an error of the machine
    by then, no longer of the user's input."""
    splits = [trial.splits for trial in trials if hasattr(trial, "splits")]
    failure = next((s.failure for s in splits if s.failure), None)
    return OSError(errno.EIO, str(failure)) if failure else None


def fused_trainer(trials: list[TrainedTrial], plan: modes.FusionPlan, at_least: int = 0) -> FusedTrainer:
    """The trainer of a cohort, each trial as far as its state.h5 goes; the first one again in places left over."""
    filled = [*trials, *[trials[0]] * (at_least - len(trials))]
    trainer = FusedTrainer(
        [trial.model for trial in filled],
        [trial.optimizer for trial in filled],
        [trial.splits for trial in filled],
        seeds=[trial.config.seed for trial in filled],
        batch_size=trials[0].config.train.batch_size,
        label_smoothing=[trial.config.train.label_smoothing for trial in filled],
        head=trials[0].head,
        epoch=trials[0].progress.epoch,
        resident=plan.resident,
        xla=plan.mode == "fused_xla",
        augment=trials[0].augment,
    )
    for i, trial in enumerate(trials):
        if trial.state is not None:
            trainer.restore(i, trial.state)
    return trainer


def solo_trainer(trial: TrainedTrial) -> SoloTrainer:
    """The trainer of one trial by itself, on one device or several, as far as its state.h5 goes."""
    config, splits = trial.config, trial.splits
    strategy = distributed.make_strategy(config.device.name)
    model = build_model(config, splits, strategy)  # its own: training changes it
    with strategy.scope() if strategy else contextlib.nullcontext():
        optimizer = call("optimizer", config.optimizer)
        if config.device.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    kind = partial(DistributedTrainer, strategy=strategy) if strategy else SoloTrainer
    batch_size = config.train.batch_size
    trainer = kind(
        model,
        optimizer,
        batches=training_batches(
            splits.train,
            batch_size=batch_size,
            seed=config.seed,
            start_epoch=trial.progress.epoch,
            augment=trial.augment,
        ),
        validation=evaluation_batches(splits.validation),
        validation_steps=evaluation_steps(splits.validation),
        label_smoothing=config.train.label_smoothing,
        head=trial.head,
    )
    if trial.state is not None:
        trainer.restore(0, trial.state)
    return trainer


def measure(job: MeasureJob) -> Measurement:
    """What a forecast says of a cohort before it runs, by the largest of its trials; nothing is written."""
    trial = TrainedTrial(TrialTask(0, job.config, {}, "/nonexistent"), lambda event: None)
    trial.build({})
    while True:
        plan = modes.plan_fusion([trial], job.planned, obstacle(trial), job.conditions)
        at_once = 1 if plan.mode == "solo" else plan.largest(job.planned)
        n = min(at_once, modes.TIMED_TRIALS)
        make = partial(solo_trainer, trial) if plan.mode == "solo" else partial(fused_trainer, [trial], plan, n)
        try:
            start, step = modes.timed(make, trial)
            return Measurement(plan.summary(at_once), start, trial.steps * step)
        except Exception as error:
            if plan.mode == "solo" or out_of_memory(error):
                raise
            modes.note_failure(trial, plan.mode, error)
