"""Building blocks: the hidden block with its batch norm placement, input normalisation and the head."""

import keras
import numpy as np

from pipeline.errors import one_of

NORM_PLACEMENTS = ("none", "before_activation", "after_activation")


def activation(name: str) -> keras.layers.Layer:
    """A Keras activation by name. Raises InputError with the nearest name."""
    try:
        return keras.layers.Activation(name)
    except ValueError:
        names = [
            n for n in dir(keras.activations) if not n.startswith("_") and n not in ("get", "serialize", "deserialize")
        ]
        raise one_of("model.activation", name, names) from None


def dense_block(
    x: keras.KerasTensor,
    units: int,
    *,
    activation_name: str,
    norm_placement: str,
    norm_momentum: float,
    norm_epsilon: float,
    dropout_rate: float,
) -> keras.KerasTensor:
    """Dense, batch norm, activation, dropout: [batch, n] -> [batch, units].

    norm_placement: `before_activation` normalises the pre-activation z (Ioffe & Szegedy 2015, section 3.2). Its
    beta then does what the dense layer's bias would, so there is none. `after_activation` normalises a = g(z),
    where the bias still matters; `none` leaves batch norm out.
    """
    if norm_placement not in NORM_PLACEMENTS:
        raise one_of("model.norm_placement", norm_placement, NORM_PLACEMENTS)

    def norm(tensor: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.BatchNormalization(momentum=norm_momentum, epsilon=norm_epsilon)(tensor)

    x = keras.layers.Dense(units, use_bias=norm_placement != "before_activation")(x)
    if norm_placement == "before_activation":
        x = norm(x)
    x = activation(activation_name)(x)
    if norm_placement == "after_activation":
        x = norm(x)
    return keras.layers.Dropout(dropout_rate)(x) if dropout_rate else x


def normalized(inputs: keras.KerasTensor, mean: np.ndarray, variance: np.ndarray) -> keras.KerasTensor:
    """(inputs - mean) / sqrt(variance) over the last axis, with the statistics as weights, so that they are
    saved with the model however many features there are."""
    layer = keras.layers.Normalization(axis=-1)
    layer.build(inputs.shape)
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(variance)
    layer.finalize_state()
    return layer(inputs)


def with_probabilities(model: keras.Model, head: str) -> keras.Model:
    """The model for use: probabilities [batch, C] behind softmax logits, [batch, 1] (of class 1) behind sigmoid.

    In float32 whatever the precision of training, so that they sum to 1.
    """
    layer = keras.layers.Softmax if head == "softmax" else (lambda **kw: keras.layers.Activation("sigmoid", **kw))
    return keras.Model(model.input, layer(dtype="float32", name="probabilities")(model.output), name=model.name)
