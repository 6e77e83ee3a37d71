"""How a few layers compute while training, so that a trial gives the same numbers alone and within a cohort.

The layers stay Keras' own, and so does the saved model: only `call` of an instance is replaced. A new case is one
function here and one line in `prepare`.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial

import keras
import numpy as np
import tensorflow as tf

# What part_of_batch() was given; each replica is traced in a thread of its own.
_part: ContextVar[tuple[tf.Tensor | int, tf.Tensor | int]] = ContextVar("part", default=(0, 1))
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def prepare(model: keras.Model, *, stacked: bool, own_data: bool = False, replicas: int = 1) -> None:
    """Replaces the calls of a model that is going to be trained.

    stacked: it will run under vectorized_map, for which convolutions are rewritten. own_data: its trials are on
    different data, so that the input statistics differ by trial, too. replicas: how many share a batch.
    """
    for layer in model._flatten_layers(include_self=False):
        if type(layer) is keras.layers.Dropout:
            layer.call = partial(dropout, layer)
        elif type(layer) is keras.layers.MaxPooling2D and _tiles(layer):
            layer.call = partial(max_pool, layer.pool_size)
        elif stacked and type(layer) is keras.layers.Conv2D and layer.groups == 1 and _channels_last(layer):
            layer.convolution_op = partial(convolution, layer)
        elif own_data and type(layer) is keras.layers.Normalization:
            layer.call = partial(normalization, layer)
        elif replicas > 1 and isinstance(layer, keras.layers.BatchNormalization):
            layer._moments = partial(global_moments, layer)


@contextlib.contextmanager
def part_of_batch(first: tf.Tensor, counted: tf.Tensor) -> Iterator[None]:
    """Calls within are on the examples of a batch that begin with number `first`; `counted` is 0 if they stand in for
    none, else 1."""
    token = _part.set((first, counted))
    try:
        yield
    finally:
        _part.reset(token)


def threefry(seed: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Random bits, uint32, of the counters (`first`, `second`), uint32 tensors of one shape, for a seed [2].

    Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a pure function
    of its counters, in plain arithmetic, which vectorized_map converts; TensorFlow's own random ops become a loop
    over the trials, and their numbers change with the shape, so with the width that a trial is padded to.
    """
    keys = [tf.cast(seed[0], tf.uint32), tf.cast(seed[1], tf.uint32)]
    keys.append(tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(keys[0], keys[1]), np.uint32(0x1BD11BDA)))
    a, b = first + keys[0], second + keys[1]
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            a = a + b
            rotated = tf.bitwise.left_shift(b, np.uint32(rotation))
            rotated = tf.bitwise.bitwise_or(rotated, tf.bitwise.right_shift(b, np.uint32(32 - rotation)))
            b = tf.bitwise.bitwise_xor(a, rotated)
        a, b = a + keys[(block + 1) % 3], b + (keys[(block + 2) % 3] + np.uint32(block + 1))
    return a


