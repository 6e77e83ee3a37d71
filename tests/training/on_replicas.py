"""`python -m tests.training.on_replicas N FOLDER CASE...`: trains on N logical CPUs and on one, and prints in JSON
how far apart the two are, of the cases that are named.

A process of its own, for devices can't be added later, and its collectives are for one number of them.
"""

import contextlib
import gc
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.input_pipeline import evaluation_batches, steps_per_epoch, training_batches
from pipeline.data.sets.planar import blobs
from pipeline.data.splits import Splits, stratified
from pipeline.models.layers import normalized
from pipeline.models.mlp import mlp
from pipeline.records import CohortPlanned, Report, Requeued, TrialEvent
from pipeline.training import distributed
from pipeline.training.cohort import run_trials
from pipeline.training.distributed import DistributedTrainer
from pipeline.training.solo import SoloTrainer
from tests.conftest import head
from tests.workers.jobs import job, together

OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "sgd": lambda: keras.optimizers.SGD(),
    "momentum": lambda: keras.optimizers.SGD(momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: keras.optimizers.Adam(beta_1=0.8, clipnorm=0.05),
    "rmsprop": lambda: keras.optimizers.RMSprop(rho=0.8, momentum=0.5, global_clipnorm=0.1),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), dynamic_growth_steps=3),
}
FRACTIONS = {"validation_fraction": 0.2, "test_fraction": 0.2}
CLOUDS = blobs(n_classes=3, examples_per_class=50, spread=0.6, **FRACTIONS, seed=0)  # 90 to train on, 30 to validate
TWO = blobs(n_classes=2, examples_per_class=50, spread=0.9, **FRACTIONS, seed=0)


def images() -> Splits:
    rng = np.random.default_rng(0)
    labels = np.arange(75).astype(np.int32) % 3
    inputs = rng.normal(labels[:, None, None, None], 1.0, (75, 6, 6, 2)).astype(np.float32)
    return stratified(inputs, labels, ("a", "b", "c"), **FRACTIONS, seed=0)


def network(splits: Splits, n_outputs: int = 3, **settings: Any) -> keras.Model:
    inputs = keras.Input(splits.input_shape)
    shape = {"hidden_units": 8, "hidden_layers": 1, "activation": "relu", "norm_momentum": 0.9, "norm_epsilon": 1e-3}
    settings = {**shape, "norm_placement": "before_activation", "dropout_rate": 0.0, **settings}
    x = normalized(inputs, *splits.normalization())
    return keras.Model(inputs, mlp(x, n_outputs, **settings))


def convolutional(splits: Splits) -> keras.Model:
    inputs = x = keras.Input(splits.input_shape)
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    x = keras.layers.MaxPooling2D(2)(keras.layers.ReLU()(keras.layers.BatchNormalization()(x)))
    x = keras.layers.Dropout(0.2)(keras.layers.Dropout(0.2, noise_shape=(None, 1, 1, None))(x))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def far_off(splits: Splits) -> keras.Model:
    """Batch norm of what is 30 deviations from zero."""
    inputs = keras.Input(splits.input_shape)
    x = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Rescaling(1.0, 30.0)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def penalised(splits: Splits) -> keras.Model:
    """What a layer adds to the loss: of its weights, and a mean over its outputs."""
    inputs = keras.Input(splits.input_shape)
    x = keras.layers.Dense(8, "relu", kernel_regularizer="l1", activity_regularizer=keras.regularizers.L2(0.1))(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(0.5))(x))


# name -> data, model, optimizer, batch size, label smoothing, precision. Tracing is what takes long: a case
# shows several things, each of its own layer, optimizer or head.
CASES: dict[str, tuple[Any, ...]] = {
    "adam after activation, dropout, l2": (
        CLOUDS,
        lambda s: network(s, norm_placement="after_activation", dropout_rate=0.3, l2=0.01),
        "adam",
        16,
        0.1,
        "float32",
    ),
    "momentum and sigmoid": (TWO, lambda s: network(s, n_outputs=1), "momentum", 16, 0.1, "float32"),
    # the last batch has 2; more of them, and batch norm of 2 is the rounding of their difference
    "fewer examples than replicas": (CLOUDS, lambda s: network(s, dropout_rate=0.2), "sgd", 8, 0.0, "float32"),
    "rmsprop and convolutions": (images(), convolutional, "rmsprop", 8, 0.0, "float32"),
    "far off": (CLOUDS, far_off, "sgd", 16, 0.0, "float32"),
    "scaled": (CLOUDS, far_off, "scaled", 16, 0.0, "float32"),
    "penalised, one example left": (CLOUDS, penalised, "adam", 89, 0.0, "float32"),
    "mixed_bfloat16": (CLOUDS, partial(network, hidden_layers=2), "sgd", 16, 0.0, "mixed_bfloat16"),
    "mixed_float16": (CLOUDS, partial(network, hidden_layers=2), "scaled", 16, 0.0, "mixed_float16"),
}


