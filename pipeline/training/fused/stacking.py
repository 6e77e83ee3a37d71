"""Which models can be stacked into one, and how: same layers, numbers that differ by trial, widths padded with zeros.

A model is judged by what its layers say of themselves (`get_config`), so that any architecture fuses without
further work.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.training.fused.padding import WIDTHS, kind_of, unpadded_reason

Path = tuple[str | int, ...]

# Numbers of a layer that its call uses as they are, so that a tensor will do; a new one is a line here.
NUMBERS = {
    "Dropout": {"rate"},
    "BatchNormalization": {"momentum", "epsilon"},
    "LayerNormalization": {"epsilon"},
    "LeakyReLU": {"negative_slope"},
    "L1": {"l1"},
    "L2": {"l2"},
    "L1L2": {"l1", "l2"},
}
VARYING = {*WIDTHS.values()}.union(*NUMBERS.values())


def leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """What a model's config says, each with its path: the values, and how long lists are."""
    if isinstance(node, dict):
        # Shapes follow from the widths; a seed of None is drawn anew for each layer.
        derived = {"build_config", "seed", "shared_object_id"} | ({"shape"} if "keras_history" in node else set())
        for key, value in node.items():
            if key not in derived:
                yield from leaves(value, (*path, key))
    elif isinstance(node, list | tuple):
        yield path, len(node)
        for i, value in enumerate(node):
            yield from leaves(value, (*path, i))
    else:
        yield path, node


@dataclass
class Structure:
    """A model as its config's leaves, split into what must be equal, numbers of layers and widths of layers.

    Paths of numbers have the names of layers where the config has their places.
    """

    fixed: dict[Path, Any] = field(default_factory=dict)
    numbers: dict[Path, float] = field(default_factory=dict)
    widths: dict[Path, int] = field(default_factory=dict)

    def key(self) -> str:
        """Equal for models whose cohort needs one graph: same layers, whichever numbers and widths."""
        on = {path: bool(value) for path, value in self.numbers.items()}
        return json.dumps([[str(k), v] for k, v in (*self.fixed.items(), *on.items())], default=str)


def structure(model: keras.Model) -> Structure:
    """The model's structure, in which widths may differ within a cohort if padding is exact for this architecture."""
    config = model.get_config()
    padded, last = unpadded_reason(config) is None, ("layers", len(config["layers"]) - 1)
    result = Structure()
    for path, value in leaves(config):
        inside = path[-1] in VARYING and len(path) > 2 and path[-2] == "config"
        owner = kind_of(_at(config, path[:-2])) if inside else ""
        number = isinstance(value, float) and path[-1] in NUMBERS.get(owner, ())
        if number and getattr(_owner(model, named := _named(config, path)), str(path[-1]), None) == value:
            result.numbers[named] = value
        elif padded and len(path) == 4 and path[-1] == WIDTHS.get(owner) and path[:-2] != last:
            result.widths[path] = value
        else:
            result.fixed[path] = value
    return result


def _at(config: Any, path: Path) -> Any:
    for key in path:
        config = config[key]
    return config


def _named(config: Any, path: Path) -> Path:
    """`path` with the names of layers instead of their places: the layers of a config are not those of its model, for
    a plain operation such as the sum in `x + h` is among them, and the input of a Sequential."""
    named: list[str | int] = []
    for i, key in enumerate(path):
        if i and path[i - 1] == "layers":
            layer = _at(config, path[: i + 1])
            if isinstance(layer, dict):  # a Sequential has the names in the layers' own configs only
                key = layer.get("name") or layer.get("config", {}).get("name", key)
        named.append(key)
    return tuple(named)


def _owner(model: keras.Model, named: Path) -> Any:
    """The layer, or the part of one, that a number belongs to; None if it is nowhere to be found in the model."""
    owner: Any = model
    try:
        for before, key in zip(("", *named), named[:-1]):
            if before == "layers":
                owner = owner.get_layer(key)
            elif key not in ("config", "layers"):
                owner = getattr(owner, str(key))
    except (AttributeError, ValueError):
        return None
    return owner


def common_widths(structures: Sequence[Structure]) -> dict[Path, int]:
    """The width of each layer that all of them fit into."""
    return {path: max(s.widths[path] for s in structures) for path in structures[0].widths}


def widest(model: keras.Model, structures: Sequence[Structure]) -> keras.Model:
    """`model` with each layer as wide as the widest of `structures`; itself if they are all alike."""
    widths = common_widths(structures)
    if widths == structures[0].widths:
        return model
    config = model.get_config()
    for path, width in widths.items():
        _at(config, path[:-1])[path[-1]] = width
    for layer in config["layers"]:
        layer.pop("build_config", None)
    return keras.Model.from_config(config)


def differing(structures: Sequence[Structure]) -> dict[Path, np.ndarray]:
    """The numbers that are not the same in all of them, as float32 [P] each."""
    columns = {path: [s.numbers[path] for s in structures] for path in structures[0].numbers}
    return {path: np.array(values, np.float32) for path, values in columns.items() if len(set(values)) > 1}


@contextlib.contextmanager
def assigned(model: keras.Model, values: dict[Path, tf.Tensor]) -> Iterator[None]:
    """Sets numbers of the model's layers, by their paths in a Structure, while a graph is traced."""
    with contextlib.ExitStack() as restoring:
        for path, value in values.items():
            owner, name = _owner(model, path), str(path[-1])
            restoring.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield
