"""The metrics of an epoch as trainers add them up, in one dict of sums over examples, and what comes out of it."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipeline.heads.head import Head

# `loss` and `examples`, which trainers know, the sums `METRIC/SUM` of each metric, and the seconds `waited` for data.
Sums = dict[str, tf.Tensor]
Numbers = dict[
    str, np.ndarray
]  # the same as float64: a number, or [P, ...] where they are of several trials or classes


def metric_sums(head: Head, targets: tf.Tensor, outputs: tf.Tensor) -> Sums:
    """The sums over a batch of all of the head's metrics."""
    return {
        f"{metric.name}/{key}": value
        for metric in head.metrics
        for key, value in metric.sums(targets, outputs, head).items()
    }


def specs(head: Head, targets: tf.TensorSpec, outputs: tf.TensorSpec) -> dict[str, tf.TensorSpec]:
    """Shapes and types of metric_sums(), found by tracing them. targets, outputs: those of a batch of any size."""
    traced = tf.function(lambda t, o: metric_sums(head, t, o), autograph=False).get_concrete_function(targets, outputs)
    return {key: tf.TensorSpec(value.shape, value.dtype) for key, value in traced.structured_outputs.items()}


def of_batches(spec: tf.TensorSpec) -> tf.TensorSpec:
    """The same of a batch of any size."""
    return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype)


def added(sums: Sums, more: Sums) -> Sums:
    return {key: value + more[key] for key, value in sums.items()}


def values(head: Head, sums: Numbers, prefix: str = "") -> dict[str, float]:
    """The head's metrics, their names after `prefix`."""
    common = {key: sums[key] for key in ("loss", "examples")}
    result = {}
    for metric in head.metrics:
        own = {key.split("/", 1)[1]: value for key, value in sums.items() if key.startswith(f"{metric.name}/")}
        result[prefix + metric.name] = float(metric.value({**common, **own}))
    return result


def as_numbers(sums: Mapping[str, tf.Tensor]) -> Numbers:
    return {key: np.asarray(value, np.float64)[()] for key, value in sums.items()}
