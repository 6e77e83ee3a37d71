"""Building blocks: the hidden block with its batch norm, and input normalisation."""

from dataclasses import dataclass

import keras
import numpy as np

from pipeline.errors import one_of

NORM_PLACEMENTS = ("none", "before_activation", "after_activation")


@dataclass(frozen=True)
class Norm:
    """The batch norm of a hidden block. Raises InputError for an unknown placement."""

    # `before_activation` normalises the pre-activation z (Ioffe & Szegedy 2015, section 3.2), `after_activation`
    # normalises a = g(z), `none` leaves batch norm out.
    placement: str
    momentum: float
    epsilon: float

    def __post_init__(self) -> None:
        if self.placement not in NORM_PLACEMENTS:
            raise one_of("model.norm_placement", self.placement, NORM_PLACEMENTS)

    @property
    def leaves_bias(self) -> bool:
        """Whether the layer in front of the block's activation has a bias: batch norm's beta would do the same right
        behind it."""
        return self.placement != "before_activation"

    def around(self, activation: keras.layers.Layer, x: keras.KerasTensor) -> keras.KerasTensor:
        """The activation of x, normalised where the placement says; the last axis is that of the units."""
        layers = [activation]
        if self.placement != "none":
            norm = keras.layers.BatchNormalization(momentum=self.momentum, epsilon=self.epsilon)
            layers.insert(0 if self.placement == "before_activation" else 1, norm)
        for layer in layers:
            x = layer(x)
        return x


def activation_layer(name: str) -> keras.layers.Layer:
    """A Keras activation by name. Raises InputError with the nearest name."""
    try:
        return keras.layers.Activation(name)
    except ValueError:
        hidden = ("get", "serialize", "deserialize")
        names = [n for n in dir(keras.activations) if not n.startswith("_") and n not in hidden]
        raise one_of("model.activation", name, names) from None


def weight_penalty(l2: float) -> keras.regularizers.Regularizer | None:
    """l2 * sum(w ** 2) of a layer's kernel, added to the loss (Goodfellow et al. 2016, section 7.1.1)."""
    return keras.regularizers.L2(l2) if l2 else None


def dense_block(
    x: keras.KerasTensor, units: int, *, activation: str, norm: Norm, dropout_rate: float, l2: float = 0.0
) -> keras.KerasTensor:
    """Dense, batch norm, activation, dropout: [batch, n] -> [batch, units]."""
    x = keras.layers.Dense(units, use_bias=norm.leaves_bias, kernel_regularizer=weight_penalty(l2))(x)
    x = norm.around(activation_layer(activation), x)
    return keras.layers.Dropout(dropout_rate)(x) if dropout_rate else x


def normalized(inputs: keras.KerasTensor, mean: np.ndarray, variance: np.ndarray) -> keras.KerasTensor:
    """(inputs - mean) / sqrt(variance) over the last axis, with the statistics as weights, so that they are
    saved with the model however many features there are. In float32 whatever the precision of training: in half of
    it 2000 and 2003 are one number.
    """
    layer = keras.layers.Normalization(axis=-1, dtype="float32")
    layer.build(inputs.shape)
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(variance)
    layer.finalize_state()
    return layer(inputs)
