"""What the peers' scripts share: the digits, the model of conf/model/mlp.yaml in plain Keras layers, and its record.

Written to be fast where a user can make Keras fast: batches from tf.data, which `fit` runs through twice as quickly
as arrays here, and a whole epoch for each call of the training function (`steps_per_execution`), which Keras
advises for small models. `--plain` is without these two, as most scripts are. Metrics go to MLflow in one call after
training; a callback that logs each epoch, as is common, takes longer.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import keras
import mlflow
import tensorflow as tf
from mlflow.entities import Metric

from pipeline.data.digits import digits
from pipeline.data.splits import Splits

SEED = 0


def arguments(description: str, *, points: bool) -> argparse.Namespace:
    """OUTPUT --epochs N [--points FILE] [--plain]; points become a list of {name: value}, by the last part of keys."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("output", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--plain", action="store_true")
    if points:
        parser.add_argument("--points", type=Path, required=True)
    options = parser.parse_args()
    if points:
        rows = json.loads(options.points.read_text())
        options.points = [{key.split(".")[-1]: value for key, value in row.items()} for row in rows]
    return options


def data() -> Splits:
    """The very split that Caviar trains on."""
    return digits(validation_fraction=0.1, test_fraction=0.1, seed=SEED)


def compiled(splits: Splits, *, hidden_units: int, learning_rate: float, batch_size: int, plain: bool) -> keras.Model:
    mean, variance = splits.normalization()
    inputs = keras.Input(splits.input_shape)
    x = keras.layers.Normalization(mean=mean, variance=variance)(inputs)
    x = keras.layers.Flatten()(x)
    for _ in range(2):
        x = keras.layers.Dense(hidden_units, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation("relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(splits.n_classes)(x))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=1 if plain else -(-len(splits.train) // batch_size),
    )
    return model


def fitted(
    model: keras.Model, splits: Splits, *, batch_size: int, epochs: int, plain: bool, **options: Any
) -> dict[str, list[float]]:
    """Trains the model; returns its metrics, a value an epoch."""
    train, validation = ((part.inputs, part.labels) for part in (splits.train, splits.validation))
    if plain:
        options |= {"x": train[0], "y": train[1], "batch_size": batch_size, "validation_data": validation}
    else:
        shuffled = tf.data.Dataset.from_tensor_slices(train).shuffle(len(splits.train)).batch(batch_size)
        whole = tf.data.Dataset.from_tensor_slices(validation).batch(len(splits.validation)).cache()
        options |= {"x": shuffled.prefetch(tf.data.AUTOTUNE), "validation_data": whole}
    history: dict[str, list[float]] = model.fit(epochs=epochs, **options).history
    return history


def use_store(output: Path) -> None:
    """MLflow's sqlite store in `output`, with artifacts beside it."""
    mlflow.set_tracking_uri(f"sqlite:///{output}/mlflow.db")
    location = str(output / "mlartifacts")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("peer", artifact_location=location))


def log(params: dict[str, Any], history: dict[str, list[float]]) -> None:
    """Parameters, every epoch's metrics and the best validation accuracy, to the active run."""
    now = int(time.time() * 1000)
    metrics = [Metric(key, value, now, i) for key, values in history.items() for i, value in enumerate(values, 1)]
    metrics.append(Metric("best_val_accuracy", max(history["val_accuracy"]), now, 0))
    mlflow.log_params(params)
    mlflow.MlflowClient().log_batch(mlflow.active_run().info.run_id, metrics=metrics)


def write_result(output: Path, histories: list[dict[str, list[float]]]) -> None:
    """For the table: what the work came to."""
    best = max(value for history in histories for value in history["val_accuracy"])
    epochs = sum(len(history["val_accuracy"]) for history in histories)
    (output / "result.json").write_text(json.dumps({"val_accuracy": best, "epochs": epochs}))
