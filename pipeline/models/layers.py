"""Building blocks: the hidden block with its batch norm placement, and input normalisation."""

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


def weight_penalty(l2: float) -> keras.regularizers.Regularizer | None:
    """l2 * sum(w ** 2) of a layer's kernel, added to the loss (Goodfellow et al. 2016, section 7.1.1)."""
    return keras.regularizers.L2(l2) if l2 else None


def with_bias(norm_placement: str) -> bool:
    """Whether the layer in front of a normed activation has a bias: batch norm's beta would do the same right
    behind it. Raises InputError for an unknown placement."""
    if norm_placement not in NORM_PLACEMENTS:
        raise one_of("model.norm_placement", norm_placement, NORM_PLACEMENTS)
    return norm_placement != "before_activation"


def normed_activation(
    x: keras.KerasTensor, *, activation_name: str, norm_placement: str, norm_momentum: float, norm_epsilon: float
) -> keras.KerasTensor:
    """Batch norm and activation in the order that `norm_placement` says; the last axis is that of the units.

    norm_placement: `before_activation` normalises the pre-activation z (Ioffe & Szegedy 2015, section 3.2);
    `after_activation` normalises a = g(z); `none` leaves batch norm out.
    """

    def norm(tensor: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.BatchNormalization(momentum=norm_momentum, epsilon=norm_epsilon)(tensor)

    x = norm(x) if norm_placement == "before_activation" else x
    x = activation(activation_name)(x)
    return norm(x) if norm_placement == "after_activation" else x


def dense_block(
    x: keras.KerasTensor,
    units: int,
    *,
    activation_name: str,
    norm_placement: str,
    norm_momentum: float,
    norm_epsilon: float,
    dropout_rate: float,
    l2: float = 0.0,
) -> keras.KerasTensor:
    """Dense, batch norm, activation, dropout: [batch, n] -> [batch, units]."""
    x = keras.layers.Dense(units, use_bias=with_bias(norm_placement), kernel_regularizer=weight_penalty(l2))(x)
    x = normed_activation(
        x,
        activation_name=activation_name,
        norm_placement=norm_placement,
        norm_momentum=norm_momentum,
        norm_epsilon=norm_epsilon,
    )
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
