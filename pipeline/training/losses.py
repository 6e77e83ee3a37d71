"""Cross-entropy from logits, which stays finite where log(softmax(z)) would not."""

import tensorflow as tf


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


def predicted(logits: tf.Tensor) -> tf.Tensor:
    """The most probable class, int32 [batch]."""
    if logits.shape[-1] == 1:
        return tf.cast(logits[:, 0] > 0, tf.int32)
    return tf.argmax(logits, axis=-1, output_type=tf.int32)
