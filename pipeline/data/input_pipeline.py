"""From arrays in memory to batches on the device: shuffle, batch, map, prefetch."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from pipeline.data.splits import Split

# Freeing an iterator waits for the autotuner's next wake-up, up to minutes for forty of them, and its bookkeeping
# doubles the cost of a small batch.
_FIXED = tf.data.Options()
_FIXED.autotune.enabled = False


def steps_per_epoch(n_examples: int, batch_size: int) -> int:
    """Batches in an epoch; the last one may be partial."""
    return -(-n_examples // batch_size)


def epoch_order(n_examples: int, seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
    """The order of an epoch's examples, int32 [n_examples]: a pure function of (seed, epoch)."""
    return tf.random.experimental.stateless_shuffle(tf.range(n_examples), seed=tf.stack([seed, epoch]))


def training_batches(split: Split, *, batch_size: int, seed: int, start_epoch: int = 0) -> tf.data.Dataset:
    """(inputs [b, *input_shape], labels [b]) without end, epoch after epoch from `start_epoch`.

    The order is a pure function of (seed, epoch), so a resumed run sees the batches it would have seen. Indices
    are shuffled and whole batches gathered: moving examples one by one costs more than training on them.
    """
    n = len(split)

    def epoch_of_indices(epoch: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(epoch_order(n, seed, epoch)).batch(batch_size)

    with tf.device("/CPU:0"):
        inputs, labels = tf.constant(split.inputs), tf.constant(split.labels)

    def gather(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(inputs, index), tf.gather(labels, index)

    epochs = tf.data.Dataset.range(start_epoch, np.iinfo(np.int32).max, output_type=tf.int32)
    batches = epochs.flat_map(epoch_of_indices).map(gather, tf.data.AUTOTUNE)
    return batches.with_options(_FIXED).prefetch(tf.data.AUTOTUNE)


def iterator(batches: tf.data.Dataset, device: str | None) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Of batches that wait on `device`, copied there while the one before them is trained on; None: in the host's
    memory. Both the copying and the iterator belong there, or each batch would be fetched when it is asked for."""
    if device is None:
        return iter(batches)
    with tf.device(device):
        copied = batches.apply(tf.data.experimental.copy_to_device(device))
        return iter(copied.with_options(_FIXED).prefetch(tf.data.AUTOTUNE))


def evaluation_batches(split: Split, *, batch_size: int) -> tf.data.Dataset:
    """(inputs, labels) of every example in order, again and again: one iterator for a whole run, because making
    one costs more than evaluating a small model."""
    whole = tf.data.Dataset.from_tensor_slices((split.inputs, split.labels))
    return whole.batch(batch_size).repeat().with_options(_FIXED).prefetch(tf.data.AUTOTUNE)
