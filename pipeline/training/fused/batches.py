"""What a cohort is trained and validated on: data that lies on the device, or batches that stream to it."""

import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipeline.data.input_pipeline import (
    Augmentation,
    accelerator,
    epoch_order,
    evaluation_batches,
    evaluation_steps,
    iterator,
    steps_per_epoch,
    training_batches,
)
from pipeline.data.splits import Split, Splits
from pipeline.training.fused.program import Constants, Data, Program, State
from pipeline.training.sums import Sums, added


class InMemoryBatches:
    """D data sets on the device, each with its seed: an epoch is computed there from its order alone."""

    def __init__(self, program: Program, splits: Sequence[Splits], seeds: Sequence[int], *, batch_size: int) -> None:
        self._program, self._seeds, self._n = program, seeds, len(splits[0].train)
        self._train, self._validation = _stacked([s.train for s in splits]), _stacked([s.validation for s in splits])
        self.calls = self._n // batch_size  # the steps that steps() does; finish() does what is left of an epoch
        self._order = tf.zeros([len(seeds), self._n], tf.int32)

    def begin(self, epoch: int) -> None:
        self._order = tf.stack([epoch_order(self._n, seed, epoch) for seed in self._seeds])

    def steps(
        self, state: State, totals: Sums, constants: Constants, rates: tf.Tensor, *span: tf.Tensor
    ) -> tuple[State, Sums]:
        """Steps `span` (begin, end) of the epoch."""
        return self._program.steps(self._train, self._order, state, totals, constants, rates, *span)

    def finish(self, state: State, constants: Constants, rates: tf.Tensor) -> tuple[State, Sums, Sums]:
        """The last steps, what they add to the totals, and the validation."""
        return self._program.finish(self._train, self._order, self._validation, state, constants, rates)


class StreamingBatches:
    """One data set whose batches come through tf.data, in the order of its seed."""

    def __init__(
        self, program: Program, splits: Splits, seed: int, *, batch_size: int, epoch: int, augment: Augmentation | None
    ) -> None:
        batches = training_batches(splits.train, batch_size=batch_size, seed=seed, start_epoch=epoch, augment=augment)
        device = accelerator()
        self._program, self._batches = program, iterator(batches, device)
        self.calls = steps_per_epoch(len(splits.train), batch_size)
        self._held = None if splits.validation.streamed else _stacked([splits.validation])
        if self._held is None:
            self._validation = iterator(evaluation_batches(splits.validation), device)
            self._validation_steps = evaluation_steps(splits.validation)

    def begin(self, epoch: int) -> None:
        """The batches come in their order by themselves."""

    def steps(
        self, state: State, totals: Sums, constants: Constants, rates: tf.Tensor, *span: tf.Tensor
    ) -> tuple[State, Sums]:
        return self._program.stream(self._batches, state, totals, constants, rates, *span)

    def finish(self, state: State, constants: Constants, rates: tf.Tensor) -> tuple[State, Sums, Sums]:
        program = self._program
        if self._held is not None:
            return state, program.zero(state), program.evaluate(state, constants, self._held)
        totals, waited = program.zero(state), 0.0
        for _ in range(self._validation_steps):
            began = time.perf_counter()
            inputs, labels = next(self._validation)
            waited += time.perf_counter() - began
            totals = added(totals, program.evaluate(state, constants, Data(inputs[None], labels[None])))
        return state, program.zero(state) | {"waited": tf.constant(waited, tf.float64)}, totals


Batches = InMemoryBatches | StreamingBatches


def _stacked(splits: Sequence[Split]) -> Data:
    """The examples of several splits of one shape, in memory."""
    return Data(
        tf.constant(np.stack([split.inputs.load() for split in splits])),
        tf.constant(np.stack([split.labels for split in splits])),
    )
