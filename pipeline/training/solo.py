"""One model trained by itself: the gradient step, a whole epoch as one graph, and its state as arrays."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.input_pipeline import accelerator, iterator, waited_for
from pipeline.heads.head import Head
from pipeline.training.layer_calls import prepare
from pipeline.training.sums import Numbers, Sums, added, as_numbers, metric_sums, specs, values

STEPS_PER_CALL = 256


class SoloTrainer:
    """Trains `model`, whose output is what `head` says, with `optimizer` on endless `batches`; `validation` is endless
    too, and `validation_steps` batches of it are the whole split. An epoch of more than `steps_per_call` steps runs as
    several calls, between which a stop request is noticed.

    The loop is the course's own, GradientTape and apply_gradients, rather than Model.fit: a learning rate given
    by step from outside, exact resume and training several models at once all need to stand inside it.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        batches: tf.data.Dataset,
        validation: tf.data.Dataset,
        validation_steps: int,
        head: Head,
        label_smoothing: float = 0.0,
        steps_per_call: int = STEPS_PER_CALL,
    ) -> None:
        self.model, self.optimizer, self._head = model, optimizer, head
        prepare(model, stacked=False)
        optimizer.build(model.trainable_variables)
        # There is one replica here. Keras would sum gradients over it through a custom gradient, which TensorFlow
        # registers for ever together with this trainer's graph: 5 MB a trial in a worker that stays warm.
        getattr(optimizer, "inner_optimizer", optimizer)._all_reduce_sum_gradients = lambda pairs: pairs
        self._iterator, self._validation = self._waiting(batches), self._waiting(validation)
        self._validation_steps = tf.constant(validation_steps)
        self._label_smoothing, self._steps_per_call = label_smoothing, steps_per_call
        self._specs = specs(head, batches.element_spec[1], model.output)
        self.waited = 0.0
        self.run_steps = tf.function(self._steps, reduce_retracing=True)
        self.run_evaluation = tf.function(self._evaluate, reduce_retracing=True)

    def _waiting(self, batches: tf.data.Dataset) -> Iterator[Any]:
        """The batches where they are trained on."""
        return iterator(batches, accelerator())

    def _steps(self, iterator: Any, rates: tf.Tensor) -> Sums:
        return self._summed(self._step, iterator, tf.size(rates), rates)

    def _evaluate(self, iterator: Any, steps: tf.Tensor) -> Sums:
        return self._summed(self._validate, iterator, steps)

    def _summed(
        self, function: Callable[..., Sums], iterator: Any, steps: tf.Tensor, rates: tf.Tensor | None = None
    ) -> Sums:
        """What `function` gives over so many batches, each at its learning rate if there are any."""
        zeros = {key: tf.zeros(spec.shape, spec.dtype) for key, spec in self._specs.items()}
        sums, waited = {"loss": tf.constant(0.0), "examples": tf.constant(0), **zeros}, tf.constant(0, tf.float64)
        for step in tf.range(steps):
            batch, seconds = waited_for(iterator, sums["loss"])
            waited += seconds
            if rates is not None:
                self.optimizer.learning_rate.assign(rates[step])
            sums = added(sums, self._on_batch(function, batch))
        return {**sums, "waited": waited}

    def _on_batch(self, function: Callable[..., Sums], batch: Any) -> Sums:
        return function(*batch)

    def _step(
        self, inputs: tf.Tensor, targets: tf.Tensor, batch_size: tf.Tensor | None = None, counted: tf.Tensor | int = 1
    ) -> Sums:
        """A gradient step on examples of a batch of `batch_size`; None: they are all of it. counted: 0 for examples
        that are to change nothing."""
        variables, n = self.model.trainable_variables, counted * tf.shape(targets)[0]
        share = tf.cast(n, tf.float32)
        with tf.GradientTape() as tape:
            outputs = self.model(inputs, training=True)
            losses = self._head.losses(targets, outputs, self._label_smoothing)
            # A penalty is a mean over examples, or depends on none of them: each example brings a share of it.
            examples = tf.cast(counted, tf.float32) * tf.reduce_sum(losses)
            loss = tf.add_n([examples, *[share * penalty for penalty in self.model.losses]])
            mean = loss / (share if batch_size is None else tf.cast(batch_size, tf.float32))
            scaled = self.optimizer.scale_loss(mean)
        gradients = self._of_batch(tape.gradient(scaled, variables))
        self.optimizer.apply_gradients(zip(gradients, variables))
        sums = metric_sums(self._head, targets, outputs)
        return {"loss": loss, "examples": n, **{key: tf.cast(counted, s.dtype) * s for key, s in sums.items()}}

    def _of_batch(self, gradients: list[Any]) -> list[Any]:
        """The whole batch's gradients from those of the examples here."""
        return gradients

    def _validate(self, inputs: tf.Tensor, targets: tf.Tensor) -> Sums:
        outputs = self.model(inputs, training=False)
        loss = tf.reduce_sum(self._head.losses(targets, outputs))
        return {"loss": loss, "examples": tf.shape(targets)[0], **metric_sums(self._head, targets, outputs)}

    @property
    def size(self) -> int:
        return 1

    def epoch(
        self, rates: np.ndarray, should_stop: Callable[[], bool] = lambda: False
    ) -> list[dict[str, float]] | None:
        """Trains an epoch at learning rates [1, steps] and validates; the metrics of the one trial."""
        trained = self.train_epoch(rates[0], should_stop)
        return None if trained is None else [{**trained, **self.evaluate()}]

    def train_epoch(
        self, rates: np.ndarray, should_stop: Callable[[], bool] = lambda: False
    ) -> dict[str, float] | None:
        """Trains a step for each of the learning rates [steps].

        Returns the head's metrics (the loss as trained on, with smoothing and regularisation) over the epoch's
        examples as the weights moved; None if `should_stop` turned true between two calls.
        """
        totals: Numbers = {}
        for start in range(0, len(rates), self._steps_per_call):
            if should_stop():
                return None
            part = tf.constant(rates[start : start + self._steps_per_call])
            sums = as_numbers(self.run_steps(self._iterator, part))
            totals = added(totals, sums) if totals else sums
        self.waited = float(totals["waited"])
        return values(self._head, totals)

    def rehearse(self, rates: np.ndarray, steps: int) -> int:
        """Trains `steps` steps, for their time; returns their number."""
        self.run_steps(self._iterator, tf.constant(rates[0, :steps]))["loss"].numpy()
        return steps

    def evaluate(self) -> dict[str, float]:
        """The head's metrics of validation, the loss without smoothing so that trials with another one compare."""
        totals = as_numbers(self.run_evaluation(self._validation, self._validation_steps))
        self.waited += float(totals["waited"])
        return values(self._head, totals, prefix="val_")

    def weights(self, i: int = 0) -> list[np.ndarray]:
        """What predicting needs, in the order of model.weights."""
        return list(self.model.get_weights())

    def keep(self, indices: list[int]) -> None:
        """The one trial goes on."""

    def state(self, i: int = 0) -> dict[str, np.ndarray]:
        """Everything that training changes: weights, optimizer slots, seeds of random layers."""
        return {name: variable.numpy() for name, variable in self._variables()}

    def restore(self, i: int, state: dict[str, np.ndarray]) -> None:
        """Sets what state() gave. Raises ValueError if names or shapes are not this model's."""
        variables = dict(self._variables())
        shapes = {name: tuple(v.shape) for name, v in variables.items()}
        if shapes != {name: array.shape for name, array in state.items()}:
            raise ValueError("the saved state belongs to another model or optimizer")
        for name, variable in variables.items():
            variable.assign(state[name])

    def _variables(self) -> list[tuple[str, Any]]:
        # Numbered: two layers of a functional model may share a path, and the order is that of construction.
        owners = {"model": self.model.variables, "optimizer": self.optimizer.variables}
        return [(f"{owner}/{i:04d}", v.value) for owner, vs in owners.items() for i, v in enumerate(vs)]
