"""A cohort of trials trained as one stacked computation."""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.input_pipeline import Augmentation
from pipeline.data.splits import Splits
from pipeline.heads.head import Head
from pipeline.training import layer_calls
from pipeline.training.fused import stacking, updates
from pipeline.training.fused.batches import Batches, InMemoryBatches, StreamingBatches
from pipeline.training.fused.program import Constants, Program, State
from pipeline.training.fused.stacked import Stacked, gathered
from pipeline.training.sums import Sums, as_numbers, values

# An epoch longer than this runs as several calls, between which a stop request is noticed.
CALL_SECONDS, STEPS_PER_CALL = 2.0, 256
FIRST_STEPS = 16  # of a cohort, which tell how long a step takes

_programs: OrderedDict[str, Program] = OrderedDict()
MOST_PROGRAMS = 4  # a worker mostly gets cohorts of the same few structures


class FusedTrainer:
    """Trains P models of one structure (see stacking.structure), each with its own optimizer, on its own numbers.

    models, optimizers, splits, seeds, label_smoothing: one a trial; models as they begin, optimizers of one class.
    Trials with the same splits (the same object) and seed share batches; data of others must have the same shapes.
    resident: whether the data stays on the device as tensors; otherwise it streams through tf.data, which wants one
    data set for all, and may be changed on its way by `augment`. xla: compile with XLA.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        optimizers: Sequence[keras.optimizers.Optimizer],
        splits: Sequence[Splits],
        *,
        seeds: Sequence[int],
        batch_size: int,
        label_smoothing: Sequence[float],
        head: Head,
        epoch: int = 0,
        resident: bool = True,
        xla: bool = True,
        augment: Augmentation | None = None,
    ) -> None:
        self._batch_size, self._epoch, self._head = batch_size, epoch, head
        sources = list(dict.fromkeys(zip(map(id, splits), seeds)))
        self._of = [sources.index(source) for source in zip(map(id, splits), seeds)]
        firsts = [self._of.index(d) for d in range(len(sources))]
        self._seeds = [seeds[i] for i in firsts]
        self._splits = [splits[i] for i in firsts]
        self._set_up(models, optimizers, label_smoothing, xla)
        self._steps_per_call = min(FIRST_STEPS, STEPS_PER_CALL)
        if resident:
            self._batches: Batches = InMemoryBatches(self._splits, self._seeds, batch_size=batch_size)
        else:
            self._batches = StreamingBatches(
                self._splits[0], self._seeds[0], batch_size=batch_size, epoch=epoch, augment=augment
            )

    def _set_up(
        self,
        models: Sequence[keras.Model],
        optimizers: Sequence[keras.optimizers.Optimizer],
        label_smoothing: Sequence[float],
        xla: bool,
    ) -> None:
        structures = [stacking.structure(model, pad=True) for model in models]
        differing = stacking.differing(structures)
        rule = updates.RULES[type(optimizers[0])]
        columns = [updates.numbers(optimizer) for optimizer in optimizers]
        numbers = {name: np.array([column[name] for column in columns], np.float32) for name in columns[0]}
        clip, decay = bool(np.isfinite(numbers["clipnorm"]).any()), bool(numbers["weight_decay"].any())
        own_data = len(self._splits) > 1

        def make() -> Program:
            template = stacking.widest(models[0], structures)
            template = keras.models.clone_model(template) if template is models[0] else template
            _copy_statistics(models[0], template)
            layer_calls.prepare(template, stacked=True, own_data=own_data)
            return Program(
                template,
                rule,
                head=self._head,
                targets=targets,
                paths=list(differing),
                batch_size=self._batch_size,
                clip=clip,
                decay=decay,
                xla=xla,
            )

        labels = self._splits[0].train.labels
        targets = tf.TensorSpec([None, *labels.shape[1:]], labels.dtype)
        widths = stacking.common_widths(structures)
        same = {path: value for path, value in structures[0].numbers.items() if path not in differing}
        statistics = [] if own_data else [w.tobytes().hex() for w in _statistics(models[0])]
        parts: list[Any] = [
            structures[0].key(),
            widths,
            same,
            sorted(map(str, differing)),
            type(optimizers[0]).__name__,
            self._head.key,
            targets,
        ]
        parts += [self._batch_size, clip, decay, own_data, xla, statistics]
        self.program = _program(json.dumps([_text(part) for part in parts]), make)
        wide = [tuple(v.shape) for v in self.program.template.variables]
        self._trials = Stacked(models, optimizers, rule, numbers, wide)
        self._constants = Constants(
            layers=[tf.constant(values) for values in differing.values()],
            optimizer={name: tf.constant(values) for name, values in numbers.items()},
            label_smoothing=tf.constant(np.array(label_smoothing, np.float32)),
            masks=self._trials.masks(),
            data=tf.constant(np.array(self._of, np.int32)),
        )
        self.waited = 0.0

    @property
    def size(self) -> int:
        return len(self._trials)

    def epoch(
        self, rates: np.ndarray, should_stop: Callable[[], bool] = lambda: False
    ) -> list[dict[str, float]] | None:
        """Trains an epoch at learning rates [P, steps] and validates.

        Returns for each trial the head's metrics, of training (the loss as trained on) and validation; None if
        `should_stop` turned true between two calls.
        """
        state, constants, batches = self._trials.state, self._constants, self._batches
        rate = tf.constant(rates)
        batches.begin(self._epoch)
        totals, begin = self.program.zero(state), 0
        while begin < batches.calls:
            if should_stop():
                return None
            began, end = time.perf_counter(), min(begin + self._steps_per_call, batches.calls)
            state, totals = self._steps(state, totals, rate, begin, end)
            totals["loss"].numpy()  # a GPU answers before it is done
            fitting = (end - begin) * CALL_SECONDS / (time.perf_counter() - began)
            begin, self._steps_per_call = end, max(1, min(STEPS_PER_CALL, int(fitting)))
        trained = as_numbers(totals)
        state, rest, validation = batches.finish(self.program, state, constants, rate)
        for key, value in as_numbers(rest).items():
            trained[key] += value
        self._trials.state = state
        self.waited = float(trained["waited"])
        self._epoch += 1
        parts = {"": trained, "val_": as_numbers(validation)}
        return [
            {name: value for prefix, sums in parts.items() for name, value in self._metrics(sums, i, prefix).items()}
            for i in range(self.size)
        ]

    def _metrics(self, sums: dict[str, Any], i: int, prefix: str) -> dict[str, float]:
        """Those of trial `i`."""
        return values(self._head, {key: value[i] if np.ndim(value) else value for key, value in sums.items()}, prefix)

    def rehearse(self, rates: np.ndarray, steps: int) -> int:
        """Computes up to `steps` steps of an epoch and forgets them: what a step takes, compiled; 0 only compiles.
        Returns how many: the partial batch at an epoch's end is a step only where there is no full one."""
        state, rate = self._trials.state, tf.constant(rates)
        self._batches.begin(self._epoch)
        full = min(steps, self._batches.calls)
        if self._batches.calls:
            _, totals = self._steps(state, self.program.zero(state), rate, 0, full)
        else:
            _, totals, _ = self._batches.finish(self.program, state, self._constants, rate)
        totals["loss"].numpy()
        return full or 1

    def _steps(self, state: State, totals: Sums, rate: tf.Tensor, begin: int, end: int) -> tuple[State, Sums]:
        span = tf.constant(begin), tf.constant(end)
        return self._batches.steps(self.program, state, totals, self._constants, rate, *span)

    def weights(self, i: int) -> list[np.ndarray]:
        """What predicting needs of trial `i`, in its own widths and the order of model.weights."""
        return self._trials.weights(i)

    def state(self, i: int) -> dict[str, np.ndarray]:
        """Everything that training changes of trial `i`, as SoloTrainer names it."""
        return self._trials.of(i)

    def restore(self, i: int, state: dict[str, np.ndarray]) -> None:
        """Sets what state() gave. Raises ValueError if names or shapes are not this trial's."""
        self._trials.restore(i, state)

    def keep(self, indices: Sequence[int]) -> None:
        """Goes on with these trials only."""
        chosen = tf.constant(np.array(indices, np.int32))
        self._trials.keep(chosen)
        self._constants = gathered(self._constants, chosen)


def _program(key: str, make: Callable[[], Program]) -> Program:
    """A program already compiled, or a new one; the least recently used go."""
    if key not in _programs:
        _programs[key] = make()
    _programs.move_to_end(key)
    while len(_programs) > MOST_PROGRAMS:
        _programs.popitem(last=False)
    return _programs[key]


def _text(part: Any) -> str:
    return str(sorted((str(k), str(v)) for k, v in part.items()) if isinstance(part, dict) else part)


def _normalizations(model: keras.Model) -> list[keras.layers.Normalization]:
    return [layer for layer in model._flatten_layers() if type(layer) is keras.layers.Normalization]


def _statistics(model: keras.Model) -> list[np.ndarray]:
    return [w.numpy() for layer in _normalizations(model) for w in layer.weights]


def _copy_statistics(model: keras.Model, template: keras.Model) -> None:
    """Input normalisation is a constant of the graph, not a variable, as long as all trials share their data."""
    for source, target in zip(_normalizations(model), _normalizations(template), strict=True):
        target.set_weights(source.get_weights())
        target.finalize_state()
