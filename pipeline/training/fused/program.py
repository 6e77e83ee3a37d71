"""The graph of a cohort: a step of all its trials at once, the steps of an epoch as one call, the validation.

Everything that differs between trials or epochs is an argument, so that one program, once compiled, trains any
cohort of the same structure and size.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.input_pipeline import waited_for
from pipeline.heads.head import Head
from pipeline.training.fused.stacking import Path, assigned
from pipeline.training.fused.updates import Rule, Tensors, apply
from pipeline.training.sums import Sums, added, metric_sums, specs


class State(NamedTuple):
    """All that training changes, stacked: [P, *shape] each, shared slots and `step` (steps done) [P]."""

    weights: list[tf.Tensor]  # trainable
    others: list[tf.Tensor]  # running averages, seeds of random layers
    slots: list[Tensors]
    shared: Tensors
    step: tf.Tensor


class Constants(NamedTuple):
    """What a trial keeps: numbers of its layers, of its optimizer by name, label smoothing, [P] each; masks of its
    padding, [P, *shape] or None, a weight each; and which of the data sets is its own, [P]."""

    layers: list[tf.Tensor]  # in the order of the program's `paths`
    optimizer: Tensors
    label_smoothing: tf.Tensor
    masks: list[tf.Tensor | None]
    data: tf.Tensor


class Data(NamedTuple):
    """Examples of D data sets: inputs [D, n, *input_shape], of any kind of numbers, labels [D, n]."""

    inputs: tf.Tensor
    labels: tf.Tensor

    def batch(self, index: tf.Tensor) -> "Data":
        """Rows `index` [D, b]."""
        if self.inputs.shape[0] == 1:
            return Data(tf.gather(self.inputs[0], index[0])[None], tf.gather(self.labels[0], index[0])[None])
        return Data(tf.gather(self.inputs, index, batch_dims=1), tf.gather(self.labels, index, batch_dims=1))


class Program:
    """template: a Keras model with every layer as wide as the widest trial's; only its graph is used.

    targets: of a batch of any size. paths: which numbers of its layers differ by trial. xla: compile with XLA. clip,
    decay: whether any trial clips gradients or decays weights.
    """

    def __init__(
        self,
        template: keras.Model,
        rule: Rule,
        *,
        head: Head,
        targets: tf.TensorSpec,
        paths: Sequence[Path],
        batch_size: int,
        clip: bool,
        decay: bool,
        xla: bool,
    ) -> None:
        self.template, self._rule, self._head, self._paths = template, rule, head, paths
        self._batch_size, self._clip, self._decay = batch_size, clip, decay
        outputs = tf.TensorSpec([None, *template.output.shape[1:]], template.output.dtype)
        self._specs = specs(head, targets, outputs)
        # Nothing here is Python that autograph would have to convert, which takes longer than all the rest of tracing.
        graph = partial(tf.function, autograph=False)
        self.steps = graph(self._steps, jit_compile=xla)
        self.finish = graph(self._finish, jit_compile=xla)
        self.evaluate = graph(self._evaluate, jit_compile=xla)
        self.stream = graph(self._stream)
        self.stream_step = graph(self._step, jit_compile=xla)

    def zero(self, state: State) -> Sums:
        """The sums before the first batch: over examples, [P, ...] each; how many examples there were; and for how many
        seconds steps waited for their batch."""
        n_trials = state.step.shape[0]
        metrics = {key: tf.zeros([n_trials, *spec.shape], spec.dtype) for key, spec in self._specs.items()}
        return {"loss": tf.zeros([n_trials]), "examples": tf.constant(0), "waited": tf.constant(NO_TIME), **metrics}

    def _for_each(self, function: Any, state: State, batch: Data, constants: Constants) -> Any:
        """`function(weights, others, numbers of layers, label smoothing, inputs, labels)` for each trial."""
        arguments: dict[str, Any] = {
            "weights": state.weights,
            "others": state.others,
            "layers": constants.layers,
            "label_smoothing": constants.label_smoothing,
        }
        shared = batch.inputs.shape[0] == 1
        if not shared:
            arguments["inputs"] = tf.gather(batch.inputs, constants.data)
            arguments["labels"] = tf.gather(batch.labels, constants.data)

        def one(given: dict[str, Any]) -> Any:
            inputs = batch.inputs[0] if shared else given["inputs"]
            labels = batch.labels[0] if shared else given["labels"]
            with assigned(self.template, dict(zip(self._paths, given["layers"], strict=True))):
                return function(given["weights"], given["others"], given["label_smoothing"], inputs, labels)

        return tf.vectorized_map(one, arguments, warn=False)

    def _gradients(self, weights: Any, others: Any, smoothing: Any, inputs: Any, labels: Any) -> Any:
        """Loss, sums of the metrics, gradients and the running averages of one trial on one batch."""
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, updated, penalties = self.template.stateless_call(
                weights, others, inputs, training=True, return_losses=True
            )
            losses = self._head.losses(labels, outputs, smoothing)
            loss = tf.add_n([tf.reduce_mean(losses), *penalties])
        gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, metric_sums(self._head, labels, outputs), gradients, list(updated)

    def _step(self, state: State, batch: Data, rate: tf.Tensor, constants: Constants) -> tuple[State, Sums]:
        loss, sums, gradients, others = self._for_each(self._gradients, state, batch, constants)
        gradients = [g if mask is None else g * mask for g, mask in zip(gradients, constants.masks, strict=True)]
        step = state.step + 1
        weights, slots, shared = apply(
            self._rule,
            state.weights,
            gradients,
            state.slots,
            state.shared,
            constants.optimizer,
            rate,
            step,
            clip=self._clip,
            decay=self._decay,
        )
        n = tf.shape(batch.labels)[1]
        sums |= {"loss": loss * tf.cast(n, tf.float32), "examples": n, "waited": NO_TIME}
        return State(weights, others, slots, shared, step), sums

    def _steps(
        self,
        state: State,
        totals: Sums,
        constants: Constants,
        data: Data,
        order: tf.Tensor,
        rates: tf.Tensor,
        begin: Any,
        end: Any,
    ) -> tuple[State, Sums]:
        """Full batches `begin` to `end`. order: [D, n]; rates: [P, steps of an epoch]; totals: of those before, which
        are added up in the same order however an epoch is divided into calls."""

        def body(i: tf.Tensor, state: State, totals: Sums) -> Any:
            index = tf.slice(order, [0, i * self._batch_size], [order.shape[0], self._batch_size])
            state, more = self._step(state, data.batch(index), rates[:, i], constants)
            return i + 1, state, added(totals, more)

        _, state, totals = tf.while_loop(lambda i, *_: i < end, body, (begin, state, totals))
        return state, totals

    def _finish(
        self, state: State, constants: Constants, data: Data, order: tf.Tensor, rates: tf.Tensor, validation: Data
    ) -> tuple[State, Sums, Sums]:
        """The partial batch at the end of an epoch, if there is one, and the validation."""
        totals = self.zero(state)
        rest = order.shape[1] % self._batch_size
        if rest:
            state, totals = self._step(state, data.batch(order[:, -rest:]), rates[:, -1], constants)
        return state, totals, self._evaluate(state, constants, validation)

    def _stream(
        self, iterator: Any, state: State, totals: Sums, constants: Constants, rates: tf.Tensor, begin: Any, end: Any
    ) -> tuple[State, Sums]:
        """Batches from an iterator, for data that is too large to stay on the device."""

        def body(i: tf.Tensor, state: State, totals: Sums) -> Any:
            (inputs, labels), seconds = waited_for(iterator, totals["examples"])
            state, more = self.stream_step(state, Data(inputs[None], labels[None]), rates[:, i], constants)
            return i + 1, state, added(totals, more | {"waited": seconds})

        _, state, totals = tf.while_loop(lambda i, *_: i < end, body, (begin, state, totals))
        return state, totals

    def _evaluate(self, state: State, constants: Constants, data: Data) -> Sums:
        """Validation of all trials, in slices that keep the activations of a cohort small."""
        n, slices = data.labels.shape[1], []
        # Of no more examples than a training step holds in memory three times over, for its gradients.
        size = min(n, max(64, min(EVALUATED_AT_ONCE // state.step.shape[0], 2 * self._batch_size)))
        full = n // size

        def body(i: tf.Tensor, totals: Sums) -> Any:
            index = tf.range(size)[None] + i * size
            return i + 1, added(totals, self._measure(state, data, index, constants))

        totals = self.zero(state)
        if full > 1:
            totals = tf.while_loop(lambda i, *_: i < full, body, (tf.constant(0), totals))[1]
        elif full:
            slices.append(tf.range(size)[None])
        if n % size:
            slices.append(tf.range(full * size, n)[None])
        for index in slices:
            totals = added(totals, self._measure(state, data, index, constants))
        return totals

    def _measure(self, state: State, data: Data, index: tf.Tensor, constants: Constants) -> Sums:
        def one(weights: Any, others: Any, smoothing: Any, inputs: Any, labels: Any) -> Any:
            outputs, _ = self.template.stateless_call(weights, others, inputs, training=False)
            losses = self._head.losses(labels, outputs)
            return {"loss": tf.reduce_sum(losses), **metric_sums(self._head, labels, outputs)}

        batch = data.batch(tf.repeat(index, data.inputs.shape[0], axis=0))
        sums: Sums = self._for_each(one, state, batch, constants)
        return sums | {"examples": tf.shape(batch.labels)[1], "waited": NO_TIME}


EVALUATED_AT_ONCE = 8192  # examples times trials
NO_TIME = np.float64(0)
