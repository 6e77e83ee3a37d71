"""The loss of each head. Cross-entropy is taken from logits, which stays finite where log(softmax(z)) would not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from pipeline.models.heads import HEADS, Head


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor, label_smoothing: float = 0.0) -> tf.Tensor:
    """Loss of each example, float32 [batch].

    labels: int [batch]; logits: [batch, C], or [batch, 1] for the sigmoid head.
    label_smoothing: the share of the target spread evenly over all classes (Szegedy et al. 2016, section 7).
    """
    logits = tf.cast(logits, tf.float32)
    n = logits.shape[-1]
    if n == 1:
        target = tf.cast(labels, tf.float32) * (1 - label_smoothing) + label_smoothing / 2
        return tf.nn.sigmoid_cross_entropy_with_logits(target, logits[:, 0])
    target = tf.one_hot(labels, n) * (1 - label_smoothing) + label_smoothing / n
    return tf.nn.softmax_cross_entropy_with_logits(target, logits)


def cost(labels: tf.Tensor, outputs: tf.Tensor, label_smoothing: float = 0.0) -> tf.Tensor:
    """The model's output [batch, 1] itself, float32 [batch]; there are no labels to smooth."""
    return tf.cast(outputs, tf.float32)[:, 0]


def predicted(logits: tf.Tensor) -> tf.Tensor:
    """The most probable class, int32 [batch]."""
    if logits.shape[-1] == 1:
        return tf.cast(logits[:, 0] > 0, tf.int32)
    return tf.argmax(logits, axis=-1, output_type=tf.int32)


@dataclass(frozen=True)
class Criterion:
    """What a trainer asks of a head. losses: (labels, outputs, label_smoothing) -> float32 [batch]."""

    head: Head
    losses: Callable[..., tf.Tensor]

    def correct(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """How many examples are classified rightly, int32; 0 where there are no classes."""
        if not self.head.classifies:
            return tf.zeros([], tf.int32)
        return tf.reduce_sum(tf.cast(predicted(outputs) == labels, tf.int32))

    def metrics(self, loss: Any, correct: Any, count: float, prefix: str = "") -> dict[str, Any]:
        """The head's metrics, their names after `prefix`, from sums over `count` examples."""
        means = {"loss": loss / count, "accuracy": correct / count}
        return {prefix + name: means[name] for name in self.head.metrics}


_LOSSES = {"softmax": cross_entropy, "sigmoid": cross_entropy, "cost": cost}
CRITERIA = {name: Criterion(head, _LOSSES[name]) for name, head in HEADS.items()}
