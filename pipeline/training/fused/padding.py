"""Whether a model whose layers are widened by zeros is still the same model, so that trials of other widths fuse."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Layers that multiply by weights, and the setting that says how wide they are; a new one is a line here.
WIDTHS = {"Dense": "units", "Conv2D": "filters"}
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


@dataclass(frozen=True)
class LayerConfig:
    """A layer of a functional model, as the model's config tells it."""

    name: str
    kind: str
    settings: Mapping[str, Any]  # its own config
    inputs: frozenset[str]  # names of the layers that its inputs come from
    flat: bool  # whether its input is [batch, n]

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> "LayerConfig":
        shape = node.get("build_config", {}).get("input_shape") or ()
        inputs = frozenset(_sources(node.get("inbound_nodes", [])))
        return cls(node["name"], kind_of(node), node["config"], inputs, len(shape) == 2)


def kind_of(node: Any) -> str:
    """The class of Keras that a config's node is of; one from elsewhere may have the same name."""
    module, name = str(node.get("module")), str(node.get("class_name"))
    return name if module.split(".")[0] == "keras" else f"{module}.{name}"


def unpadded_reason(config: Mapping[str, Any]) -> str | None:
    """Why a model whose layers were widened by zeros would not be the same model; None if it would. config: the
    model's.

    Padded units stay zero in front of weights that are zero and whose gradients are masked. That holds as long as
    only layers that treat each unit by itself lie between two that multiply by weights.
    """
    padded: set[str] = set()
    layers = [LayerConfig.of(node) for node in config["layers"]]
    for layer in layers:
        what, settings = f"layer {layer.name} ({layer.kind})", layer.settings
        if "layers" in settings or "layer" in settings:
            return f"{what} has layers of its own"
        elsewhere = layer.kind == "BatchNormalization" and settings.get("axis") != -1
        if elsewhere or settings.get("data_format") == "channels_first":
            return f"{what} has its units on another axis than the last"
        if settings.get("activity_regularizer"):
            return f"{what} has a penalty on its units"
        if layer.kind in WIDTHS:
            if settings.get("groups", 1) != 1 or not _sums(settings.get("kernel_regularizer")):
                return f"{what} has groups, or a penalty that mixes its units"
            if layer is layers[-1]:
                continue
        elif not layer.inputs & padded:
            continue
        # A Flatten behind feature maps deals out the padded channels among the others.
        elif not (layer.kind in UNITWISE or (layer.kind == "Flatten" and layer.flat)):
            return f"{what} mixes the units of a layer"
        padded.add(layer.name)
        activation = settings.get("activation")
        activation = activation.get("config") if isinstance(activation, dict) else activation
        named = isinstance(activation, str) and activation in UNITWISE_ACTIVATIONS
        if activation is not None and not named:
            return f"layer {layer.name} has the activation {activation}, which mixes the units of a layer, or may do so"
    return None


def _sums(regularizer: Any) -> bool:
    """Whether a penalty is a sum over weights, to which zeros add nothing."""
    return not regularizer or kind_of(regularizer) in ("L1", "L2", "L1L2")


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
