"""A job of trials: which of them train together, in which mode, and what is said about it."""

import contextlib
import dataclasses
import errno
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras

from pipeline.data.input_pipeline import evaluation_batches, evaluation_steps, training_batches
from pipeline.limits import TOGETHER
from pipeline.targets import call
from pipeline.training import distributed, modes
from pipeline.training.distributed import DistributedTrainer
from pipeline.training.fused.trainer import FusedTrainer, stacking, updates
from pipeline.training.loop import Interrupted, Member, Outcome, Trainer, train
from pipeline.training.solo import SoloTrainer
from pipeline.training.trial import Trial, build_model, export, out_of_memory

Job = dict[str, Any]  # trials: number, config, record and folder of each; planned, until, export, fuse: see run_trials
Send = Callable[[dict[str, Any]], None]


def run_trials(job: Job, send: Send, should_stop: Callable[[], bool]) -> None:
    """Trains the job's trials and writes their folders; every event goes to events.jsonl and then to `send`, with
    its trial's number.

    A trial's last event is `ended` with status completed, diverged or failed, `paused` once it has `until` epochs,
    or `interrupted`; unless its number is in an `alone` message: it is then to be a job by itself, for any worker.
    Nothing is raised.

    job: `until`: pause after this epoch; `export`: write model.h5 of each; `planned`: how many trials the cohort had
    when it was planned, which decides its mode: a resumed one goes on as it began; `halved`: its number of trials may
    be what a worker died of; `fuse`, `xla`: auto | always | never; `memory`: bytes that a cohort may take; `spread`:
    workers that there are for trials one by one.
    """
    _Work(job, send, should_stop).run()


class _Work:
    """One job: its trials, and those of them that have not ended."""

    def __init__(self, job: Job, send: Send, should_stop: Callable[[], bool]) -> None:
        self._job, self._send, self._should_stop = job, send, should_stop
        self._trials = [Trial(one, self._sender(one["number"])) for one in job["trials"]]
        self._open = {trial.number: trial for trial in self._trials}
        self._planned = job.get("planned", len(self._trials))

    def _sender(self, number: int) -> Send:
        return lambda event: self._send({"trial": number, "event": event})

    def run(self) -> None:
        models: dict[str, keras.Model] = {}
        try:
            for trial in self._trials:
                with self._failing([trial]):
                    trial.build(models)
            for group in _groups(list(self._open.values())):
                with self._failing(group):
                    self._train_group(group)
        except Interrupted:
            for trial in self._open.values():
                trial.emit({"event": "interrupted"})
        finally:
            for trial in self._trials:
                trial.close()

    @contextlib.contextmanager
    def _failing(self, trials: list[Trial]) -> Iterator[None]:
        """An error here is the end of those of `trials` that have not ended."""
        try:
            yield
        except Interrupted:
            raise
        except Exception as error:
            cause = unreadable(trials) or error
            for trial in trials:
                if self._open.pop(trial.number, None):
                    trial.failed(cause)

    def _finished(self, member: Member, outcome: Outcome) -> None:
        trial = self._open[member.number]
        with self._failing([trial]):
            if self._job.get("export") and member.best:
                export({"config": trial.config, "record": trial.record, "folder": str(trial.folder)})
            trial.ended(member, outcome)
            del self._open[member.number]

    def _train_group(self, trials: list[Trial]) -> None:
        """Trains trials of one group: fused, in as many cohorts as memory asks for; or hands them back, to be trained
        one by one by whoever is free."""
        share = len(trials) / len(self._job["trials"])
        planned = max(len(trials), round(share * self._planned))
        choice = modes.choose(trials, planned, obstacle(trials[0]), self._job)
        if choice.mode == "solo":
            self._alone(trials, choice)
            return
        size = choice.largest(len(trials))
        for start in range(0, len(trials), size):
            part = trials[start : start + size]
            # A product of another number of trials may round otherwise: one that goes on does so among as many.
            before = min(self._planned, max(trial.progress.cohort for trial in part))
            before = 0 if self._job.get("halved") else before
            self._train_fused(part, before, choice)

    def _alone(self, trials: list[Trial], choice: modes.Choice) -> None:
        numbers = [trial.number for trial in trials]
        told = {"cohort": {"trials": numbers, **choice.told(1)}}
        if len(trials) > 1:
            self._send({"alone": numbers, **told})
            for number in numbers:
                del self._open[number]
            return
        if self._planned > 1:
            self._send(told)
        self._train(solo_trainer(trials[0]), trials)

    def _train_fused(self, trials: list[Trial], at_least: int, choice: modes.Choice) -> None:
        """One cohort, filled up to `at_least` places. Out of memory, its halves are tried; for any other error its
        trials train alone, where the error belongs to the trial that has it."""
        error = self._attempt(trials, at_least, choice)
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
                self._train_fused(part, 0, choice)
            return
        reason = modes.unfused_reason(error)
        fresh = all(trial.state is None for trial in left) and not isinstance(error, OSError)
        if fresh and not out_of_memory(error):  # not of a full disk, nor of what was saved
            choice.note_obstacle(reason)
        self._alone(left, dataclasses.replace(choice, mode="solo", reason=reason))

    def _attempt(self, trials: list[Trial], at_least: int, choice: modes.Choice) -> Exception | None:
        """Trains a cohort; the error if it fails, without what it holds in memory."""
        try:
            trainer = fused_trainer(trials, choice, at_least)
            self._send({"cohort": {"trials": [t.number for t in trials], **choice.told(len(trials))}})
            self._train(trainer, trials)
        except Interrupted:
            raise
        except Exception as error:
            return error.with_traceback(None)
        return None

    def _train(self, trainer: Trainer, trials: list[Trial]) -> None:
        config = trials[0].config
        for trial in trials:
            trial.started(cohort=len(trials))
        train(
            trainer,
            [trial.member() for trial in trials],
            epochs=config["train"]["epochs"],
            until=self._job.get("until"),
            objective=trials[0].objective(),
            checkpoint_seconds=config["train"]["checkpoint_seconds"],
            finished=self._finished,
            should_stop=self._should_stop,
        )


