"""One trial as a worker sees it: from its config to its data, model and optimizer, and to its model.h5."""

import contextlib
import hashlib
import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline import compatibility
from pipeline.data.augment import augmentation
from pipeline.data.input_pipeline import steps_per_epoch
from pipeline.data.sources import load_splits
from pipeline.data.splits import Splits
from pipeline.errors import InputError, lacked, reason_of
from pipeline.heads.lookup import head_of
from pipeline.jsonl import JsonLines
from pipeline.models.layers import normalized
from pipeline.models.tokens import rounding_layer
from pipeline.objective import Objective
from pipeline.records import Ended, Event, Paused, Started, TrialEvent, TrialTask
from pipeline.saving import save_model
from pipeline.schema import Config, changed
from pipeline.targets import call
from pipeline.training import checkpoint
from pipeline.training.callbacks import Callback, Moment, Watch
from pipeline.training.diagnostics.diagnosis import Diagnosis, Diagnostics
from pipeline.training.distributed import require
from pipeline.training.loop import Member, Outcome
from pipeline.training.progress import Progress
from pipeline.training.schedules import factors
from pipeline.versions import library_versions


class TrainedTrial:
    """A trial to be trained. Its log takes every event before `send` does.

    Building raises InputError for a config that can't be trained.
    """

    def __init__(self, task: TrialTask, send: Callable[[TrialEvent], None]) -> None:
        self.task, self.number, self.config = task, task.number, task.config
        self.folder = Path(task.folder)
        self._log: JsonLines | None = None
        self._send = send

    def emit(self, event: Event) -> None:
        logged = True
        try:
            self._log = self._log or JsonLines(self.folder / "events.jsonl", durable=False)
            self._log.append(event.to_json())
        except OSError:
            if not isinstance(event, Ended):
                raise
            logged = False  # as the parent is to do
        self._send(TrialEvent(self.number, event, logged))

    def close(self) -> None:
        if self._log:
            self._log.close()

    def build(self, models: dict[str, keras.Model], nominal: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Loads the data, makes model and optimizer, reads state.h5.

        models: those already built, by what they follow from; most trials of a sweep begin with the same weights.
        nominal: the values that model and optimizer are made with of hyperparameters that are set, and set again, once
        they train.
        """
        config = changed(self.config, nominal)
        keras.config.set_dtype_policy(config.device.precision)
        require(config.device.name)
        self.splits = load_splits(config)
        self.augment = augmentation(config.train.augment, self.splits.input_shape)
        sources = [config.model.plain(), config.dataset.plain(), config.seed, config.device.precision]
        key = json.dumps(sources, sort_keys=True)
        if key not in models:
            models[key] = build_model(config, self.splits)
        self.model = models[key]
        self.head = head_of(config)
        self.optimizer = call("optimizer", config.optimizer)
        self.steps = steps_per_epoch(len(self.splits.train), config.train.batch_size)
        self.identity = identity(self.config, self.splits)
        saved = checkpoint.load(self.folder / "state.h5", self.identity)
        self.state: dict[str, np.ndarray] | None
        self.state, self.best, self.progress = saved or (None, [], Progress())
        self._callbacks: list[Callback] = [call("train.callbacks", target) for target in config.train.callbacks]
        if wrong := [type(c).__name__ for c in self._callbacks if not isinstance(c, Callback)]:
            raise InputError(f"train.callbacks: {wrong[0]} is no pipeline.training.callbacks.Callback.")

    @property
    def streams(self) -> bool:
        """Whether its batches come through tf.data in any case, and not from data on the device."""
        return self.splits.streamed or self.augment is not None

    def objective(self) -> Objective:
        return Objective(self.config.sweep.metric, self.config.sweep.direction)

    def member(self) -> Member:
        train, splits = self.config.train, self.splits
        callbacks = list(self._callbacks)
        if train.diagnostics:
            make, settings = partial(build_model, self.config, splits), (self.head, train.batch_size, self.config.seed)
            callbacks.insert(0, Diagnostics(Diagnosis(self.model, make, splits.train, *settings), self.emit))
        return Member(
            self.number,
            rates=self._rates,
            patience=train.early_stopping.patience if train.early_stopping else None,
            state_path=self.folder / "state.h5",
            identity=self.identity,
            emit=self.emit,
            progress=self.progress,
            best=self.best,
            watch=Watch(callbacks, partial(Moment, self.number, self.config, splits.train, splits.validation)),
        )

    def _rates(self, epoch: int) -> np.ndarray:
        return learning_rates(self.config, self.steps, epoch)

    @property
    def warning(self) -> str | None:
        """What the user should know of how the model takes the data."""
        layer = rounding_layer(self.model, self.splits.train.inputs[:4]) if normalizes(self.config) else None
        if layer is None:
            return None
        word = f"{'+' * (self.config.dataset.normalize is None)}dataset.normalize=false"
        return (
            f"the layer {layer} takes whole numbers, such as tokens, but gets inputs that were normalised, of which "
            f"many become the same; {word} gives the model the inputs as they are"
        )

    def started(self, cohort: int, warning: str | None) -> None:
        parameters, splits = self.model.count_params(), self.splits
        data = (splits.fingerprint, dict(splits.attributes))
        self.emit(Started(time.time(), os.getpid(), parameters, self.progress.epoch, *data, cohort, warning, threads()))

    def ended(self, member: Member, outcome: Outcome) -> None:
        progress = member.progress
        reached = (progress.epoch, progress.best_epoch, progress.best_metrics, progress.seconds)
        if outcome.error:
            self.failed(outcome.error)
        elif outcome.status == "paused":
            self.emit(Paused(time.time(), *reached))
        else:
            self.emit(Ended(time.time(), outcome.status, outcome.reason, *reached))

    def paused(self) -> None:
        """Says that it has not begun, or gone on, in this job: its state is as an earlier one left it."""
        saved = None if hasattr(self, "progress") else checkpoint.load(self.folder / "state.h5")
        progress = saved[2] if saved else getattr(self, "progress", Progress())
        self.emit(Paused(time.time(), progress.epoch, progress.best_epoch, progress.best_metrics, progress.seconds))

    def failed(self, error: Exception) -> None:
        """Nothing is raised further: a trial that fails costs itself only."""
        reason, user = reason_of(error)
        if not user:
            text = "".join(traceback.format_exception(error))
            with contextlib.suppress(OSError):  # of which it may have failed
                (self.folder / "traceback.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
        self.emit(Ended(time.time(), "failed", reason, input_error=user, lacked=lacked(error)))


def learning_rates(config: Config, steps: int, epoch: int) -> np.ndarray:
    """Those of an epoch counted from 0, [steps]."""
    return config.optimizer.learning_rate * factors(config.schedule, epoch, config.train.epochs, steps)


def threads() -> int | None:
    """How many a computation is split over; None: TensorFlow decides."""
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0")) or None


def identity(config: Config, splits: Splits) -> str:
    """What a state.h5 belongs to: all that decides how the trial trains, not where, nor what else might be tried."""
    plain = config.plain()
    groups = {name: plain[name] for name in ("dataset", "model", "optimizer", "schedule", "train")}
    for key in ("checkpoint_seconds", "diagnostics", "callbacks"):
        groups["train"].pop(key)
    groups["heads"] = {config.model.head: config.heads[config.model.head]}
    groups = compatibility.original(compatibility.reduced(groups))
    precision = config.device.precision  # not its name: a sweep may be resumed on another device
    aim = [config.sweep.metric, config.sweep.direction]
    data = [splits.fingerprint, splits.train.streamed]  # whole data and blocks are shuffled into other batches
    text = json.dumps([config.seed, groups, precision, aim, *data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def export(task: TrialTask) -> str:
    """Writes model.h5, the best epoch's model, from the trial's state.h5; returns its path.

    Raises InputError if there are no weights, or they were not trained with this config on these data.
    """
    folder, config = Path(task.folder), task.config
    splits = load_splits(config)
    weights, progress = checkpoint.load_best(folder / "state.h5", identity(config, splits))
    model = build_model(config, splits)
    model.set_weights(weights)
    attributes = {
        "caviar_config": task.record,
        "metrics": progress.best_metrics,
        "epoch": progress.best_epoch,
        "class_names": list(splits.class_names),
        "input_shape": list(splits.input_shape),
        "input_dtype": str(splits.train.inputs.dtype),
        "data_fingerprint": splits.fingerprint,
        "data_attributes": dict(splits.attributes),
        "library_versions": library_versions(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    if splits.encoding:
        attributes["table_encoding"] = splits.encoding.to_json()
    few = splits.validation.inputs[:4]
    save_model(head_of(config).for_use(model), folder / "model.h5", attributes, few)
    return str(folder / "model.h5")


def count_parameters(config: Config) -> int | None:
    """Of its model; None if it can't be built."""
    try:
        return int(build_model(config, load_splits(config)).count_params())
    except (InputError, TypeError, ValueError):
        return None


def normalizes(config: Config) -> bool:
    """Whether the model gets normalised inputs."""
    return head_of(config).normalizes and config.dataset.normalize is not False


def build_model(config: Config, splits: Splits, strategy: tf.distribute.Strategy | None = None) -> keras.Model:
    """The Keras model of a config, from raw inputs to what its head needs, with the weights that follow from its seed;
    on the devices of `strategy` if there is one.

    Raises InputError if the model's output is of another shape.
    """
    # A worker builds many models: without this layer names count up, and structures would not compare.
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.device.precision)
    head, n_classes = head_of(config), splits.n_classes
    with strategy.scope() if strategy else contextlib.nullcontext():  # clear_session() would lose it
        inputs = keras.Input(splits.input_shape, name="inputs")
        x = normalized(inputs, *splits.normalization()) if normalizes(config) else inputs
        outputs = call("model", config.model, x, head.n_outputs(n_classes))
        target = config.model.target
        if not isinstance(outputs, keras.KerasTensor):
            raise InputError(f"model: {target} returns {type(outputs).__name__}; a model is one tensor, its output.")
        head.check_outputs(outputs.shape, n_classes)
        try:
            return keras.Model(inputs, outputs)
        except ValueError:  # which names neither
            raise InputError(
                f"model: what {target} returns follows from an input of its own; a model has one input, the one that "
                "it is given."
            ) from None
