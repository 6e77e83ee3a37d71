"""One trial, from its config to its files. The only place in a worker that reads the config."""

import hashlib
import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.data.splits import Splits
from pipeline.errors import InputError
from pipeline.jsonl import JsonLines
from pipeline.models.heads import n_logits
from pipeline.objective import Objective
from pipeline.targets import call

Job = dict[str, Any]  # number, config (plain, resolved), record (config for records), folder
Emit = Callable[[dict[str, Any]], None]

EVALUATION_BATCH = 1024  # large, for it needs no gradients; bounded, for its activations are in memory at once

_splits: dict[str, Splits] = {}


def load_splits(config: dict[str, Any]) -> Splits:
    """The data set of a config. A warm worker keeps the last one: a sweep's trials mostly share it."""
    key = json.dumps([config["dataset"], config["seed"]], sort_keys=True)
    if key not in _splits:
        _splits.clear()
        _splits[key] = call("dataset", config["dataset"], seed=config["seed"])
    return _splits[key]


def run_trial(job: Job, send: Emit, should_stop: Callable[[], bool]) -> None:
    """Trains the trial and writes its folder; every event goes to events.jsonl and then to `send`.

    The last event is `ended` with status completed, diverged or failed, or `interrupted`. Nothing is raised:
    a trial that fails costs itself only.
    """
    folder = Path(job["folder"])
    log = JsonLines(folder / "events.jsonl", durable=False)

    def emit(event: dict[str, Any]) -> None:
        event = {"time": time.time(), **event}
        log.append(event)
        send(event)

    from pipeline.training.loop import Interrupted

    try:
        _train(job, folder, emit, should_stop)
    except Interrupted:
        emit({"event": "interrupted"})
    except Exception as error:
        reason, user = _reason(error)
        if not user:
            (folder / "traceback.txt").write_text(traceback.format_exc())
        emit({"event": "ended", "status": "failed", "reason": reason, "input_error": user})
    finally:
        log.close()


def _reason(error: Exception) -> tuple[str, bool]:
    """One line that says why a trial failed, and whether its config is to blame."""
    if isinstance(error, InputError):
        return str(error), True
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "out of memory; try a smaller train.batch_size or model", False
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename or ''}".rstrip(": "), False
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}", False


def _train(job: Job, folder: Path, emit: Emit, should_stop: Callable[[], bool]) -> None:
    import keras
    import tensorflow as tf

    from pipeline.data.input_pipeline import evaluation_batches, steps_per_epoch, training_batches
    from pipeline.models.layers import with_probabilities
    from pipeline.saving import library_versions, save_model
    from pipeline.training import checkpoint
    from pipeline.training.loop import train
    from pipeline.training.progress import Progress
    from pipeline.training.schedules import factors
    from pipeline.training.solo import SoloTrainer

    config = job["config"]
    settings, seed, head = config["train"], config["seed"], config["model"]["head"]
    # A worker trains many models: without this Keras remembers every one, and layer names count up.
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(config["device"]["precision"])
    if config["device"]["name"] == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise InputError(
            "device=gpu: TensorFlow sees no GPU. Install the extra: pip install -c constraints.txt -e '.[cuda]'."
        )
    splits = load_splits(config)
    model = build_model(config, splits)
    optimizer = call("optimizer", config["optimizer"])
    base_rate = config["optimizer"]["learning_rate"]
    if config["device"]["precision"] == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)

    trained_by = [config[name] for name in ("seed", "dataset", "model", "optimizer", "schedule", "train")]
    trained_by.append(config["device"]["precision"])  # not its name: a sweep may be resumed on another device
    aim = [config["sweep"][name] for name in ("metric", "direction")]
    text = json.dumps([trained_by, aim, splits.fingerprint], sort_keys=True)
    identity = hashlib.sha256(text.encode()).hexdigest()
    saved = checkpoint.load(folder / "state.h5", identity)
    progress = saved[2] if saved else Progress()
    steps = steps_per_epoch(len(splits.train), settings["batch_size"])
    trainer = SoloTrainer(
        model,
        optimizer,
        batches=training_batches(
            splits.train, batch_size=settings["batch_size"], seed=seed, start_epoch=progress.epoch
        ),
        validation=evaluation_batches(splits.validation, batch_size=EVALUATION_BATCH),
        validation_steps=steps_per_epoch(len(splits.validation), EVALUATION_BATCH),
        label_smoothing=settings["label_smoothing"],
    )
    if saved:
        trainer.restore(saved[0])
    emit(
        {
            "event": "started",
            "pid": os.getpid(),
            "parameters": model.count_params(),
            "resumed_after": progress.epoch,
            "data_fingerprint": splits.fingerprint,
        }
    )
    stopping = settings["early_stopping"]
    outcome = train(
        trainer,
        epochs=settings["epochs"],
        rates=lambda epoch: base_rate * factors(config["schedule"], epoch, settings["epochs"], steps),
        objective=Objective(config["sweep"]["metric"], config["sweep"]["direction"]),
        patience=stopping["patience"] if stopping else None,
        state_path=folder / "state.h5",
        checkpoint_seconds=settings["checkpoint_seconds"],
        progress=progress,
        best=saved[1] if saved else [],
        identity=identity,
        emit=emit,
        should_stop=should_stop,
    )
    best = outcome.progress
    if outcome.best:
        model.set_weights(outcome.best)
        attributes = {
            "caviar_config": job["record"],
            "metrics": best.best_metrics,
            "epoch": best.best_epoch,
            "class_names": list(splits.class_names),
            "input_shape": list(splits.input_shape),
            "input_dtype": str(splits.train.inputs.dtype),
            "data_fingerprint": splits.fingerprint,
            "library_versions": library_versions(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        save_model(with_probabilities(model, head), folder / "model.h5", attributes)
    emit(
        {
            "event": "ended",
            "status": outcome.status,
            "reason": outcome.reason,
            "epochs": best.epoch,
            "best_epoch": best.best_epoch,
            "metrics": best.best_metrics,
            "seconds": best.seconds,
        }
    )


def build_model(config: dict[str, Any], splits: Splits) -> Any:
    """The Keras model of a config, from raw inputs to logits, with fresh weights."""
    import keras

    from pipeline.models.layers import normalized

    inputs = keras.Input(splits.input_shape, name="inputs")
    x = normalized(inputs, *splits.normalization())
    logits = call("model", config["model"], x, n_logits(config["model"]["head"], splits.n_classes))
    return keras.Model(inputs, logits)