def _groups(trials: list[Trial]) -> list[list[Trial]]:
    """Trials that can be one computation: of one structure, optimizer, size and shape of data, at the same epoch."""
    groups: dict[Any, list[Trial]] = {}
    keys: dict[int, str] = {}
    for trial in trials:
        if id(trial.model) not in keys:
            keys[id(trial.model)] = stacking.structure(trial.model, pad=True).key()
        train, data = trial.config["train"], trial.splits
        settings = (train["batch_size"], train["epochs"], *train["augment"].values(), trial.objective())
        precision, head = trial.config["device"]["precision"], trial.config["model"]["head"]
        shapes = (data.train.inputs.shape, data.validation.inputs.shape, data.n_classes)
        stream = id(data) if trial.streams else None  # one stream serves one data set
        structure = (keys[id(trial.model)], head, type(trial.optimizer), precision)
        key = (structure, obstacle(trial), settings, shapes, stream, trial.progress.epoch)
        groups.setdefault(key, []).append(trial)
    return list(groups.values())


def obstacle(trial: Trial) -> str | None:
    """Why a trial can't be part of a fused cohort; None if it can, as far as can be seen before trying."""
    if trial.config["device"]["name"] in TOGETHER:
        return f"device={trial.config['device']['name']} trains each on several devices at once"
    if trial.config["device"]["precision"] == "mixed_float16":
        return "mixed_float16 scales the loss of each model by itself; mixed_bfloat16 fuses"
    if any(getattr(v, "constraint", None) is not None for v in trial.model.trainable_variables):
        return "a layer constrains its weights"
    return updates.obstacle(trial.optimizer)


def unreadable(trials: list[Trial]) -> OSError | None:
    """Why data could not be read while trials were trained on it, if that is what happened; an error of the machine
    by then, no longer of the user's input."""
    splits = [trial.splits for trial in trials if hasattr(trial, "splits")]
    failure = next((s.failure for s in splits if s.failure), None)
    return OSError(errno.EIO, str(failure)) if failure else None


def fused_trainer(trials: list[Trial], choice: modes.Choice, at_least: int = 0) -> FusedTrainer:
    """The trainer of a cohort, each trial as far as its state.h5 goes; the first one again in places left over."""
    filled = [*trials, *[trials[0]] * (at_least - len(trials))]
    trainer = FusedTrainer(
        [trial.model for trial in filled],
        [trial.optimizer for trial in filled],
        [trial.splits for trial in filled],
        seeds=[trial.config["seed"] for trial in filled],
        batch_size=trials[0].config["train"]["batch_size"],
        label_smoothing=[trial.config["train"]["label_smoothing"] for trial in filled],
        head=trials[0].config["model"]["head"],
        epoch=trials[0].progress.epoch,
        resident=choice.resident,
        xla=choice.mode == "fused_xla",
        augment=trials[0].augment,
    )
    for i, trial in enumerate(trials):
        if trial.state is not None:
            trainer.restore(i, trial.state)
    return trainer


def solo_trainer(trial: Trial) -> SoloTrainer:
    """The trainer of one trial by itself, on one device or several, as far as its state.h5 goes."""
    config, splits = trial.config, trial.splits
    strategy = distributed.make_strategy(config["device"]["name"])
    model = build_model(config, splits, strategy)  # its own: training changes it
    with strategy.scope() if strategy else contextlib.nullcontext():
        optimizer = call("optimizer", config["optimizer"])
        if config["device"]["precision"] == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    kind = partial(DistributedTrainer, strategy=strategy) if strategy else SoloTrainer
    batch_size = config["train"]["batch_size"]
    trainer = kind(
        model,
        optimizer,
        batches=training_batches(
            splits.train,
            batch_size=batch_size,
            seed=config["seed"],
            start_epoch=trial.progress.epoch,
            augment=trial.augment,
        ),
        validation=evaluation_batches(splits.validation),
        validation_steps=evaluation_steps(splits.validation),
        label_smoothing=config["train"]["label_smoothing"],
        head=config["model"]["head"],
    )
    if trial.state is not None:
        trainer.restore(0, trial.state)
    return trainer


def measure(job: Job) -> dict[str, Any]:
    """What a plan says of a cohort before it runs: what is told of its mode, the seconds before its first epoch, and
    of a trial's epoch. job: `config` of the largest trial, `planned` and what run_trials reads; nothing is written but
    the measurements."""
    nowhere = {"number": 0, "config": job["config"], "record": {}, "folder": "/nonexistent"}
    trial = Trial(nowhere, lambda event: None)
    trial.build({})
    choice = modes.choose([trial], job["planned"], obstacle(trial), job)
    measured = modes.measured(trial, choice, job["planned"])
    at_once = 1 if choice.mode == "solo" else choice.largest(job["planned"])
    return {**choice.told(at_once), "start": measured["start"], "epoch": trial.steps * measured["step"]}
