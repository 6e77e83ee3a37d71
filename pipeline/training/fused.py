"""A cohort of trials trained as one stacked computation."""

import functools
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.input_pipeline import Augment
from pipeline.data.splits import Splits
from pipeline.training import layer_calls, stacking, updates
from pipeline.training.feed import Feed, Resident, Streamed
from pipeline.training.losses import CRITERIA
from pipeline.training.program import Constants, Program, State, Totals, stacked_state, zero

# An epoch longer than this runs as several calls, between which a stop request is noticed.
CALL_SECONDS, STEPS_PER_CALL = 2.0, 256
FIRST_STEPS = 16  # of a cohort, which tell how long a step takes

# What a variable of an optimizer is: iteration, rate, own or shared (slot); the slot; the weight it belongs to.
Place = tuple[str, str, int]

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
        head: str = "softmax",
        epoch: int = 0,
        resident: bool = True,
        xla: bool = True,
        augment: Augment | None = None,
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
            self._feed: Feed = Resident(self._splits, self._seeds, batch_size=batch_size)
        else:
            self._feed = Streamed(self._splits[0], self._seeds[0], batch_size=batch_size, epoch=epoch, augment=augment)

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
                criterion=CRITERIA[self._head],
                paths=list(differing),
                batch_size=self._batch_size,
                clip=clip,
                decay=decay,
                xla=xla,
            )

        widths = stacking.common_widths(structures)
        same = {path: value for path, value in structures[0].numbers.items() if path not in differing}
        statistics = [] if own_data else [w.tobytes().hex() for w in _statistics(models[0])]
        parts: list[Any] = [
            structures[0].key(),
            widths,
            same,
            sorted(map(str, differing)),
            type(optimizers[0]).__name__,
            self._head,
        ]
        parts += [self._batch_size, clip, decay, own_data, xla, statistics]
        self._program = _program(json.dumps([_text(part) for part in parts]), make)
        # Where a trial's variables are: the order of Keras, which state.h5 and model.h5 share.
        self._shapes = [{v: tuple(w.shape) for v, w in enumerate(model.variables)} for model in models]
        self._order = _variable_order(models[0])
        wide = [tuple(v.shape) for v in self._program.template.variables]
        arrays = [[v.numpy() for v in model.variables] for model in models]
        trainable, others = self._order
        weights = [stacking.stack([a[v] for a in arrays], wide[v]) for v in trainable]
        slots, shared = updates.first_slots(rule, [tuple(w.shape) for w in weights], numbers)
        self._state = stacked_state(
            weights, [stacking.stack([a[v] for a in arrays], wide[v]) for v in others], slots, shared
        )
        self._constants = Constants(
            layers=[tf.constant(values) for values in differing.values()],
            optimizer={name: tf.constant(values) for name, values in numbers.items()},
            label_smoothing=tf.constant(np.array(label_smoothing, np.float32)),
            masks=stacking.masks([[s[v] for v in trainable] for s in self._shapes], [wide[v] for v in trainable]),
            data=tf.constant(np.array(self._of, np.int32)),
        )
        self._weight_order = [_index(models[0].variables, w) for w in models[0].weights]
        self._optimizer_orders = _optimizer_orders(rule, optimizers, models)
        self._numpy: State | None = None
        self.waited = 0.0
        self._restored = False  # whether the arrays are newer than the tensors

    @property
    def size(self) -> int:
        return len(self._shapes)

    def epoch(
        self, rates: np.ndarray, should_stop: Callable[[], bool] = lambda: False
    ) -> list[dict[str, float]] | None:
        """Trains an epoch at learning rates [P, steps] and validates.

        Returns for each trial loss (as trained on) and val_loss, and accuracy and val_accuracy if its head
        classifies; None if `should_stop` turned true between two calls.
        """
        state, constants, feed = self._tensors(), self._constants, self._feed
        rate = tf.constant(rates)
        feed.begin(self._epoch)
        totals, begin = zero(state), 0
        while begin < feed.calls:
            if should_stop():
                return None
            began, end = time.perf_counter(), min(begin + self._steps_per_call, feed.calls)
            state, totals = self._steps(state, totals, rate, begin, end)
            totals.loss.numpy()  # a GPU answers before it is done
            fitting = (end - begin) * CALL_SECONDS / (time.perf_counter() - began)
            begin, self._steps_per_call = end, max(1, min(STEPS_PER_CALL, int(fitting)))
        loss, correct, count = totals.loss.numpy().astype(float), totals.correct.numpy(), int(totals.count)
        state, rest, validation = feed.finish(self._program, state, constants, rate)
        loss, correct, count = loss + rest.loss.numpy(), correct + rest.correct.numpy(), count + int(rest.count)
        self._state, self._numpy = state, None
        self.waited = float(totals.waited + rest.waited)
        self._epoch += 1
        n = int(validation.count)
        criterion = CRITERIA[self._head]
        columns = criterion.metrics(loss, correct, count)
        columns |= criterion.metrics(validation.loss.numpy(), validation.correct.numpy(), n, prefix="val_")
        return [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]

    def rehearse(self, rates: np.ndarray, steps: int) -> int:
        """Computes up to `steps` steps of an epoch and forgets them: what a step takes, compiled. Returns how many: the
        partial batch at an epoch's end is a step only where there is no full one."""
        state, rate = self._tensors(), tf.constant(rates)
        self._feed.begin(self._epoch)
        full = min(steps, self._feed.calls)
        if full:
            _, totals = self._steps(state, zero(state), rate, 0, full)
        else:
            _, totals, _ = self._feed.finish(self._program, state, self._constants, rate)
        totals.loss.numpy()
        return full or 1

    def _steps(self, state: State, totals: Totals, rate: tf.Tensor, begin: int, end: int) -> tuple[State, Totals]:
        span = tf.constant(begin), tf.constant(end)
        return self._feed.steps(self._program, state, totals, self._constants, rate, *span)

    def weights(self, i: int) -> list[np.ndarray]:
        """What predicting needs of trial `i`, in its own widths and the order of model.weights."""
        variables = self._variables(i)
        return [variables[v] for v in self._weight_order]

    def state(self, i: int) -> dict[str, np.ndarray]:
        """Everything that training changes of trial `i`, as SoloTrainer names it."""
        variables = self._variables(i)
        result = {f"model/{v:04d}": variables[v] for v in range(len(variables))}
        for name, (kind, slot, j) in self._optimizer_orders[i].items():
            result[name] = self._slot(i, kind, slot, j)
        return result

    def restore(self, i: int, state: dict[str, np.ndarray]) -> None:
        """Sets what state() gave. Raises ValueError if names or shapes are not this trial's."""
        now = self.state(i)
        if {k: v.shape for k, v in now.items()} != {k: v.shape for k, v in state.items()}:
            raise ValueError("the saved state belongs to another model or optimizer")
        trainable, others = self._order
        whole, self._restored = self._as_numpy(), True
        for stacked, order in ((whole.weights, trainable), (whole.others, others)):
            for array, v in zip(stacked, order, strict=True):
                array[i] = stacking.pad(state[f"model/{v:04d}"], array.shape[1:])
        for slots in whole.slots:
            for array in slots.values():
                array[i] = 0  # and stays so where this trial has no such slot, for which it has a momentum of 0
        for name, (kind, slot, j) in self._optimizer_orders[i].items():
            if kind == "iteration":
                whole.step[i] = state[name]
            elif kind == "own":
                array = whole.slots[j][slot]
                array[i] = stacking.pad(state[name], array.shape[1:])
            elif kind == "shared":
                whole.shared[slot][i] = state[name]

    def keep(self, indices: Sequence[int]) -> None:
        """Goes on with these trials only."""
        chosen = tf.constant(np.array(indices, np.int32))
        self._state, self._constants = tf.nest.map_structure(
            lambda t: None if t is None else tf.gather(t, chosen), (self._tensors(), self._constants)
        )
        self._shapes = [self._shapes[i] for i in indices]
        self._optimizer_orders = [self._optimizer_orders[i] for i in indices]
        self._numpy = None

    def _tensors(self) -> State:
        """The state on the device, made once however many trials were restored."""
        if self._restored:
            self._state, self._restored = tf.nest.map_structure(tf.constant, self._numpy), False
        return self._state

    def _as_numpy(self) -> State:
        """The state, fetched once an epoch however many trials ask."""
        if self._numpy is None:
            self._numpy = tf.nest.map_structure(lambda t: np.array(t), self._state)
        return self._numpy

    def _variables(self, i: int) -> list[np.ndarray]:
        state, (trainable, others), shapes = self._as_numpy(), self._order, self._shapes[i]
        found = {v: array[i] for v, array in zip((*trainable, *others), (*state.weights, *state.others), strict=True)}
        return [stacking.cut(found[v], shapes[v]) for v in range(len(found))]

    def _slot(self, i: int, kind: str, slot: str, j: int) -> np.ndarray:
        state = self._as_numpy()
        if kind == "own":
            return stacking.cut(state.slots[j][slot][i], self._shapes[i][self._order[0][j]])
        if kind == "shared":
            return np.array(state.shared[slot][i])
        return np.array(int(state.step[i]), np.int64) if kind == "iteration" else np.array(0, np.float32)


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


