"""A logit for each class: exactly one class is right."""

import numpy as np

from pipeline.heads.head import Layer
from pipeline.heads.labels import LabelHead, log_probabilities, smoothed
from pipeline.heads.metric import Tensor


class Softmax(LabelHead):
    """p = exp(z) / sum(exp(z)), and dL/dz = p - y."""

    outputs = "a logit for each class"

    def n_outputs(self, n_classes: int) -> int:
        self.check_classes(n_classes)
        return n_classes

    def losses(self, targets: Tensor, outputs: Tensor, label_smoothing: float = 0.0) -> Tensor:
        import tensorflow as tf

        logits = tf.cast(outputs, tf.float32)
        n = logits.shape[-1]
        target = smoothed(tf.one_hot(targets, n), label_smoothing, n)
        return tf.nn.softmax_cross_entropy_with_logits(target, logits)

    def classes(self, outputs: Tensor) -> Tensor:
        import tensorflow as tf

        return tf.argmax(outputs, axis=-1, output_type=tf.int32)

    def final_layer(self) -> Layer:
        import keras

        # In float32 whatever the precision of training, so that they sum to 1.
        return keras.layers.Softmax(dtype="float32", name="probabilities")

    def outputs_of(self, predictions: np.ndarray) -> np.ndarray:
        return log_probabilities(predictions)  # logits but for a number that all of an example's have in common