@tf.function(jit_compile=True, reduce_retracing=True)  # a hundred small operations, fused into one
def _kept(seed: tf.Tensor, first: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """Whether each place of [rows, columns] is kept, each with probability 1 - rate; rows are numbered from `first`."""
    row, column = tf.meshgrid(first + tf.range(rows), tf.range(columns), indexing="ij")
    bits = threefry(seed, tf.cast(row, tf.uint32), tf.cast(column, tf.uint32))
    return tf.cast(tf.bitwise.right_shift(bits, np.uint32(8)), tf.float32) * 2.0**-24 >= rate


def dropout(layer: keras.layers.Dropout, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Inverted dropout (Srivastava et al. 2014, section 10) whose rate may be a tensor.

    The mask depends on the layer's seed, the step and the place of a unit, not on how many units there are.
    """
    if not training or (isinstance(layer.rate, float | int) and not layer.rate):
        return inputs
    known = [size if size is not None else tf.shape(inputs)[axis] for axis, size in enumerate(inputs.shape)]
    shape = [s if s is not None else known[axis] for axis, s in enumerate(layer.noise_shape or [None] * len(known))]
    rows, first = shape[0], 0 if layer.noise_shape and layer.noise_shape[0] == 1 else _part.get()[0]
    for size in shape[1:-1]:
        rows, first = rows * size, first * size
    seed = layer.seed_generator.next()
    seed = tf.convert_to_tensor(seed)
    rate = tf.cast(layer.rate, tf.float32)
    sizes = [tf.convert_to_tensor(size) for size in (first, rows, shape[-1])]
    kept = tf.reshape(_kept(seed, *sizes, rate), shape)
    return tf.where(kept, inputs / tf.cast(1 - rate, inputs.dtype), tf.zeros([], inputs.dtype))


def max_pool(size: tuple[int, int], inputs: tf.Tensor) -> tf.Tensor:
    """Max pooling of tiles that do not overlap: [b, h, w, c] -> [b, h // size, w // size, c].

    As a chain of maxima, whose gradient goes to the first of equal maxima as that of Keras' layer does. The
    gradient of XLA's own pooling is slow on a CPU.
    """
    rows, columns = size
    _, height, width, channels = inputs.shape
    height, width = height // rows, width // columns
    cropped = inputs[:, : height * rows, : width * columns]
    tiles = tf.reshape(cropped, [-1, height, rows, width, columns, channels])
    places = [tiles[:, :, i, :, j] for i in range(rows) for j in range(columns)]
    result = places[0]
    for place in places[1:]:
        result = tf.maximum(result, place)
    return result


def convolution(layer: keras.layers.Conv2D, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """A convolution as one matrix product over shifted copies of its input: [b, h, w, i] -> [b, h', w', o].

    vectorized_map makes a batched product of that; the gradients of a real convolution become a loop over trials.
    """
    rows, columns, n_in, n_out = kernel.shape
    padded, shapes = inputs, []
    for axis, size in ((1, rows), (2, columns)):
        stride, dilation, length = layer.strides[axis - 1], layer.dilation_rate[axis - 1], inputs.shape[axis]
        reach = (size - 1) * dilation + 1
        if layer.padding == "same":
            steps = -(-length // stride)
            missing = max((steps - 1) * stride + reach - length, 0)
            padding = [[0, 0]] * 4
            padding[axis] = [missing // 2, missing - missing // 2]
            padded = tf.pad(padded, padding)
        else:
            steps = (length - reach) // stride + 1
        shapes.append((steps, stride, dilation))
    (height, down, below), (width, across, beside) = shapes
    copies = [
        padded[
            :,
            i * below : i * below + (height - 1) * down + 1 : down,
            j * beside : j * beside + (width - 1) * across + 1 : across,
        ]
        for i in range(rows)
        for j in range(columns)
    ]
    patches = tf.reshape(tf.concat(copies, -1), [-1, rows * columns * n_in])
    product = tf.matmul(patches, tf.reshape(kernel, [rows * columns * n_in, n_out]))
    return tf.reshape(product, [-1, height, width, n_out])


def normalization(layer: keras.layers.Normalization, inputs: tf.Tensor) -> tf.Tensor:
    """(x - mean) / sqrt(variance) from the layer's weights, which differ by trial, rather than its constants."""
    mean, variance = (
        tf.reshape(tf.convert_to_tensor(weight), layer._broadcast_shape)
        for weight in (layer.adapt_mean, layer.adapt_variance)
    )
    result = (inputs - mean) / tf.maximum(tf.sqrt(variance), keras.config.epsilon())
    return tf.cast(result, layer.compute_dtype)


def global_moments(
    layer: keras.layers.BatchNormalization, inputs: tf.Tensor, mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance, [channels], of the whole batch, of which each replica has a part.

    Deviations are from the whole batch's mean: Keras' own `synchronized` takes E(x^2) - E(x)^2, which loses the digits
    that the mean has.
    """
    axes, replica = layer._reduction_axes, tf.distribute.get_replica_context()

    def total(x: tf.Tensor) -> tf.Tensor:
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(x, axes, keepdims=True))

    weights = tf.ones_like(inputs) * tf.cast(_part.get()[1], inputs.dtype)
    if mask is not None:
        weights *= tf.cast(mask, inputs.dtype)[..., None]
    count = total(weights)
    mean = tf.math.divide_no_nan(total(weights * inputs), count)
    variance = tf.math.divide_no_nan(total(weights * tf.square(inputs - mean)), count)
    return tf.squeeze(mean, axes), tf.squeeze(variance, axes)


def _channels_last(layer: keras.layers.Layer) -> bool:
    return bool(layer.data_format == "channels_last")


def _tiles(layer: keras.layers.MaxPooling2D) -> bool:
    return layer.strides == layer.pool_size and layer.padding == "valid" and _channels_last(layer)