def _index(variables: Sequence[Any], variable: Any) -> int:
    return next(i for i, v in enumerate(variables) if v is variable)


def _variable_order(model: keras.Model) -> tuple[list[int], list[int]]:
    """Places in model.variables of the trainable ones and of the others."""
    places = functools.partial(_index, model.variables)
    return [places(v) for v in model.trainable_variables], [places(v) for v in model.non_trainable_variables]


def _optimizer_orders(
    rule: updates.Rule, optimizers: Sequence[keras.optimizers.Optimizer], models: Sequence[keras.Model]
) -> list[dict[str, Place]]:
    """For each trial, for each variable of its optimizer in Keras, by its name in state.h5, what it is here."""
    # All that Keras' variables depend on, among optimizers of one class: it makes no slots for a momentum of 0.
    kinds = [getattr(optimizer, "momentum", 0.0) > 0 for optimizer in optimizers]
    firsts = {kind: kinds.index(kind) for kind in kinds}
    orders = {kind: _optimizer_order(rule, optimizers[i], models[i]) for kind, i in firsts.items()}
    return [orders[kind] for kind in kinds]


def _optimizer_order(rule: updates.Rule, optimizer: keras.optimizers.Optimizer, model: keras.Model) -> dict[str, Place]:
    optimizer.build(model.trainable_variables)
    places: dict[int, Place] = {id(optimizer.iterations): ("iteration", "", 0)}
    for slot, attribute in rule.slots.items():
        held = getattr(optimizer, attribute, [])
        if slot in rule.shared:
            places[id(held)] = ("shared", slot, 0)
        else:
            places |= {id(variable): ("own", slot, j) for j, variable in enumerate(held)}
    variables = enumerate(optimizer.variables)
    return {f"optimizer/{k:04d}": places.get(id(variable), ("rate", "", 0)) for k, variable in variables}


def _normalizations(model: keras.Model) -> list[keras.layers.Normalization]:
    return [layer for layer in model._flatten_layers() if type(layer) is keras.layers.Normalization]


def _statistics(model: keras.Model) -> list[np.ndarray]:
    return [w.numpy() for layer in _normalizations(model) for w in layer.weights]


def _copy_statistics(model: keras.Model, template: keras.Model) -> None:
    """Input normalisation is a constant of the graph, not a variable, as long as all trials share their data."""
    for source, target in zip(_normalizations(model), _normalizations(template), strict=True):
        target.set_weights(source.get_weights())
        target.finalize_state()
