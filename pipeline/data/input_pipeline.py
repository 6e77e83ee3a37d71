"""From examples in memory or in a file to batches on the device: shuffle, map, batch, prefetch."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from pipeline.data.rows import Rows
from pipeline.data.splits import Split
from pipeline.data.stream.buffers import BUFFERS
from pipeline.data.stream.windows import Windows

# Freeing an iterator waits for the autotuner's next wake-up, up to minutes for forty of them, and its bookkeeping
# doubles the cost of a small batch.
FIXED = tf.data.Options()
FIXED.autotune.enabled = False
# What prefetch(AUTOTUNE) holds at most. Its buffer doubles whenever the reader falls behind: unbounded, to half of the
# memory.
FIXED.autotune.ram_budget = 2**27

# Of an evaluation: large, for it needs no gradients; bounded, for its activations are in memory at once.
EVALUATION_BATCH, EVALUATION_NUMBERS = 1024, 2**22

GATHERED_BYTES = 2**22  # at once: several batches, for to ask for them costs more than to copy a small one

IN_ORDER = -1  # the epoch of an evaluation

Batch = tuple[tf.Tensor, tf.Tensor]
Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # inputs of a batch, and a seed of its own [2] -> inputs


def steps_per_epoch(n_examples: int, batch_size: int) -> int:
    """Batches in an epoch; the last one may be partial."""
    return -(-n_examples // batch_size)


def epoch_order(n_examples: int, seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
    """The order of an epoch's examples, int32 [n_examples]: a pure function of (seed, epoch)."""
    return tf.random.experimental.stateless_shuffle(tf.range(n_examples), seed=tf.stack([seed, epoch]))


def training_batches(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    start_epoch: int = 0,
    augment: Augmentation | None = None,
    options: tf.data.Options = FIXED,
) -> tf.data.Dataset:
    """(inputs [b, *input_shape], labels [b]) without end, epoch after epoch from `start_epoch`. Inputs stay of the
    kind that they are, bytes of an image for example: the model makes floats of them, on its device.

    The order is a pure function of (seed, epoch), so a resumed run sees the batches it would have seen. Indices are
    shuffled and whole batches gathered: moving examples one by one costs more than training on them. All of those in
    memory are shuffled, those in a file by windows (see data/stream/windows.py). `augment` changes
    the inputs of each batch.
    """
    n, epochs = len(split), tf.data.Dataset.range(start_epoch, np.iinfo(np.int32).max, output_type=tf.int32)
    if split.streamed:
        windows = Windows.of(split.inputs, batch_size, seed)
        pairs = epochs.flat_map(lambda epoch: _pairs(epoch, len(windows)))
        batches = _read(split.inputs, split.labels, windows, pairs, batch_size)
    else:
        with tf.device("/CPU:0"):
            inputs, labels = tf.constant(split.inputs.load()), tf.constant(split.labels)
        at_once = max(1, GATHERED_BYTES // max(1, batch_size * split.inputs.nbytes // n)) * batch_size
        orders = epochs.flat_map(lambda epoch: _cut((epoch_order(n, seed, epoch),), at_once))
        rows = orders.map(lambda index: (tf.gather(inputs, index), tf.gather(labels, index)), tf.data.AUTOTUNE)
        batches = rows.flat_map(lambda *rows: _cut(rows, batch_size))
    if augment is not None:
        steps = start_epoch * steps_per_epoch(n, batch_size)
        batches = batches.enumerate(steps).map(
            lambda step, batch: (augment(batch[0], tf.stack([seed, tf.cast(step, tf.int32)])), batch[1]),
            tf.data.AUTOTUNE,
        )
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)


