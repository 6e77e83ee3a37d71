"""model.h5: one Keras HDF5 file that predicts on raw inputs and describes itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from pipeline import hdf5
from pipeline.errors import InputError, first_line


def save_model(model: Any, path: Path, attributes: Mapping[str, object]) -> None:
    """Writes `model` whole and atomically, with `attributes` as HDF5 attributes; what is not a string or a
    number is stored as JSON."""

    def fill(temporary: Path) -> None:
        model.save(temporary)
        with h5py.File(temporary, "r+") as file:
            for key, value in attributes.items():
                file.attrs[key] = value if isinstance(value, str | int | float) else json.dumps(value)

    hdf5.write(path, fill)


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
