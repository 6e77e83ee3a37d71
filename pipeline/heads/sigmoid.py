"""One logit for two classes, whose sigmoid is the probability of class 1."""

import numpy as np

from pipeline.heads.head import Layer
from pipeline.heads.labels import LabelHead, log_probabilities, smoothed
from pipeline.heads.metric import Tensor


class Sigmoid(LabelHead):
    """p = 1 / (1 + exp(-z)): softmax of the logits 0 and z."""

    outputs = "the logit of class 1"
    most_classes = 2

    def n_outputs(self, n_classes: int) -> int:
        self.check_classes(n_classes)
        return 1

    def losses(self, targets: Tensor, outputs: Tensor, label_smoothing: float = 0.0) -> Tensor:
        import tensorflow as tf

        target = smoothed(tf.cast(targets, tf.float32), label_smoothing, 2)
        return tf.nn.sigmoid_cross_entropy_with_logits(target, tf.cast(outputs, tf.float32)[:, 0])

    def classes(self, outputs: Tensor) -> Tensor:
        import tensorflow as tf

        return tf.cast(outputs[:, 0] > 0, tf.int32)

    def final_layer(self) -> Layer:
        import keras

        return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")

    def outputs_of(self, predictions: np.ndarray) -> np.ndarray:
        logits: np.ndarray = np.diff(log_probabilities(predictions))
        return logits