def evaluation_batch(split: Split) -> int:
    """Examples that are evaluated at once: fewer, the larger they are."""
    numbers = max(1, int(np.prod(split.inputs.shape[1:])))
    return max(1, min(EVALUATION_BATCH, EVALUATION_NUMBERS // numbers))


def evaluation_steps(split: Split) -> int:
    """Batches of evaluation_batches() that are the whole split."""
    return steps_per_epoch(len(split), evaluation_batch(split))


def evaluation_batches(split: Split, *, batch_size: int | None = None) -> tf.data.Dataset:
    """(inputs, labels) of every example in order, again and again: one iterator for a whole run, because making
    one costs more than evaluating a small model. batch_size: evaluation_batch() unless given."""
    batch_size = batch_size or evaluation_batch(split)
    if split.streamed:
        windows = Windows.of(split.inputs, batch_size, seed=0, mixed=False)
        batches = _read(split.inputs, split.labels, windows, _pairs(IN_ORDER, len(windows)), batch_size)
    else:
        with tf.device("/CPU:0"):
            batches = _cut((tf.constant(split.inputs.load()), tf.constant(split.labels)), batch_size)
    return batches.repeat().with_options(FIXED).prefetch(tf.data.AUTOTUNE)


def iterator(batches: tf.data.Dataset, device: str | None) -> Iterator[Batch]:
    """Of batches that wait on `device`, copied there while the one before them is trained on; None: in the host's
    memory. Both the copying and the iterator belong there, or each batch would be fetched when it is asked for."""
    if device is None:
        return iter(batches)
    with tf.device(device):
        copied = batches.apply(tf.data.experimental.copy_to_device(device))
        return iter(copied.with_options(FIXED).prefetch(tf.data.AUTOTUNE))


def accelerator() -> str | None:
    """The GPU that a model is trained on; None where it is the CPU."""
    gpus = tf.config.list_logical_devices("GPU")
    return gpus[0].name if gpus else None


def waited_for(iterator: Iterator[Batch], ready: tf.Tensor) -> tuple[Batch, tf.Tensor]:
    """The next batch, and for how many seconds it was not there yet once `ready`, the step before, was computed."""
    with tf.control_dependencies([ready]):
        asked = tf.timestamp()
    batch = next(iterator)
    with tf.control_dependencies([asked, *tf.nest.flatten(batch, expand_composites=True)]):
        return batch, tf.timestamp() - asked


def _cut(rows: tuple[tf.Tensor, ...], batch_size: int) -> tf.data.Dataset:
    """Tensors [n, ...] as batches, of which the last may be partial. Cut, and not gathered row by row by batch(), which
    costs more than to train a small model on them."""
    n = tf.shape(rows[0])[0]
    end = n // batch_size * batch_size
    full = tuple(tf.reshape(x[:end], [-1, batch_size, *x.shape[1:]]) for x in rows)
    rest = tf.data.Dataset.from_tensors(tuple(x[end:] for x in rows)).take(tf.cast(end < n, tf.int64))
    return tf.data.Dataset.from_tensor_slices(full).concatenate(rest)


def _pairs(epoch: tf.Tensor | int, n_windows: int) -> tf.data.Dataset:
    return tf.data.Dataset.range(n_windows, output_type=tf.int32).map(lambda window: (epoch, window))


def _read(rows: Rows, labels: np.ndarray, windows: Windows, pairs: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Batches of the windows (epoch, window), of which the next two are read while one is trained on. Rows are put in
    their shuffled place as they are read, so that a batch is a slice of its window; it shares its memory where rows
    are of whole 64 bytes."""

    def read(epoch: int, window: int) -> tuple[np.ndarray, np.ndarray]:
        n = windows.rows(window)
        if epoch == IN_ORDER:
            spans, places = windows.spans(window), np.arange(n)
        else:
            spans, places = windows.spans(window, int(epoch)), windows.shuffle(int(epoch), window)
        placed = np.empty(n, np.int32)
        placed[places] = np.concatenate([labels[start:stop] for start, stop in spans])
        return rows.gather(spans, places, BUFFERS.array((n, *rows.shape[1:]), rows.dtype)), placed

    def window(epoch: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inputs, labels = tf.numpy_function(read, [epoch, number], (tf.as_dtype(rows.dtype), tf.int32))
        return tf.ensure_shape(inputs, [None, *rows.shape[1:]]), tf.ensure_shape(labels, [None])

    return pairs.map(window, num_parallel_calls=2).prefetch(1).flat_map(lambda *rows: _cut(rows, batch_size))
