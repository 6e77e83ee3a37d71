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
WIDTHS = {"Dense": "units", "Conv2D": "filters"}
VARYING = {*WIDTHS.values()}.union(*NUMBERS.values())
# What leaves zero-padded units apart from the others: it computes on each unit by itself.
UNITWISE = {
    "Activation", "AveragePooling2D", "BatchNormalization", "Dropout", "ELU", "GlobalAveragePooling2D",
    "GlobalMaxPooling2D", "LeakyReLU", "MaxPooling2D", "PReLU", "ReLU",
}  # fmt: skip
# The same of activations. Left out of Keras' own are softmax, log_softmax, sparsemax and glu, which mix the units; and
# any that a user registers may do so, too.
UNITWISE_ACTIVATIONS = {
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink",
}  # fmt: skip


def leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
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


def structure(model: keras.Model, *, pad: bool) -> Structure:
    """The model's structure. pad: widths may differ within a cohort, if padding is exact for this architecture."""
    config = model.get_config()
    padded = unpadded_reason(config) is None if pad else False
    result = Structure()
    for path, value in leaves(config):
        inside = path[-1] in VARYING and len(path) > 2 and path[-2] == "config"
        owner = _kind(_at(config, path[:-2])) if inside else ""
        number = isinstance(value, float) and path[-1] in NUMBERS.get(owner, ())
        if number and getattr(_owner(model, named := _named(config, path)), str(path[-1]), None) == value:
            result.numbers[named] = value
        elif padded and len(path) == 4 and path[-1] == WIDTHS.get(owner) and path[:-2] != _last(config):
            result.widths[path] = value
        else:
            result.fixed[path] = value
    return result


def _at(config: Any, path: Path) -> Any:
    for key in path:
        config = config[key]
    return config


def _kind(node: dict[str, Any]) -> str:
    """The class of Keras that a config's node is of; one from elsewhere may have the same name."""
    module, name = str(node.get("module")), str(node.get("class_name"))
    return name if module.split(".")[0] == "keras" else f"{module}.{name}"


def _named(config: dict[str, Any], path: Path) -> Path:
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


def _last(config: dict[str, Any]) -> Path:
    return ("layers", len(config["layers"]) - 1)


def unpadded_reason(config: dict[str, Any]) -> str | None:
    """Why a model whose layers were widened by zeros would not be the same model; None if it would.

    Padded units stay zero in front of weights that are zero and whose gradients are masked. That holds as long as
    only layers that treat each unit by itself lie between two that multiply by weights.
    """
    padded: dict[str, bool] = {}
    for i, layer in enumerate(config["layers"]):
        name, kind, options = layer["name"], _kind(layer), layer["config"]
        inputs = [source for source in _sources(layer.get("inbound_nodes", [])) if padded.get(source)]
        last = i == len(config["layers"]) - 1
        if "layers" in options or "layer" in options:
            return f"layer {name} ({kind}) has layers of its own"
        elsewhere = kind == "BatchNormalization" and options.get("axis") != -1
        if elsewhere or options.get("data_format") == "channels_first":
            return f"layer {name} ({kind}) has its units on another axis than the last"
        if options.get("activity_regularizer"):
            return f"layer {name} ({kind}) has a penalty on its units"
        if kind in WIDTHS:
            padded[name] = not last
            if options.get("groups", 1) != 1 or not _sums(options.get("kernel_regularizer")):
                return f"layer {name} ({kind}) has groups, or a penalty that mixes its units"
        elif not inputs:
            padded[name] = False
        elif (kind == "Flatten" and not _images(config, name)) or kind in UNITWISE:
            padded[name] = True
        else:
            return f"layer {name} ({kind}) mixes the units of a layer"
        act = options.get("activation")
        act = act.get("config") if isinstance(act, dict) else act
        if padded[name] and act is not None and (not isinstance(act, str) or act not in UNITWISE_ACTIVATIONS):
            return f"layer {name} has the activation {act}, which mixes the units of a layer, or may do so"
    return None


def _sums(regularizer: Any) -> bool:
    """Whether a penalty is a sum over weights, to which zeros add nothing."""
    return not regularizer or _kind(regularizer) in ("L1", "L2", "L1L2")


def _images(config: dict[str, Any], name: str) -> bool:
    """Whether a Flatten stands behind feature maps: it then deals out the padded channels among the others."""
    layer = next(layer for layer in config["layers"] if layer["name"] == name)
    return len(layer.get("build_config", {}).get("input_shape") or ()) != 2


def _sources(node: Any) -> Iterator[str]:
    """The names of the layers that a layer's inputs come from."""
    if isinstance(node, dict):
        if "keras_history" in node:
            yield node["keras_history"][0]
        for value in node.values():
            yield from _sources(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _sources(value)


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
        node: Any = config
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = width
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
    before = []
    for path, value in values.items():
        owner, name = _owner(model, path), str(path[-1])
        before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)
