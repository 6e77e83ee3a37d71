"""The layers of a Keras HDF5 model as its file tells them, without TensorFlow."""

import json
import math
from dataclasses import dataclass
from typing import Any

import h5py

from pipeline import hdf5
from pipeline.errors import InputError

Shape = tuple[int | None, ...]

# Layers whose output has the shape of their input, for the end of a model, where no other layer tells it.
SHAPE_KEEPING = ("Softmax", "Activation", "ReLU", "Dropout", "BatchNormalization", "Normalization", "Rescaling")


@dataclass(frozen=True)
class Layer:
    """output_shape: without the batch axis, None if the file does not tell it; weights: name -> shape."""

    name: str
    kind: str
    output_shape: Shape | None
    weights: dict[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.weights.values())


def layers(file: h5py.File) -> list[Layer]:
    """The layers of an open model.h5, in order. Raises InputError if its model_config is not Keras's."""
    try:
        nodes = json.loads(file.attrs["model_config"])["config"]["layers"]
        shapes: dict[str, Shape] = {}
        for node in nodes:
            _collect(node.get("inbound_nodes"), shapes)
        return [_layer(node, shapes, file["model_weights"]) for node in nodes]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{file.filename}: its model_config is not one of Keras ({error}).") from None


def _collect(node: Any, shapes: dict[str, Shape]) -> None:
    """Adds the output shape of every layer that a later one takes as input: it stands in the later one's call."""
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        tensor = node["config"]
        shapes[tensor["keras_history"][0]] = tuple(tensor["shape"][1:])
    elif isinstance(node, dict | list):
        for item in node.values() if isinstance(node, dict) else node:
            _collect(item, shapes)


def _layer(node: dict[str, Any], shapes: dict[str, Shape], groups: h5py.Group) -> Layer:
    config = node["config"]
    name = str(config["name"])
    inside = hdf5.objects(groups[name]) if name in groups else ()
    weights = {path.removeprefix(f"{name}/"): item.shape for path, item in inside if isinstance(item, h5py.Dataset)}
    return Layer(name, str(node["class_name"]), shapes.get(name) or _last_shape(node), weights)


def _last_shape(node: dict[str, Any]) -> Shape | None:
    """The output shape of a layer that no other takes as input."""
    kind, config = node["class_name"], node["config"]
    if kind == "InputLayer":
        return tuple(config["batch_shape"][1:])
    inputs: dict[str, Shape] = {}
    _collect(node.get("inbound_nodes"), inputs)
    if len(inputs) != 1:
        return None
    (shape,) = inputs.values()
    if kind == "Dense":
        return (*shape[:-1], config["units"])
    return shape if kind in SHAPE_KEEPING else None
