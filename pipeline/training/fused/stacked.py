"""What training changes of the trials of a cohort: stacked on the device, and each as Keras has it."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.training.fused import updates
from pipeline.training.fused.program import State

# What a variable of an optimizer is: iteration, rate, own or shared (slot); the slot; the weight it belongs to.
Place = tuple[str, str, int]


class Stacked:
    """The weights, running averages and slots of P trials of one structure, widths padded with zeros.

    models, optimizers: one a trial, as they begin. numbers: of the optimizers, by name, [P]. wide: the shapes of the
    widest model's variables.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        optimizers: Sequence[keras.optimizers.Optimizer],
        rule: updates.Rule,
        numbers: dict[str, np.ndarray],
        wide: Sequence[tuple[int, ...]],
    ) -> None:
        # Where a trial's variables are: the order of Keras, which state.h5 and model.h5 share.
        self._shapes = [[tuple(w.shape) for w in model.variables] for model in models]
        self._order = _variable_order(models[0])
        self._weight_order = [_index(models[0].variables, w) for w in models[0].weights]
        self._optimizer_orders = _optimizer_orders(rule, optimizers, models)
        arrays = [[v.numpy() for v in model.variables] for model in models]
        weights, others = ([stack([a[v] for a in arrays], wide[v]) for v in order] for order in self._order)
        slots, shared = updates.first_slots(rule, [tuple(w.shape) for w in weights], numbers)
        slots, shared = tf.nest.map_structure(tf.constant, (slots, shared))
        self._state = State(weights, others, slots, shared, tf.zeros([len(models)]))
        self._numpy: State | None = None
        self._restored = False  # whether the arrays are newer than the tensors

    def __len__(self) -> int:
        return len(self._shapes)

    def masks(self) -> list[tf.Tensor | None]:
        """For each trainable weight, what is a trial's own: see padding_masks()."""
        own = [[shapes[v] for v in self._order[0]] for shapes in self._shapes]
        return padding_masks(own, [tuple(w.shape[1:]) for w in self._state.weights])

    @property
    def state(self) -> State:
        """As tensors on the device, made once however many trials were restored."""
        if self._restored:
            self._state, self._restored = tf.nest.map_structure(tf.constant, self._numpy), False
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state, self._numpy, self._restored = state, None, False

    def weights(self, i: int) -> list[np.ndarray]:
        """What predicting needs of trial `i`, in its own widths and the order of model.weights."""
        variables = self._variables(i)
        return [variables[v] for v in self._weight_order]

    def of(self, i: int) -> dict[str, np.ndarray]:
        """Everything that training changes of trial `i`, as SoloTrainer names it."""
        variables = self._variables(i)
        result = {f"model/{v:04d}": variables[v] for v in range(len(variables))}
        for name, (kind, slot, j) in self._optimizer_orders[i].items():
            result[name] = self._slot(i, kind, slot, j)
        return result

    def restore(self, i: int, state: dict[str, np.ndarray]) -> None:
        """Sets what of() gave. Raises ValueError if names or shapes are not this trial's."""
        now = self.of(i)
        if {k: v.shape for k, v in now.items()} != {k: v.shape for k, v in state.items()}:
            raise ValueError("the saved state belongs to another model or optimizer")
        trainable, others = self._order
        whole, self._restored = self._as_numpy(), True
        for stacked, order in ((whole.weights, trainable), (whole.others, others)):
            for array, v in zip(stacked, order, strict=True):
                array[i] = pad(state[f"model/{v:04d}"], array.shape[1:])
        for slots in whole.slots:
            for array in slots.values():
                array[i] = 0  # and stays so where this trial has no such slot, for which it has a momentum of 0
        for name, (kind, slot, j) in self._optimizer_orders[i].items():
            if kind == "iteration":
                whole.step[i] = state[name]
            elif kind == "own":
                array = whole.slots[j][slot]
                array[i] = pad(state[name], array.shape[1:])
            elif kind == "shared":
                whole.shared[slot][i] = state[name]

    def keep(self, chosen: tf.Tensor) -> None:
        """Goes on with the trials of these indices only."""
        self.state = gathered(self.state, chosen)
        kept = chosen.numpy().tolist()
        self._shapes = [self._shapes[i] for i in kept]
        self._optimizer_orders = [self._optimizer_orders[i] for i in kept]

    def _as_numpy(self) -> State:
        """The state, fetched once an epoch however many trials ask."""
        if self._numpy is None:
            self._numpy = tf.nest.map_structure(lambda t: np.array(t), self._state)
        return self._numpy

    def _variables(self, i: int) -> list[np.ndarray]:
        state, (trainable, others), shapes = self._as_numpy(), self._order, self._shapes[i]
        found = {v: array[i] for v, array in zip((*trainable, *others), (*state.weights, *state.others), strict=True)}
        return [cut(found[v], shapes[v]) for v in range(len(found))]

    def _slot(self, i: int, kind: str, slot: str, j: int) -> np.ndarray:
        state = self._as_numpy()
        if kind == "own":
            return cut(state.slots[j][slot][i], self._shapes[i][self._order[0][j]])
        if kind == "shared":
            return np.array(state.shared[slot][i])
        return np.array(int(state.step[i]), np.int64) if kind == "iteration" else np.array(0, np.float32)


def gathered(structure: Any, chosen: tf.Tensor) -> Any:
    """The same of the chosen trials: tensors [P, ...], or None, in any structure."""
    return tf.nest.map_structure(lambda t: None if t is None else tf.gather(t, chosen), structure)


def pad(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`array` in the corner of zeros of `shape`."""
    if array.shape == shape:
        return array
    return np.pad(array, [(0, wide - own) for own, wide in zip(array.shape, shape, strict=True)])


def cut(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The corner of `shape`, as its own copy."""
    return np.array(array[tuple(slice(size) for size in shape)])


def stack(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> tf.Tensor:
    return tf.constant(np.stack([pad(array, shape) for array in arrays]))


def padding_masks(
    shapes: Sequence[Sequence[tuple[int, ...]]], wide: Sequence[tuple[int, ...]]
) -> list[tf.Tensor | None]:
    """For each variable 1 where a trial has a weight of its own and 0 in its padding, [P, *shape]; None if no trial
    is padded. shapes: of each trial's variables."""
    result: list[tf.Tensor | None] = []
    for j, shape in enumerate(wide):
        own = [trial[j] for trial in shapes]
        same = all(s == shape for s in own)
        result.append(None if same else stack([np.ones(s, np.float32) for s in own], shape))
    return result


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
