"""The graph of a cohort: a step of all its trials at once, the steps of an epoch as one call, the validation.

Everything that differs between trials or epochs is an argument, so that one program, once compiled, trains any
cohort of the same structure and size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.input_pipeline import waited_for
from pipeline.heads.head import Head
from pipeline.training import layer_calls
from pipeline.training.fused.stacking import Path, assigned
from pipeline.training.fused.updates import RULES, Tensors, apply
from pipeline.training.sums import Sums, added, metric_sums, specs

EVALUATED_AT_ONCE = 8192  # examples times trials
NO_TIME = np.float64(0)


class State(NamedTuple):
    """All that training changes, stacked: [P, *shape] each."""

    weights: list[tf.Tensor]  # trainable
    averages: list[tf.Tensor]  # running averages, and seeds of random layers
    slots: list[Tensors]
    shared: Tensors  # slots that all weights share, [P]
    step: tf.Tensor  # steps done, [P]


class Constants(NamedTuple):
    """What a trial keeps."""

    layers: list[tf.Tensor]  # numbers of its layers in the order of the program's `paths`, [P] each
    optimizer: Tensors  # numbers of its optimizer by name, [P] each
    label_smoothing: tf.Tensor  # [P]
    masks: list[tf.Tensor | None]  # of its padding, [P, *shape] or None for each weight
    data: tf.Tensor  # which of the data sets is its own, [P]


class Data(NamedTuple):
    """Examples of D data sets: inputs [D, n, *input_shape], of any kind of numbers, labels [D, n]."""

    inputs: tf.Tensor
    labels: tf.Tensor

    def batch(self, index: tf.Tensor) -> "Data":
        """Rows `index` [D, b]."""
        if self.inputs.shape[0] == 1:
            return Data(tf.gather(self.inputs[0], index[0])[None], tf.gather(self.labels[0], index[0])[None])
        return Data(tf.gather(self.inputs, index, batch_dims=1), tf.gather(self.labels, index, batch_dims=1))


@dataclass(frozen=True)
class Settings:
    """What a program follows from besides its layers."""

    optimizer: type[keras.optimizers.Optimizer]
    head: Head
    targets: tf.TensorSpec  # of a batch of any size
    paths: tuple[Path, ...]  # which numbers of the layers differ by trial
    batch_size: int
    clip: bool  # whether any trial clips gradients
    decay: bool  # whether any trial decays weights
    own_data: bool  # whether trials are on different data, so that input statistics differ by trial, too
    xla: bool  # compile with XLA


class Program:
    """template: a Keras model with every layer as wide as the widest trial's; only its graph is used."""

    def __init__(self, template: keras.Model, settings: Settings) -> None:
        self.template, self._settings, self._head = template, settings, settings.head
        layer_calls.prepare(template, stacked=True, own_data=settings.own_data)
        self._specs = specs(self._head, settings.targets, template.output)
        # Nothing here is Python that autograph would have to convert, which takes longer than all the rest of tracing.
        graph = partial(tf.function, autograph=False)
        compiled = partial(graph, jit_compile=settings.xla)
        self.steps: Callable[..., tuple[State, Sums]] = compiled(self._steps)
        self.finish: Callable[..., tuple[State, Sums, Sums]] = compiled(self._finish)
        self.evaluate: Callable[..., Sums] = compiled(self._evaluate)
        self.stream: Callable[..., tuple[State, Sums]] = graph(self._stream)
        self.stream_step = compiled(self._step)

    def zero(self, state: State) -> Sums:
        """The sums before the first batch: over examples, [P, ...] each; how many examples there were; and for how many
        seconds steps waited for their batch."""
        n_trials = state.step.shape[0]
        metrics = {key: tf.zeros([n_trials, *spec.shape], spec.dtype) for key, spec in self._specs.items()}
        return {"loss": tf.zeros([n_trials]), "examples": tf.constant(0), "waited": tf.constant(NO_TIME), **metrics}

    def _for_each(self, function: Callable[..., Any], state: State, batch: Data, constants: Constants) -> Any:
        """`function(weights, averages, label smoothing, inputs, labels)` for each trial, with its numbers of layers."""
        shared = batch.inputs.shape[0] == 1
        own = () if shared else (tf.gather(batch.inputs, constants.data), tf.gather(batch.labels, constants.data))

        def for_trial(trial: tuple[Any, ...]) -> Any:
            weights, averages, numbers, smoothing, *examples = trial
            inputs, labels = (batch.inputs[0], batch.labels[0]) if shared else examples
            with assigned(self.template, dict(zip(self._settings.paths, numbers, strict=True))):
                return function(weights, averages, smoothing, inputs, labels)

        stacked = (state.weights, state.averages, constants.layers, constants.label_smoothing, *own)
        return tf.vectorized_map(for_trial, stacked, warn=False)

    def _gradients(self, weights: Any, averages: Any, smoothing: Any, inputs: Any, labels: Any) -> Any:
        """Loss, sums of the metrics, gradients and the running averages of one trial on one batch."""
        with tf.GradientTape() as tape:
            tape.watch(weights)
            arguments = (weights, averages, inputs)
            outputs, updated, penalties = self.template.stateless_call(*arguments, training=True, return_losses=True)
            losses = self._head.losses(labels, outputs, smoothing)
            loss = tf.add_n([tf.reduce_mean(losses), *penalties])
        gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, metric_sums(self._head, labels, outputs), gradients, list(updated)

    def _step(self, state: State, batch: Data, rate: tf.Tensor, constants: Constants) -> tuple[State, Sums]:
        loss, sums, gradients, averages = self._for_each(self._gradients, state, batch, constants)
        gradients = [g if mask is None else g * mask for g, mask in zip(gradients, constants.masks, strict=True)]
        step, settings = state.step + 1, self._settings
        update = partial(apply, RULES[settings.optimizer], clip=settings.clip, decay=settings.decay)
        old = (state.weights, gradients, state.slots, state.shared)
        weights, slots, shared = update(*old, constants.optimizer, rate, step)
        n = tf.shape(batch.labels)[1]
        sums |= {"loss": loss * tf.cast(n, tf.float32), "examples": n, "waited": NO_TIME}
        return State(weights, averages, slots, shared, step), sums

    def _steps(
        self,
        data: Data,
        order: tf.Tensor,
        state: State,
        totals: Sums,
        constants: Constants,
        rates: tf.Tensor,
        *span: Any,
    ) -> tuple[State, Sums]:
        """Full batches `span` (begin, end). order: [D, n]; rates: [P, steps of an epoch]; totals: of those before,
        which are added up in the same order however an epoch is divided into calls."""

        def step(i: tf.Tensor, state: State, totals: Sums) -> tuple[State, Sums]:
            index = tf.slice(order, [0, i * self._settings.batch_size], [order.shape[0], self._settings.batch_size])
            return self._step(state, data.batch(index), rates[:, i], constants)

        return _loop(step, state, totals, *span)

    def _stream(
        self, iterator: Any, state: State, totals: Sums, constants: Constants, rates: tf.Tensor, *span: Any
    ) -> tuple[State, Sums]:
        """The same with batches from an iterator, for data that is too large to stay on the device."""

        def step(i: tf.Tensor, state: State, totals: Sums) -> tuple[State, Sums]:
            (inputs, labels), seconds = waited_for(iterator, totals["examples"])
            state, sums = self.stream_step(state, Data(inputs[None], labels[None]), rates[:, i], constants)
            return state, sums | {"waited": seconds}

        return _loop(step, state, totals, *span)

    def _finish(
        self, data: Data, order: tf.Tensor, validation: Data, state: State, constants: Constants, rates: tf.Tensor
    ) -> tuple[State, Sums, Sums]:
        """The partial batch at the end of an epoch, if there is one, and the validation."""
        totals = self.zero(state)
        rest = order.shape[1] % self._settings.batch_size
        if rest:
            state, totals = self._step(state, data.batch(order[:, -rest:]), rates[:, -1], constants)
        return state, totals, self._evaluate(state, constants, validation)

    def _evaluate(self, state: State, constants: Constants, data: Data) -> Sums:
        """Validation of all trials, in slices that keep the activations of a cohort small."""
        n = data.labels.shape[1]
        # Of no more examples than a training step holds in memory three times over, for its gradients.
        size = min(n, max(64, min(EVALUATED_AT_ONCE // state.step.shape[0], 2 * self._settings.batch_size)))
        looped = n // size if n > size else 0  # one slice needs no loop

        def body(i: tf.Tensor, totals: Sums) -> Any:
            index = tf.range(size)[None] + i * size
            return i + 1, added(totals, self._measure(state, data, index, constants))

        totals = self.zero(state)
        if looped:
            totals = tf.while_loop(lambda i, *_: i < looped, body, (tf.constant(0), totals))[1]
        if looped * size < n:
            totals = added(totals, self._measure(state, data, tf.range(looped * size, n)[None], constants))
        return totals

    def _measure(self, state: State, data: Data, index: tf.Tensor, constants: Constants) -> Sums:
        batch = data.batch(tf.repeat(index, data.inputs.shape[0], axis=0))
        sums: Sums = self._for_each(self._validate, state, batch, constants)
        return sums | {"examples": tf.shape(batch.labels)[1], "waited": NO_TIME}

    def _validate(self, weights: Any, averages: Any, smoothing: Any, inputs: Any, labels: Any) -> Any:
        """Sums of the loss, without smoothing, and of the metrics of one trial on one batch."""
        outputs, _ = self.template.stateless_call(weights, averages, inputs, training=False)
        losses = self._head.losses(labels, outputs)
        return {"loss": tf.reduce_sum(losses), **metric_sums(self._head, labels, outputs)}


def _loop(
    step: Callable[[tf.Tensor, State, Sums], tuple[State, Sums]], state: State, totals: Sums, begin: Any, end: Any
) -> tuple[State, Sums]:
    """`step` for each number from `begin` to `end`, what it adds up added to `totals`."""

    def body(i: tf.Tensor, state: State, totals: Sums) -> Any:
        state, sums = step(i, state, totals)
        return i + 1, state, added(totals, sums)

    _, state, totals = tf.while_loop(lambda i, *_: i < end, body, (begin, state, totals))
    return state, totals
