"""The metrics of an epoch as trainers add them up, in one dict of sums over examples, and what comes out of it."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipeline.heads.head import Head

# `loss` and `examples`, which trainers know, the sums `METRIC/SUM` of each metric, and the seconds `waited` for data.
Sums = dict[str, tf.Tensor]
# The same as float64: a number, or [P, ...] where they are of several trials or classes.
Numbers = dict[str, np.ndarray]


def metric_sums(head: Head, targets: tf.Tensor, outputs: tf.Tensor) -> Sums:
    """The sums over a batch of all of the head's metrics."""
    return {
        f"{metric.name}/{key}": value
        for metric in head.metrics
        for key, value in metric.sums(targets, outputs, head).items()
    }


def specs(head: Head, targets: tf.TensorSpec, outputs: tf.Tensor) -> dict[str, tf.TensorSpec]:
    """Shapes and types of metric_sums(), found by tracing them for a batch of any size."""
    batch = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in (targets, outputs)]
    traced = tf.function(lambda t, o: metric_sums(head, t, o), autograph=False).get_concrete_function(*batch)
    return {key: tf.TensorSpec(value.shape, value.dtype) for key, value in traced.structured_outputs.items()}


def added(sums: Sums, more: Sums) -> Sums:
    return {key: value + more[key] for key, value in sums.items()}


def values(head: Head, sums: Numbers, prefix: str = "") -> dict[str, float]:
    """The head's metrics, their names after `prefix`."""
    common = {key: sums[key] for key in ("loss", "examples")}
    result = {}
    for metric in head.metrics:
        start = f"{metric.name}/"
        added_up = {key.removeprefix(start): value for key, value in sums.items() if key.startswith(start)}
        result[prefix + metric.name] = float(metric.value({**common, **added_up}))
    return result


def as_numbers(sums: Mapping[str, tf.Tensor]) -> Numbers:
    return {key: np.asarray(value, np.float64)[()] for key, value in sums.items()}
