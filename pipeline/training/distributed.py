"""One model trained on several devices at once, by tf.distribute: each has a copy, and a part of every batch."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from pipeline.errors import InputError
from pipeline.limits import LEAST_GPUS
from pipeline.training.layer_calls import part_of_batch, prepare
from pipeline.training.solo import SoloTrainer
from pipeline.training.sums import Sums


class DistributedTrainer(SoloTrainer):
    """SoloTrainer's training with each batch divided among the replicas of `strategy`: the same losses, metrics and
    weights but for rounding, and the same state.

    Gradients and the statistics of batch norm are those of the whole batch; a Dropout layer draws as it would for the
    whole batch, while other random layers draw the same for the part of each replica. model, optimizer: made within
    `strategy.scope()`.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        strategy: tf.distribute.Strategy,
        **settings: Any,
    ) -> None:
        self._strategy = strategy
        prepare(model, stacked=False, replicas=strategy.num_replicas_in_sync)
        with strategy.scope():
            super().__init__(model, optimizer, **settings)

    def _waiting(self, batches: tf.data.Dataset) -> Iterator[Any]:
        parts = divided(batches, self._strategy.num_replicas_in_sync)

        def of_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
            if context.num_input_pipelines > 1:
                raise InputError(
                    f"device=tpu trains on the TPUs of one machine; these belong to {context.num_input_pipelines}."
                )
            return parts

        return iter(self._strategy.distribute_datasets_from_function(of_host))

    def _on_batch(self, function: Callable[..., Sums], batch: Any) -> Sums:
        sums = self._strategy.run(function, args=batch)
        total: Sums = self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)
        return total

    def _step(self, inputs: tf.Tensor, targets: tf.Tensor, *part: tf.Tensor) -> Sums:
        first, batch_size, counted = part
        with part_of_batch(first, counted):
            return super()._step(inputs, targets, batch_size, counted)

    def _validate(self, inputs: tf.Tensor, targets: tf.Tensor, *part: tf.Tensor) -> Sums:
        *_, counted = part
        return {key: tf.cast(counted, s.dtype) * s for key, s in super()._validate(inputs, targets).items()}

    def _of_batch(self, gradients: list[Any]) -> list[Any]:
        # Before the optimizer sees them: it would clip, and look for infinities in, each replica's by themselves.
        summands = [gradient for gradient in gradients if gradient is not None]
        summed = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, summands))
        return [None if gradient is None else next(summed) for gradient in gradients]


def divided(batches: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Every batch as one element a replica, in their order: (inputs, labels, the number of its first example in the
    batch, the examples of the batch, 1).

    With fewer examples than replicas some get one that is another's, too, and 0 at the end: it is not to count. Not all
    of TensorFlow's operations work on no examples.
    """

    def divide(inputs: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        n = tf.shape(inputs)[0]

        def part(i: tf.Tensor) -> tuple[tf.Tensor, ...]:
            first, end = i * n // replicas, (i + 1) * n // replicas
            some = slice(first, tf.maximum(end, first + 1))
            return inputs[some], labels[some], first, n, tf.cast(end > first, tf.int32)

        return tf.data.Dataset.range(replicas, output_type=tf.int32).map(part)

    endless = batches.flat_map(divide).apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return endless.prefetch(replicas)


def gpus() -> list[str]:
    """Names of the devices that device=multi_gpu trains on."""
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def require(device: str, n_gpus: int | None = None) -> None:
    """Raises InputError, with what there is, if TensorFlow lacks the device that `device` (a name of conf/device) asks
    for: the parent has looked for it, but not through TensorFlow. n_gpus: that it sees; None: to be counted."""
    n_gpus = len(gpus()) if n_gpus is None else n_gpus
    if n_gpus < LEAST_GPUS.get(device, 0):
        available = ", ".join(["cpu", *(f"gpu {i}" for i in range(n_gpus))])
        raise InputError(
            f"device={device}: TensorFlow sees {n_gpus or 'no'} GPU. Available to it: {available}. "
            "For NVIDIA's: pip install -c constraints.txt -e '.[cuda]'."
        )
    if device == "tpu":
        _tpus()


def make_strategy(device: str) -> tf.distribute.Strategy | None:
    """How a model is spread over the devices of `device`; None: it is not. Raises InputError if they are not there."""
    require(device)
    if device == "tpu":
        return _tpus()
    return _mirrored(tuple(gpus())) if device == "multi_gpu" else None


@functools.cache  # a process's collective operations know each other by numbers that every strategy begins anew
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(names)


@functools.cache  # what is on a TPU is lost when its system is set up anew
def _tpus() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError):
        raise InputError("device=tpu: TensorFlow reaches no TPU. Available to it: cpu.") from None
    return tf.distribute.TPUStrategy(resolver)
