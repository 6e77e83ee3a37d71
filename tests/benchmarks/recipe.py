"""What the peers' scripts share: the data, the models of conf/model in plain Keras layers, and their record in MLflow.

Each script has two variants. Plain, as most are written: arrays into `fit`, a call of the training function a step.
Tuned, where a user can make Keras fast: batches from tf.data, which `fit` runs through twice as quickly as arrays
here, and a whole epoch for each call (`steps_per_execution`), which Keras advises for small models. Metrics go to
MLflow in one call after training; a callback that logs each epoch, as is common, takes longer.
"""

import time
from functools import cache
from pathlib import Path
from typing import Any

import keras
import mlflow
import tensorflow as tf
from mlflow.entities import Metric

from pipeline.data.splits import Splits
from tests.benchmarks.peer import History, default_splits

SEED = 0
BATCH_SIZE = 32  # where it is not searched


@cache
def data() -> Splits:
    """The digits, loaded once in a process."""
    return default_splits(SEED)


def compiled(
    splits: Splits,
    *,
    plain: bool,
    model: str = "mlp",
    hidden_units: int = 64,
    hidden_layers: int = 2,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    batch_size: int = BATCH_SIZE,
) -> keras.Model:
    """model: `mlp`, or `cnn`, whose size is that of conf/model/cnn.yaml."""
    mean, variance = splits.normalization()
    inputs = keras.Input(splits.input_shape)
    x = keras.layers.Normalization(mean=mean, variance=variance)(inputs)
    x = _convolutions(x) if model == "cnn" else _dense_layers(x, hidden_units, hidden_layers)
    result = keras.Model(inputs, keras.layers.Dense(splits.n_classes)(x))
    result.compile(
        optimizer=keras.optimizers.Adam(learning_rate, beta_1=beta_1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=1 if plain else -(-len(splits.train) // batch_size),
    )
    return result


def _dense_layers(x: keras.KerasTensor, hidden_units: int, hidden_layers: int) -> keras.KerasTensor:
    x = keras.layers.Flatten()(x)
    for _ in range(hidden_layers):
        x = _normed_relu(keras.layers.Dense(hidden_units, use_bias=False)(x))
    return x


def _convolutions(x: keras.KerasTensor) -> keras.KerasTensor:
    for filters in (16, 32):
        x = _normed_relu(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x))
        x = keras.layers.MaxPooling2D(2)(x)
    return keras.layers.GlobalAveragePooling2D()(x)


def _normed_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Activation("relu")(keras.layers.BatchNormalization(momentum=0.9)(x))


def fitted(
    model: keras.Model, splits: Splits, *, batch_size: int = BATCH_SIZE, epochs: int, plain: bool, **options: Any
) -> History:
    """Trains the model; returns its metrics, a value an epoch."""
    train, validation = ((part.inputs.load(), part.labels) for part in (splits.train, splits.validation))
    if plain:
        options |= {"x": train[0], "y": train[1], "batch_size": batch_size, "validation_data": validation}
    else:
        shuffled = tf.data.Dataset.from_tensor_slices(train).shuffle(len(splits.train)).batch(batch_size)
        options |= {"x": shuffled.prefetch(tf.data.AUTOTUNE), "validation_data": whole_validation(splits)}
    history: History = model.fit(epochs=epochs, **options).history
    return history


def whole_validation(splits: Splits) -> tf.data.Dataset:
    """The validation part as one batch, kept from epoch to epoch."""
    part = splits.validation
    return tf.data.Dataset.from_tensor_slices((part.inputs.load(), part.labels)).batch(len(part)).cache()


def trained(point: dict[str, Any], *, model: str, epochs: int, plain: bool) -> tuple[keras.Model, History]:
    """A trial as a script trains it: the model, with the weights of its best epoch, and its metrics."""
    keras.backend.clear_session()  # else memory and time grow from trial to trial
    keras.utils.set_random_seed(SEED)
    network = compiled(data(), plain=plain, model=model, **point)
    # Never stops here; restores the best epoch's weights.
    best_epoch = keras.callbacks.EarlyStopping("val_accuracy", patience=epochs, restore_best_weights=True)
    batch_size = point.get("batch_size", BATCH_SIZE)
    settings: dict[str, Any] = {"batch_size": batch_size, "epochs": epochs, "plain": plain, "verbose": 0}
    return network, fitted(network, data(), callbacks=[best_epoch], **settings)


def use_store(output: Path) -> None:
    """MLflow's sqlite store in `output`, with artifacts beside it."""
    mlflow.set_tracking_uri(f"sqlite:///{output}/mlflow.db")
    if mlflow.get_experiment_by_name("peer") is None:
        mlflow.create_experiment("peer", artifact_location=str(output / "mlartifacts"))
    mlflow.set_experiment("peer")


def log(params: dict[str, Any], history: History) -> None:
    """Parameters, every epoch's metrics and the best validation accuracy, to the active run."""
    now = int(time.time() * 1000)
    metrics = [Metric(key, value, now, i) for key, values in history.items() for i, value in enumerate(values, 1)]
    metrics.append(Metric("best_val_accuracy", max(history["val_accuracy"]), now, 0))
    mlflow.log_params(params)
    mlflow.MlflowClient().log_batch(mlflow.active_run().info.run_id, metrics=metrics)
