"""What the layers of a network do while it trains, measured from its weights after an epoch (`train.diagnostics=true`).

All of it is a function of the weights, the data and the seed, computed outside of training by a copy of the model: a
trial trains the same bits with it as without, and one that trains fused, alone or resumed is measured alike.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.splits import Split
from pipeline.training import stacking
from pipeline.training.layer_calls import prepare
from pipeline.training.losses import CRITERIA

PROBE = 256  # training examples that are looked at, the first ones: many enough for a percentile of a single unit
BATCHES = 16  # drawn to see how batch statistics vary
MOST_VALUES = 2**18  # of a layer that percentiles are taken of: sorting more costs seconds and changes no digit

Layers = dict[str, dict[str, float]]  # name of a layer -> name of a measure -> its value
Arrays = dict[str, dict[str, np.ndarray]]

_probes: OrderedDict[str, "Probe"] = OrderedDict()
MOST_PROBES = 4  # trials of a cohort mostly share one


class Diagnosis:
    """Measures a trial whose `model` has the weights that it begins with, on examples of `train`.

    make: makes another model of the same layers, to be measured with; head, batch_size, seed: the trial's.
    """

    def __init__(
        self,
        model: keras.Model,
        make: Callable[[], keras.Model],
        train: Split,
        *,
        head: str,
        batch_size: int,
        seed: int,
    ) -> None:
        self._model, self._probe = model, _shared(model, make, head)
        self._train, self._batch_size, self._seed = train, min(batch_size, len(train)), seed
        self._start: Arrays | None = None

    def __call__(self, weights: list[np.ndarray], epoch: int) -> dict[str, Any]:
        """What an event gains, of the network with `weights` (as in model.weights) after `epoch` epochs.

        probe_loss: the plain loss of the probe batch, predicted as val_loss is, and so beside it the gap between
        training and validation without what moving weights and batch statistics do to the training loss.
        diagnostics: by layer, in the order in which they compute:
        pre_activation_mean, _std, _p15, _p50, _p85: of what enters the activation, over examples and units; the
        percentiles are those of Ioffe & Szegedy (2015, figure 1). The network runs as it trains, batch norm with the
        statistics of the probe batch, but drops nothing.
        shift: how far the mean of a unit has moved since epoch 0, in standard deviations of that unit (pooled over
        then and now), root mean square over units.
        dead_share: of units whose activation is the same for every example.
        gradient_norm, weight_norm: L2, of the kernel; the loss is that of the probe batch.
        batch_noise: the standard deviation of a unit's batch mean over batches of the trial's size, in standard
        deviations of the unit, root mean square over units. Of what enters batch norm; of the pre-activation where
        there is none. It is 1 / sqrt(batch size) for independent examples; behind another batch norm it is less, which
        has given the inputs of every batch the same mean.

        What a layer does not have is left out, and so is a layer that has nothing of it.
        """
        if self._start is None:
            _, self._start = self._measure(self._model.get_weights(), 0)
        loss, found = self._measure(weights, epoch)
        layers = {name: _summary(arrays, self._start[name]) for name, arrays in found.items()}
        return {"probe_loss": loss, "diagnostics": layers}

    def _measure(self, weights: list[np.ndarray], epoch: int) -> tuple[float, Arrays]:
        rng = np.random.default_rng([self._seed, epoch])
        n, train = len(self._train), self._train
        drawn = np.stack([rng.choice(n, self._batch_size, replace=False) for _ in range(BATCHES)])
        return self._probe.measure(weights, train.inputs[:PROBE], train.labels[:PROBE], train.examples(drawn))


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

    def __init__(self, model: keras.Model, head: str) -> None:
        self._model, self._criterion = model, CRITERIA[head]
        self._calls: list[tuple[keras.layers.Layer, dict[str, Any]]] = []
        self._as_training = False  # whether batch norm takes the statistics of the batch
        prepare(model, stacked=False, own_data=True)  # input statistics are read from the weights
        for layer in _layers(model):
            self._watch(layer)
        self._run = tf.function(self._measures, reduce_retracing=True, autograph=False)

    def measure(
        self, weights: list[np.ndarray], inputs: np.ndarray, labels: np.ndarray, batches: np.ndarray
    ) -> tuple[float, Arrays]:
        """The loss of predicting, and what is seen of the layers. inputs: [probe, ...], labels: [probe], batches:
        [BATCHES, batch, ...]."""
        self._model.set_weights(weights)
        loss, found = self._run(tf.constant(inputs), tf.constant(labels), tf.constant(batches))
        return float(loss), {name: {key: t.numpy() for key, t in tensors.items()} for name, tensors in found.items()}

    def _watch(self, layer: keras.layers.Layer) -> None:
        call = layer.call
        if isinstance(layer, keras.layers.BatchNormalization):

            def normalize(inputs: tf.Tensor, training: Any = None, **others: Any) -> tf.Tensor:
                self._calls.append((layer, {"normed": inputs}))
                return call(inputs, training=self._as_training, **others)

            layer.call = normalize
        elif isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU | keras.layers.ELU | keras.layers.PReLU):
            layer.call = partial(self._activate, layer, call)
        else:
            if isinstance(getattr(layer, "kernel", None), keras.Variable):

                def multiply(*inputs: Any, **others: Any) -> Any:
                    self._calls.append((layer, {"kernel": layer.kernel}))
                    return call(*inputs, **others)

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

    def _measures(
        self, inputs: tf.Tensor, labels: tf.Tensor, batches: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, dict[str, tf.Tensor]]]:
        predicted, _ = self._forward(inputs, as_training=False)  # first: the others move the moving averages
        with tf.GradientTape() as tape:
            outputs, seen = self._forward(inputs)
            loss = tf.reduce_mean(self._criterion.losses(labels, outputs))
        kernels = {name: layer.kernel for name, layer in seen.items() if layer.kernel is not None}
        gradients = tape.gradient(loss, kernels, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        found: dict[str, dict[str, tf.Tensor]] = {name: {} for name in seen}
        for name, kernel in kernels.items():
            found[name] |= {"gradient_norm": _norm(gradients[name]), "weight_norm": _norm(kernel)}
        for name, layer in seen.items():
            if layer.before is not None:
                found[name] |= _distribution(layer.before)
                values = _by_unit(layer.after)
                found[name]["dead"] = tf.reduce_max(values, 0) == tf.reduce_min(values, 0)
        noisy = {name: tensor for name, layer in seen.items() if (tensor := layer.batch_mean_of()) is not None}
        if noisy:
            kinds = {name: tf.TensorSpec(tensor.shape[-1:], tf.float32) for name, tensor in noisy.items()}
            means = tf.map_fn(self._batch_means, batches, fn_output_signature=kinds)
            for name, tensor in noisy.items():
                found[name] |= {"batch_means": means[name], "batch_spread": tf.math.reduce_std(_by_unit(tensor), 0)}
        return tf.reduce_mean(self._criterion.losses(labels, predicted)), found

    def _batch_means(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        _, seen = self._forward(inputs)
        noisy = {name: layer.batch_mean_of() for name, layer in seen.items()}
        return {name: tf.reduce_mean(_by_unit(tensor), 0) for name, tensor in noisy.items() if tensor is not None}


def _shared(model: keras.Model, make: Callable[[], keras.Model], head: str) -> Probe:
    """The probe of models of these very layers; the least recently used go."""
    key = str([head, *stacking.leaves(model.get_config())])
    if key not in _probes:
        _probes[key] = Probe(make(), head)
    _probes.move_to_end(key)
    while len(_probes) > MOST_PROBES:
        _probes.popitem(last=False)
    return _probes[key]


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


def _summary(now: dict[str, np.ndarray], start: dict[str, np.ndarray]) -> dict[str, float]:
    """What is recorded of a layer. start: the layer at epoch 0."""
    result: dict[str, float] = {}
    if "mean" in now:
        result |= {f"pre_activation_{key}": float(now[key]) for key in ("mean", "std", "p15", "p50", "p85")}
        pooled = np.sqrt((now["unit_stds"] ** 2 + start["unit_stds"] ** 2) / 2)
        result["shift"] = _relative(now["unit_means"] - start["unit_means"], pooled)
        result["dead_share"] = float(now["dead"].mean())
    result |= {key: float(now[key]) for key in ("gradient_norm", "weight_norm") if key in now}
    if "batch_means" in now:
        result["batch_noise"] = _relative(now["batch_means"].std(0, ddof=1), now["batch_spread"])
    return result


def _relative(values: np.ndarray, spreads: np.ndarray) -> float:
    """Root mean square of values [units] in units of their spreads, without the units that never vary; 0 if none
    does."""
    ratios = values[spreads != 0] / spreads[spreads != 0]
    return float(np.sqrt(np.mean(ratios**2))) if len(ratios) else 0.0
