"""Layers that take whole numbers, tokens say: normalised inputs are none, and most become the same one."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

_LAYERS = (keras.layers.Embedding, keras.layers.CategoryEncoding, keras.layers.Hashing, keras.layers.IntegerLookup)


def rounding_layer(model: keras.Model, inputs: np.ndarray) -> str | None:
    """The name of the first layer, or operation of keras.ops, that makes whole numbers of fractions in a `model` from
    raw `inputs` [n, ...] that are whole; None if there is none. Only a model that has one that may do so is run."""
    watched = list(_of_whole_numbers(model))
    if not watched or (inputs != np.floor(inputs)).any():
        return None
    names: list[str] = []

    def watch(operation: keras.Operation) -> None:
        call = operation.call

        def look(*args: Any, **options: Any) -> Any:
            values = next(iter((*args, *options.values())))
            if hasattr(values, "numpy") and (array := values.numpy()).dtype.kind == "f":
                names.extend([operation.name] if (array != np.floor(array)).any() else [])
            return call(*args, **options)

        operation.call = look

    states = [(variable, variable.numpy()) for variable in model.non_trainable_variables]  # of random numbers, too
    try:
        for operation in watched:
            watch(operation)
        with contextlib.suppress(Exception):  # what fails here fails in training, too, and is told of there
            model(inputs, training=False)
    finally:
        for operation in watched:
            del operation.call
        for variable, value in states:
            variable.assign(value)
    return names[0] if names else None


def _of_whole_numbers(model: keras.Model) -> Iterator[keras.Operation]:
    layers = list(model._flatten_layers())
    yield from (layer for layer in layers if isinstance(layer, _LAYERS))
    for layer in layers:
        for operation in getattr(layer, "operations", ()):
            kind = type(operation).__name__
            if kind == "OneHot" or (kind == "Cast" and keras.backend.is_int_dtype(operation.dtype)):
                yield operation
