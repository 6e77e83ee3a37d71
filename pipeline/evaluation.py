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
class Evaluation:
    metrics: dict[str, float]  # the head's
    n: int  # examples
    confusion: np.ndarray | None  # counts [true class, predicted class], if the head classifies

    def to_json(self) -> dict[str, Any]:
        confusion = {} if self.confusion is None else {"confusion": self.confusion.tolist()}
        return {**self.metrics, "n": self.n, **confusion}


def evaluate(model: Any, split: Split, n_classes: int, head: Head) -> Evaluation:
    """measures() of a saved model on a split."""
    return measures(head, head.predictions(outputs(model, split.inputs)), split.labels, n_classes)


def measures(head: Head, predictions: np.ndarray, targets: np.ndarray, n_classes: int) -> Evaluation:
    """predictions: [n, C] or what the head calls so; targets: [n, ...], labels in 0..C-1 if it classifies."""
    import tensorflow as tf

    from pipeline.training.sums import as_numbers, metric_sums, values

    batch = tf.constant(targets.astype(np.int32) if head.classifies else targets), head.outputs_of(predictions)
    sums = {"loss": tf.reduce_sum(head.losses(*batch)), "examples": len(targets), **metric_sums(head, *batch)}
    confusion = np.zeros((n_classes, n_classes), int) if head.classifies else None
    if confusion is not None:
        np.add.at(confusion, (targets, predictions.argmax(axis=1)), 1)
    return Evaluation(values(head, as_numbers(sums)), len(targets), confusion)
