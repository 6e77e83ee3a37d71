"""model.h5: one Keras HDF5 file that predicts on raw inputs and describes itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline import hdf5
from pipeline.errors import InputError, first_line


def save_model(model: Any, path: Path, attributes: Mapping[str, object], inputs: np.ndarray) -> None:
    """Writes `model` whole and atomically, with `attributes` as HDF5 attributes; what is not a string or a
    number is stored as JSON.

    inputs: a few examples, for which Keras must read the same model from the file. Raises InputError if it does not.
    """

    def fill(temporary: Path) -> None:
        with hdf5.Sink(temporary, "w+b") as sink, _ForKeras(sink, "w") as file:
            model.save(file)
            file.attrs["model_config"] = json.dumps(_layers(model))
            for key, value in attributes.items():
                file.attrs[key] = value if isinstance(value, str | int | float) else json.dumps(value)
        _check(model, path, temporary, inputs)

    hdf5.write(path, fill)


class _ForKeras(h5py.File):
    """An open file, to which Keras writes if what it takes for the path ends like one of HDF5."""

    def __str__(self) -> str:
        return "model.h5"


def _layers(model: Any) -> dict[str, Any]:
    """What Keras builds a functional model anew from. Each layer stands there with its module: the form that Keras
    itself writes into HDF5 leaves that out, and then finds no operator (`x + y`), slice or function of keras.ops."""
    return {"class_name": "Functional", "config": model.get_config()}


def check_savable(model: Any) -> None:
    """Raises InputError for a model that Keras could not build anew from what a model.h5 says of its layers."""
    try:
        type(model).from_config(json.loads(json.dumps(_layers(model)))["config"])
    # Keras raises nearly anything for a layer that it can't describe, or can't make from its description.
    except Exception as error:
        raise InputError(
            f"this model could not be loaded from its model.h5 ({first_line(error).split('. ')[0]}).\n"
            "Use layers and keras.ops, no Lambda. A layer of your own needs a get_config() that its constructor takes, "
            "and the decorator @keras.saving.register_keras_serializable()."
        ) from None


def _check(model: Any, path: Path, written: Path, inputs: np.ndarray) -> None:
    import keras

    try:
        outputs = keras.models.load_model(written, compile=False)(inputs, training=False)
    except Exception as error:
        raise InputError(f"{path}: Keras can't load what was written ({first_line(error)}).") from None
    expected = model(inputs, training=False)
    # By a margin for devices that round otherwise at every call.
    if not np.allclose(outputs, expected, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise InputError(f"{path}: loaded again, the model does not predict what it did.")


def load_model(path: Path) -> Any:
    """The Keras model of a model.h5, for predicting. Raises InputError if the file is missing, unreadable,
    changed since it was written, or no Keras model."""
    hdf5.check(path)
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    # Keras raises nearly anything for a bad file: ValueError without a model_config, JSONDecodeError, KeyError.
    except Exception as error:
        reason = first_line(error)
        raise InputError(f"{path}: not a model that Keras can load ({reason}).") from None


def model_attributes(path: Path) -> dict[str, Any]:
    """The description in a model.h5, JSON decoded; empty for a file that Caviar did not write."""
    with h5py.File(path, "r") as file:
        of_others = ("model_config", "training_config", hdf5.DIGEST)
        return {key: _decoded(value) for key, value in file.attrs.items() if key not in of_others}


def _decoded(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value
    except ValueError:
        return value