def trainer(name: str, strategy: tf.distribute.Strategy | None, epoch: int = 0) -> SoloTrainer:
    splits, model, optimizer, batch_size, smoothing, precision = CASES[name]
    keras.backend.clear_session(free_memory=False)
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        parts = model(splits), OPTIMIZERS[optimizer]()
    settings = {
        "batches": training_batches(splits.train, batch_size=batch_size, seed=0, start_epoch=epoch),
        "validation": evaluation_batches(splits.validation, batch_size=7),
        "validation_steps": steps_per_epoch(len(splits.validation), 7),
        "label_smoothing": smoothing,
        "head": head("softmax" if splits.n_classes > 2 else "sigmoid"),
    }
    return DistributedTrainer(*parts, strategy=strategy, **settings) if strategy else SoloTrainer(*parts, **settings)


def apart(one: Any, other: Any) -> float:
    """The largest difference of two lists of arrays or numbers, relative to those above 1."""
    pairs = [(np.float64(a), np.float64(b)) for a, b in zip(one, other, strict=True)]
    return max(float(np.max(np.abs(a - b) / np.maximum(1, np.abs(a)), initial=0)) for a, b in pairs)


def compare(name: str, strategy: tf.distribute.Strategy, epochs: int = 3) -> dict[str, Any]:
    one, several = trainer(name, None), trainer(name, strategy)
    splits, batch_size = CASES[name][0], CASES[name][3]
    rates = np.linspace(0.05, 0.02, steps_per_epoch(len(splits.train), batch_size), dtype=np.float32)
    metrics, before = [], several.state()
    for _ in range(epochs):
        both = [t.epoch(rates[None])[0] for t in (one, several)]  # type: ignore[index]
        metrics.append(apart(both[0].values(), both[1].values()))
    state = several.state()
    return {
        "metrics": max(metrics),
        "weights": apart(one.weights(), several.weights()),
        "state": apart(one.state().values(), state.values()),
        "moved": apart(before.values(), state.values()),
        "traced": several.run_steps.experimental_get_tracing_count(),
    }


def overflow(strategy: tf.distribute.Strategy | None) -> dict[str, Any]:
    """Four steps of which the first overflows, and what the loss scale is after each."""
    one = trainer("mixed_float16", strategy)
    one.optimizer.dynamic_scale.assign(2.0**60)
    before, told = [v.numpy() for v in one.model.trainable_variables], []
    for step in range(4):
        one.train_epoch(np.full(1, 0.01, np.float32))
        scale, steps = one.optimizer.dynamic_scale, one.optimizer.iterations
        moved = apart(before, [v.numpy() for v in one.model.trainable_variables])
        told.append([float(scale.numpy()), int(steps.numpy()), moved])
        if step == 0:
            scale.assign(1024.0)
    return {"steps": told}


def handed_over(name: str, strategy: tf.distribute.Strategy) -> dict[str, float]:
    """A state that moves to several devices, and back to one, against one device all the way."""
    rates = np.full((1, 6), 0.05, np.float32)
    stays = trainer(name, None)
    stays.epoch(rates)
    state, metrics = stays.state(), []
    for epoch, where in ((1, strategy), (2, None)):
        moves = trainer(name, where, epoch)
        moves.restore(0, state)
        (expected,), (found,) = stays.epoch(rates), moves.epoch(rates)  # type: ignore[misc]
        metrics.append(apart(expected.values(), found.values()))
        state = moves.state()
    return {"metrics": max(metrics), "state": apart(stays.state().values(), state.values())}


def as_json(report: Report) -> dict[str, Any]:
    """What the test asks of a report."""
    match report:
        case TrialEvent(event=event):
            return {"event": event.to_json()}
        case CohortPlanned(summary=summary):
            return {"mode": summary.mode, "reason": summary.reason}
        case Requeued(trials=trials):
            return {"alone": trials}
    raise TypeError(report)


def jobs(folder: Path) -> dict[str, Any]:
    """A job of two trials with device=multi_gpu, and the first of them with device=cpu, early stopping and all."""
    told: dict[str, list[dict[str, Any]]] = {}
    for device in ("multi_gpu", "cpu"):
        changes = {"train.early_stopping": {"patience": 2}, "model.norm_placement": "before_activation"}
        one, two = (job(folder / device, number, 6, {"device.name": device, **changes}) for number in (0, 1))
        reports: list[Report] = []
        if device == "multi_gpu":
            run_trials(together(one, two), reports.append, lambda: False)
        run_trials(one, reports.append, lambda: False)
        told[device] = [as_json(report) for report in reports]
    models = [keras.models.load_model(folder / d / "0/model.h5", compile=False) for d in ("multi_gpu", "cpu")]
    return {**told, "model": apart(*(model.get_weights() for model in models))}


def main() -> None:
    # The iterator of a device has an autotuner that no option turns off, so that to free it may take as long as it
    # lived (see data/input_pipeline.py): none is freed.
    gc.disable()
    n, folder = int(sys.argv[1]), Path(sys.argv[2])
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * n)
    distributed.gpus = lambda: [device.name for device in tf.config.list_logical_devices("CPU")]
    strategy = distributed.make_strategy("multi_gpu")
    assert strategy and strategy.num_replicas_in_sync == n
    others: dict[str, Callable[[], Any]] = {
        "handed over": lambda: handed_over("adam after activation, dropout, l2", strategy),
        "overflow": lambda: overflow(strategy),
        "overflow on one": lambda: overflow(None),
        "jobs": lambda: jobs(folder),
    }
    found = {name: others[name]() if name in others else compare(name, strategy) for name in sys.argv[3:]}
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
