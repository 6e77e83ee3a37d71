"""One trial as a worker sees it: from its config to its data, model and optimizer, and to its model.h5."""

import contextlib
import hashlib
import json
import os
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline import compatibility
from pipeline.data.augment import augmentation
from pipeline.data.input_pipeline import steps_per_epoch
from pipeline.data.sources import load_splits
from pipeline.data.splits import Splits
from pipeline.errors import InputError, in_one_line
from pipeline.jsonl import JsonLines
from pipeline.models import heads
from pipeline.models.layers import normalized, with_probabilities
from pipeline.objective import Objective
from pipeline.saving import library_versions, save_model
from pipeline.targets import call
from pipeline.training import checkpoint
from pipeline.training.diagnostics.diagnosis import Diagnosis
from pipeline.training.distributed import require
from pipeline.training.loop import Member, Outcome
from pipeline.training.progress import Progress
from pipeline.training.schedules import factors

Job = dict[str, Any]  # number, config (plain, resolved), record (config for records), folder
Send = Callable[[dict[str, Any]], None]


class Trial:
    """A trial to be trained. Its log takes every event before `send` does.

    Building raises InputError for a config that can't be trained.
    """

    def __init__(self, job: Job, send: Send) -> None:
        self.number, self.config, self.record = job["number"], job["config"], job["record"]
        self.folder = Path(job["folder"])
        self._log: JsonLines | None = None
        self._send = send

    def emit(self, event: dict[str, Any]) -> None:
        event = {"time": time.time(), **event}
        self._log = self._log or JsonLines(self.folder / "events.jsonl", durable=False)
        self._log.append(event)
        self._send(event)

    def close(self) -> None:
        if self._log:
            self._log.close()

    def build(self, models: dict[str, keras.Model]) -> None:
        """Loads the data, makes model and optimizer, reads state.h5.

        models: those already built, by what they follow from; most trials of a sweep begin with the same weights.
        """
        config = self.config
        keras.config.set_dtype_policy(config["device"]["precision"])
        require(config["device"]["name"])
        self.splits = load_splits(config)
        self.augment = augmentation(config["train"]["augment"], self.splits.input_shape)
        kept = {key: value for key, value in config["model"].items() if key != "search"}
        key = json.dumps([kept, config["dataset"], config["seed"], config["device"]["precision"]], sort_keys=True)
        if key not in models:
            models[key] = build_model(config, self.splits)
        self.model = models[key]
        self.optimizer = call("optimizer", config["optimizer"])
        self.steps = steps_per_epoch(len(self.splits.train), config["train"]["batch_size"])
        self.identity = identity(config, self.splits)
        saved = checkpoint.load(self.folder / "state.h5", self.identity)
        self.state: dict[str, np.ndarray] | None = saved[0] if saved else None
        self.best, self.progress = (saved[1], saved[2]) if saved else ([], Progress())

    @property
    def streams(self) -> bool:
        """Whether its batches come through tf.data in any case, and not from data on the device."""
        return self.splits.streamed or self.augment is not None

    def objective(self) -> Objective:
        return Objective(self.config["sweep"]["metric"], self.config["sweep"]["direction"])

    def member(self) -> Member:
        config = self.config
        stopping, epochs = config["train"]["early_stopping"], config["train"]["epochs"]
        base = config["optimizer"]["learning_rate"]

        def rates(epoch: int) -> np.ndarray:
            return base * factors(config["schedule"], epoch, epochs, self.steps)

        return Member(
            self.number,
            rates,
            stopping["patience"] if stopping else None,
            self.folder / "state.h5",
            self.identity,
            self.emit,
            self.progress,
            self.best,
            self._diagnosis() if config["train"]["diagnostics"] else None,
        )

    def _diagnosis(self) -> Diagnosis:
        own = {"head": self.config["model"]["head"], "batch_size": self.config["train"]["batch_size"]}
        make = partial(build_model, self.config, self.splits)
        return Diagnosis(self.model, make, self.splits.train, seed=self.config["seed"], **own)

    def started(self, **details: Any) -> None:
        self.emit(
            {
                "event": "started",
                "pid": os.getpid(),
                "parameters": self.model.count_params(),
                "resumed_after": self.progress.epoch,
                "data_fingerprint": self.splits.fingerprint,
                "data_attributes": dict(self.splits.attributes),
                **details,
            }
        )

    def ended(self, member: Member, outcome: Outcome) -> None:
        progress = member.progress
        self.emit(
            {
                "event": "paused" if outcome.status == "paused" else "ended",
                "status": outcome.status,
                "reason": outcome.reason,
                "epochs": progress.epoch,
                "best_epoch": progress.best_epoch,
                "metrics": progress.best_metrics,
                "seconds": progress.seconds,
            }
        )

    def failed(self, error: Exception) -> None:
        """Nothing is raised further: a trial that fails costs itself only."""
        reason, user = reason_of(error)
        if not user:
            (self.folder / "traceback.txt").write_text("".join(traceback.format_exception(error)))
        self.emit({"event": "ended", "status": "failed", "reason": reason, "input_error": user})


