"""A Keras HDF5 model as its file tells of it, without TensorFlow."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py

from pipeline import hdf5_contents
from pipeline.cli.views.text import Shape, in_words, print_fact, show, size
from pipeline.errors import InputError
from pipeline.layout import counted
from pipeline.saving import model_attributes

# Layers whose output has the shape of their input, for the end of a model, where no other layer tells it.
SHAPE_KEEPING = ("Softmax", "Activation", "ReLU", "Dropout", "BatchNormalization", "Normalization", "Rescaling")
# What a reader wants first; the rest follows by name.
ORDER = ("created", "epoch", "metrics", "class_names", "input_shape", "input_dtype", "data_fingerprint")


@dataclass(frozen=True)
class Layer:
    name: str
    class_: str
    output_shape: Shape | None  # without the batch axis; None if the file does not tell it
    weights: Mapping[str, tuple[int, ...]]  # name -> shape
    parameters: int


@dataclass(frozen=True)
class ModelFile:
    kind: ClassVar = "model"

    description: Mapping[str, Any]  # what the file says of the model
    layers: list[Layer]
    parameters: int

    @classmethod
    def of(cls, file: h5py.File) -> "ModelFile":
        """What an open model.h5 holds. Raises InputError if its model_config is not Keras's."""
        try:
            nodes = json.loads(file.attrs["model_config"])["config"]["layers"]
            shapes: dict[str, Shape] = {}
            for node in nodes:
                _collect(node.get("inbound_nodes"), shapes)
            layers = [_layer(node, shapes, file["model_weights"]) for node in nodes]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"{file.filename}: its model_config is not one of Keras ({error}).") from None
        return cls(model_attributes(Path(file.filename)), layers, sum(layer.parameters for layer in layers))

    def show(self) -> None:
        rank = {key: (i, "") for i, key in enumerate(ORDER)}
        for key in sorted(self.description, key=lambda key: rank.get(key, (len(ORDER), key))):
            value = self.description[key]
            if key not in ("caviar_config", "table_encoding"):  # the columns are in data_attributes, for a person
                text = size(value) if key == "input_shape" and isinstance(value, list) else in_words(value)
                print_fact("best epoch" if key == "epoch" else key.replace("_", " "), text)
        config = self.description.get("caviar_config")
        if isinstance(config, dict):
            import yaml

            # Search ranges belong to the sweep; --json shows them too.
            groups = {key: _without_search(value) for key, value in config.items()}
            print("\nconfig")
            for line in yaml.safe_dump(groups, sort_keys=False).splitlines():
                print(f"  {line}")
        print()
        rows = []
        for layer in self.layers:
            weights = ", ".join(f"{name} {size(shape)}" for name, shape in layer.weights.items())
            shape = "?" if layer.output_shape is None else size(layer.output_shape)
            rows.append((layer.name, layer.class_, shape, weights, f"{layer.parameters:,}"))
        title = f"{counted(len(rows), 'layer')}, {counted(self.parameters, 'parameter')}"
        show(("layer", "class", "output", "weights", "parameters"), rows, title=title, words=4)


def _without_search(group: Any) -> Any:
    return {key: value for key, value in group.items() if key != "search"} if isinstance(group, dict) else group


def _collect(node: Any, shapes: dict[str, Shape]) -> None:
    """Adds the output shape of every layer that a later one takes as input: it stands in the later one's call."""
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        tensor = node["config"]
        shapes[tensor["keras_history"][0]] = tuple(tensor["shape"][1:])
    elif isinstance(node, dict | list):
        for item in node.values() if isinstance(node, dict) else node:
            _collect(item, shapes)


def _layer(node: dict[str, Any], shapes: dict[str, Shape], groups: h5py.Group) -> Layer:
    name = str(node["config"]["name"])
    inside = hdf5_contents.objects(groups[name]) if name in groups else ()
    weights = {path.removeprefix(f"{name}/"): item.shape for path, item in inside if isinstance(item, h5py.Dataset)}
    parameters = sum(math.prod(shape) for shape in weights.values())
    return Layer(name, str(node["class_name"]), shapes.get(name) or _last_shape(node), weights, parameters)


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
