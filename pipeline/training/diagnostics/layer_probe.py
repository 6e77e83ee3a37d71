"""What the layers of a model see: their pre-activations, gradients and batch means, told apart by instrumenting it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.heads.head import Head
from pipeline.training.layer_calls import prepare

MOST_VALUES = 2**18  # of a layer that percentiles are taken of: sorting more costs seconds and changes no digit

Arrays = dict[str, dict[str, np.ndarray]]  # name of a layer -> name of what was seen of it -> that
Tensors = dict[str, dict[str, tf.Tensor]]


@dataclass
class _Seen:
    """A layer in one call of the model: tensors [examples, ..., units]."""

    kernel: keras.Variable | None = None
    normed: tf.Tensor | None = None  # what enters batch norm
    before: tf.Tensor | None = None  # and what the activation
    after: tf.Tensor | None = None

    def batch_mean_of(self) -> tf.Tensor | None:
        return self.before if self.normed is None else self.normed


class Probe:
    """Measures any weights of `model`, which becomes its own: its layers are changed to tell what passes them."""

    def __init__(self, model: keras.Model, head: Head) -> None:
        self._model, self._head = model, head
        self._calls: list[tuple[keras.layers.Layer, dict[str, tf.Tensor]]] = []
        self._as_training = False  # whether batch norm takes the statistics of the batch
        prepare(model, stacked=False, own_data=True)  # input statistics are read from the weights
        for layer in _layers(model):
            self._watch(layer)
        self._run = tf.function(self._measures, reduce_retracing=True, autograph=False)
        self._run_batch = tf.function(self._batch_means, reduce_retracing=True, autograph=False)

    def measure(
        self, weights: list[np.ndarray], inputs: np.ndarray, labels: np.ndarray, batches: Iterable[np.ndarray]
    ) -> tuple[float, Arrays]:
        """The loss of predicting, and what is seen of the layers. inputs: [probe, ...], labels: [probe]; batches, of
        which one at a time is held: [batch, ...] each."""
        self._model.set_weights(weights)
        loss, measures = self._run(tf.constant(inputs), tf.constant(labels))
        arrays = {name: {key: t.numpy() for key, t in tensors.items()} for name, tensors in measures.items()}
        noisy = [name for name, seen in arrays.items() if "batch_spread" in seen]
        if noisy:
            means = [self._run_batch(tf.constant(batch)) for batch in batches]
            for name in noisy:
                arrays[name]["batch_means"] = np.stack([of_batch[name].numpy() for of_batch in means])
        return float(loss), arrays

    def _watch(self, layer: keras.layers.Layer) -> None:
        call = layer.call
        if isinstance(layer, keras.layers.BatchNormalization):

            def normalize(inputs: tf.Tensor, training: Any = None, **options: Any) -> tf.Tensor:
                self._calls.append((layer, {"normed": inputs}))
                return call(inputs, training=self._as_training, **options)

            layer.call = normalize
        elif isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU | keras.layers.ELU | keras.layers.PReLU):
            layer.call = partial(self._activate, layer, call)
        else:
            if isinstance(getattr(layer, "kernel", None), keras.Variable):

                def multiply(*inputs: Any, **options: Any) -> Any:
                    self._calls.append((layer, {"kernel": layer.kernel}))
                    return call(*inputs, **options)

                layer.call = multiply
            activation = vars(layer).get("activation")
            if callable(activation) and activation is not keras.activations.linear:
                layer.activation = partial(self._activate, layer, activation)

    def _activate(self, layer: keras.layers.Layer, function: Callable[..., tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        outputs = function(inputs)
        self._calls.append((layer, {"before": inputs, "after": outputs}))
        return outputs

    def _forward(self, inputs: tf.Tensor, as_training: bool = True) -> tuple[tf.Tensor, dict[str, _Seen]]:
        """Outputs, and the layers by name: that of the layer with the kernel, and with it the batch norm and the
        activation that follow."""
        self._calls.clear()
        self._as_training = as_training
        outputs = self._model(inputs, training=False)
        seen: dict[str, _Seen] = {}
        last = ""
        for layer, facts in self._calls:
            if "kernel" in facts or not last or ("before" in facts and seen[last].before is not None):
                last = layer.name
            for key, value in facts.items():
                setattr(seen.setdefault(last, _Seen()), key, value)
        self._calls.clear()
        return outputs, seen

    def _measures(self, inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
        predicted, _ = self._forward(inputs, as_training=False)  # first: the others move the moving averages
        with tf.GradientTape() as tape:
            outputs, seen = self._forward(inputs)
            loss = tf.reduce_mean(self._head.losses(labels, outputs))
        kernels = {name: layer.kernel for name, layer in seen.items() if layer.kernel is not None}
        gradients = tape.gradient(loss, kernels, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        measures: Tensors = {name: {} for name in seen}
        for name, kernel in kernels.items():
            measures[name] |= {"gradient_norm": _norm(gradients[name]), "weight_norm": _norm(kernel)}
        for name, layer in seen.items():
            if layer.before is not None:
                measures[name] |= _distribution(layer.before)
                values = _by_unit(layer.after)
                measures[name]["dead"] = tf.reduce_max(values, 0) == tf.reduce_min(values, 0)
            if (noisy := layer.batch_mean_of()) is not None:
                measures[name]["batch_spread"] = tf.math.reduce_std(_by_unit(noisy), 0)
        return tf.reduce_mean(self._head.losses(labels, predicted)), measures

    def _batch_means(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        _, seen = self._forward(inputs)
        noisy = {name: layer.batch_mean_of() for name, layer in seen.items()}
        return {name: tf.reduce_mean(_by_unit(tensor), 0) for name, tensor in noisy.items() if tensor is not None}


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Those that the model calls, and models within it do; not the parts of a layer, which it may call in a loop."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _norm(tensor: tf.Tensor) -> tf.Tensor:
    return tf.norm(tf.cast(tensor, tf.float32))


def _by_unit(tensor: tf.Tensor) -> tf.Tensor:
    """[examples, ..., units] -> [values, units]: a place of a feature map counts as an example."""
    return tf.reshape(tf.cast(tensor, tf.float32), [-1, tensor.shape[-1]])


def _distribution(tensor: tf.Tensor) -> dict[str, tf.Tensor]:
    values = _by_unit(tensor)
    examples = tf.maximum(1, MOST_VALUES // (tf.size(tensor) // tf.shape(tensor)[0]))
    ordered = tf.sort(tf.reshape(tf.cast(tensor[:examples], tf.float32), [-1]))
    last = tf.cast(tf.size(ordered) - 1, tf.float32)
    places = {f"p{q}": tf.cast(tf.round(last * q / 100), tf.int32) for q in (15, 50, 85)}
    return {
        "mean": tf.reduce_mean(values),
        "std": tf.math.reduce_std(values),
        **{name: ordered[place] for name, place in places.items()},
        "unit_means": tf.reduce_mean(values, 0),
        "unit_stds": tf.math.reduce_std(values, 0),
    }