def identity(config: Job, splits: Splits) -> str:
    """What a state.h5 belongs to: all that decides how the trial trains, not where, nor what else might be tried."""
    groups = {
        name: {key: value for key, value in config[name].items() if key != "search"}
        for name in ("dataset", "model", "optimizer", "schedule", "train")
    }
    for key in ("checkpoint_seconds", "diagnostics"):
        groups["train"].pop(key, None)
    precision = config["device"]["precision"]  # not its name: a sweep may be resumed on another device
    aim = [config["sweep"][name] for name in ("metric", "direction")]
    data = [splits.fingerprint, splits.train.streamed]  # whole data and blocks are shuffled into other batches
    groups = compatibility.original(groups)
    text = json.dumps([config["seed"], groups, precision, aim, *data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def export(job: Job) -> str:
    """Writes model.h5, the best epoch's model, from the trial's state.h5; returns its path.

    Raises InputError if there are no weights, or they were not trained with this config on these data.
    """
    folder, config = Path(job["folder"]), job["config"]
    splits = load_splits(config)
    weights, progress = checkpoint.load_best(folder / "state.h5", identity(config, splits))
    model = build_model(config, splits)
    model.set_weights(weights)
    attributes = {
        "caviar_config": job["record"],
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
    save_model(with_probabilities(model, config["model"]["head"]), folder / "model.h5", attributes)
    return str(folder / "model.h5")


def build_model(config: dict[str, Any], splits: Splits, strategy: tf.distribute.Strategy | None = None) -> keras.Model:
    """The Keras model of a config, from raw inputs to what its head needs, with the weights that follow from its seed;
    on the devices of `strategy` if there is one.

    Raises InputError if the model's output is of another shape.
    """
    # A worker builds many models: without this layer names count up, and structures would not compare.
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(config["seed"])
    keras.config.set_dtype_policy(config["device"]["precision"])
    head, n_classes = config["model"]["head"], splits.n_classes
    with strategy.scope() if strategy else contextlib.nullcontext():  # clear_session() would lose it
        inputs = keras.Input(splits.input_shape, name="inputs")
        x = normalized(inputs, *splits.normalization()) if heads.of(config).classifies else inputs
        outputs = call("model", config["model"], x, heads.n_outputs(head, n_classes))
        heads.check_outputs(head, outputs.shape, n_classes)
        return keras.Model(inputs, outputs)


def reason_of(error: Exception) -> tuple[str, bool]:
    """One line that says why a trial failed, and whether its config is to blame."""
    if isinstance(error, InputError):
        return str(error), True
    if out_of_memory(error):
        return "out of memory; try a smaller train.batch_size or model", False
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename or ''}".rstrip(": "), False
    return in_one_line(error), False


def out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
