"""How good a saved model is on a split: its head's metrics and, if it classifies, the confusion matrix."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.splits import Split
from pipeline.heads.head import Head


def outputs(model: Any, inputs: Any) -> np.ndarray:
    """What a saved model gives for inputs [n, *input_shape], a thousand at a time: [n, numbers an example].

    inputs: an array, or what has a length and gives arrays for slices.
    """
    return np.concatenate([np.asarray(model(inputs[i : i + 1024])) for i in range(0, len(inputs), 1024)])


@dataclass(frozen=True)
class Answers:
    """What a saved model answers."""

    predictions: np.ndarray  # [n, C] or what the head calls so
    outputs: np.ndarray | None = None  # [n, n_outputs] of the model in training; None: only the predictions are known


def answers(model: Any, inputs: Any, head: Head) -> Answers:
    """inputs: as outputs() takes them."""
    parts = head.without_final_layer(model)
    if parts is None:
        return Answers(head.predictions(outputs(model, inputs)))
    trained, final_layer = parts
    before = outputs(trained, inputs)
    return Answers(head.predictions(before if final_layer is None else np.asarray(final_layer(before))), before)


@dataclass(frozen=True)
class Evaluation:
    metrics: dict[str, float]  # the head's
    n: int  # examples
    confusion: np.ndarray | None  # counts [true class, predicted class], if the head classifies

    def to_json(self) -> dict[str, Any]:
        confusion = {} if self.confusion is None else {"confusion": self.confusion.tolist()}
        return {**self.metrics, "n": self.n, **confusion}


def evaluate(model: Any, split: Split, n_classes: int, head: Head) -> Evaluation:
    """measures() of a saved model on a split."""
    return measures(head, answers(model, split.inputs, head), split.labels, n_classes)


def measures(head: Head, answers: Answers, targets: np.ndarray, n_classes: int) -> Evaluation:
    """targets: [n, ...], labels in 0..C-1 if it classifies."""
    import tensorflow as tf

    from pipeline.training.sums import as_numbers, metric_sums, values

    predictions = answers.predictions
    outputs = head.outputs_of(predictions) if answers.outputs is None else answers.outputs
    batch = tf.constant(targets.astype(np.int32) if head.classifies else targets), tf.constant(outputs)
    sums = {"loss": tf.reduce_sum(head.losses(*batch)), "examples": len(targets), **metric_sums(head, *batch)}
    confusion = np.zeros((n_classes, n_classes), int) if head.classifies else None
    if confusion is not None:
        np.add.at(confusion, (targets, predictions.argmax(axis=1)), 1)
    return Evaluation(values(head, as_numbers(sums)), len(targets), confusion)
