"""What training changes of the trials of a cohort: stacked on the device, and each as Keras has it."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pipeline.training.fused import updates
from pipeline.training.fused.program import State


class Place(NamedTuple):
    """What a variable of an optimizer in Keras is here."""

    kind: str  # slot, shared slot, iteration or rate
    slot: str = ""  # its name
    weight: int = 0  # among the trainable ones, that the slot belongs to


class Stacked:
    """The weights, running averages and slots of P trials of one structure, widths padded with zeros.

    models, optimizers: one a trial, as they begin; of the latter the `numbers`, [P] by name. wide: the shapes of the
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
        first = models[0]
        places = {id(variable): i for i, variable in enumerate(first.variables)}
        self._trainable, self._averages, self._weights = (
            [places[id(variable)] for variable in variables]
            for variables in (first.trainable_variables, first.non_trainable_variables, first.weights)
        )
        self._optimizer_places = _optimizer_places(rule, optimizers, models)
        arrays = [[v.numpy() for v in model.variables] for model in models]
        weights, averages = (
            [stack([own[v] for own in arrays], wide[v]) for v in order] for order in (self._trainable, self._averages)
        )
        slots, shared = updates.first_slots(rule, [tuple(w.shape) for w in weights], numbers)
        slots, shared = tf.nest.map_structure(tf.constant, (slots, shared))
        self._state = State(weights, averages, slots, shared, tf.zeros([len(models)]))
        self._numpy: State | None = None
        self._restored = False  # whether the arrays are newer than the tensors

    def __len__(self) -> int:
        return len(self._shapes)

    def masks(self) -> list[tf.Tensor | None]:
        """For each trainable weight, what is a trial's own: see padding_masks()."""
        own = [[shapes[v] for v in self._trainable] for shapes in self._shapes]
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
        return [variables[v] for v in self._weights]

    def of(self, i: int) -> dict[str, np.ndarray]:
        """Everything that training changes of trial `i`, as SoloTrainer names it."""
        result = {f"model/{v:04d}": variable for v, variable in enumerate(self._variables(i))}
        for name, place in self._optimizer_places[i].items():
            if place.kind == "rate":  # is given by step
                result[name] = np.zeros((), np.float32)
            elif place.kind == "iteration":
                result[name] = np.array(int(self._stacked(place)[i]), np.int64)
            else:
                shape = self._shapes[i][self._trainable[place.weight]] if place.kind == "slot" else ()
                result[name] = cut(self._stacked(place)[i], shape)
        return result

    def restore(self, i: int, state: dict[str, np.ndarray]) -> None:
        """Sets what of() gave. Raises ValueError if names or shapes are not this trial's."""
        now = self.of(i)
        if {k: v.shape for k, v in now.items()} != {k: v.shape for k, v in state.items()}:
            raise ValueError("the saved state belongs to another model or optimizer")
        whole, self._restored = self._as_numpy(), True
        for stacked, order in ((whole.weights, self._trainable), (whole.averages, self._averages)):
            for array, v in zip(stacked, order, strict=True):
                array[i] = pad(state[f"model/{v:04d}"], array.shape[1:])
        for slots in whole.slots:
            for array in slots.values():
                array[i] = 0  # and stays so where this trial has no such slot, for which it has a momentum of 0
        for name, place in self._optimizer_places[i].items():
            if place.kind != "rate":
                array = self._stacked(place)
                array[i] = pad(state[name], array.shape[1:])

    def keep(self, chosen: tf.Tensor) -> None:
        """Goes on with the trials of these indices only."""
        self.state = gathered(self.state, chosen)
        kept = chosen.numpy().tolist()
        self._shapes = [self._shapes[i] for i in kept]
        self._optimizer_places = [self._optimizer_places[i] for i in kept]

    def copy(self, sources: tf.Tensor) -> None:
        """Each trial goes on as the one in its place of `sources` stands, whose shapes it must have."""
        self.state = gathered(self.state, sources)

    def whole(self) -> list[np.ndarray]:
        """The state of all trials, as set_whole() takes it back."""
        return tf.nest.flatten(self._as_numpy())  # type: ignore[no-any-return]

    def set_whole(self, arrays: Sequence[np.ndarray]) -> None:
        """Raises ValueError for other shapes than these trials have."""
        now = self.whole()
        if [array.shape for array in now] != [array.shape for array in arrays]:
            raise ValueError("the saved state belongs to another population")
        self.state = tf.nest.map_structure(tf.constant, tf.nest.pack_sequence_as(self._state, arrays))

    def _as_numpy(self) -> State:
        """The state, fetched once an epoch however many trials ask."""
        if self._numpy is None:
            self._numpy = tf.nest.map_structure(lambda t: np.array(t), self._state)
        return self._numpy

    def _variables(self, i: int) -> list[np.ndarray]:
        """Those of trial `i`, as in model.variables."""
        state = self._as_numpy()
        order, arrays = (*self._trainable, *self._averages), (*state.weights, *state.averages)
        stacked = dict(zip(order, arrays, strict=True))
        return [cut(stacked[v][i], shape) for v, shape in enumerate(self._shapes[i])]

    def _stacked(self, place: Place) -> np.ndarray:
        """A variable of the optimizer, [P, ...]."""
        state = self._as_numpy()
        slots: dict[str, np.ndarray] = state.slots[place.weight] if place.kind == "slot" else state.shared
        return slots[place.slot] if place.slot else state.step


def gathered(structure: Any, chosen: tf.Tensor) -> Any:
    """The same of the chosen trials: tensors [P, ...], or None, in any structure."""
    first = tf.constant(0)
    # As tf.gather does, which takes twice as long for some thirty small tensors as the op itself.
    gather = partial(tf.raw_ops.GatherV2, indices=chosen, axis=first)
    return tf.nest.map_structure(lambda t: None if t is None else gather(params=t), structure)


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
    return [
        None if set(narrow) == {shape} else stack([np.ones(own, np.float32) for own in narrow], shape)
        for narrow, shape in zip(zip(*shapes), wide, strict=True)
    ]


def _optimizer_places(
    rule: updates.Rule, optimizers: Sequence[keras.optimizers.Optimizer], models: Sequence[keras.Model]
) -> list[dict[str, Place]]:
    """For each trial, for each variable of its optimizer in Keras, by its name in state.h5, what it is here."""
    # All that Keras' variables depend on, among optimizers of one class: it makes no slots for a momentum of 0.
    kinds = [getattr(optimizer, "momentum", 0.0) > 0 for optimizer in optimizers]
    places = {kind: _places(rule, optimizers[kinds.index(kind)], models[kinds.index(kind)]) for kind in set(kinds)}
    return [places[kind] for kind in kinds]


def _places(rule: updates.Rule, optimizer: keras.optimizers.Optimizer, model: keras.Model) -> dict[str, Place]:
    optimizer.build(model.trainable_variables)
    places = {id(optimizer.iterations): Place("iteration")}
    for slot, attribute in rule.slots.items():
        variables = getattr(optimizer, attribute, [])
        if slot in rule.shared:
            places[id(variables)] = Place("shared", slot)
        else:
            places |= {id(variable): Place("slot", slot, j) for j, variable in enumerate(variables)}
    return {f"optimizer/{k:04d}": places.get(id(v), Place("rate")) for k, v in enumerate(optimizer.variables)}
