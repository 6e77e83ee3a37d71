"""The convolutional network."""

import keras

from pipeline.errors import InputError, one_of
from pipeline.models.layers import Norm, activation_layer, weight_penalty

POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
COLLAPSES = {"global_average": keras.layers.GlobalAveragePooling2D, "flatten": keras.layers.Flatten}


def cnn(
    inputs: keras.KerasTensor,
    n_logits: int,
    *,
    filters: list[int],
    kernel_size: int,
    activation: str,
    norm_placement: str,
    norm_momentum: float,
    norm_epsilon: float,
    pooling: str,
    pool_size: int,
    collapse: str,
    dropout_rate: float,
    l2: float,
) -> keras.KerasTensor:
    """[batch, height, width, channels] -> logits [batch, n_logits].

    A block a number of `filters`: convolution (same padding), batch norm, activation, pooling. `collapse` then
    makes a vector of the feature maps: `global_average`, one number a map (Lin et al. 2014, section 3.2), or
    `flatten`, every pixel of every map.
    Raises InputError for inputs that are no images, or too small for so many poolings.
    """
    if len(inputs.shape) != 4:
        channel = "Store them with an axis of one channel, images[..., None]."
        hint = channel if len(inputs.shape) == 3 else "Use model=mlp."
        raise InputError(
            f"model=cnn needs images [height, width, channels]; an example here is {inputs.shape[1:]}. {hint}"
        )
    if pooling not in (*POOLINGS, "none"):
        raise one_of("model.pooling", pooling, (*POOLINGS, "none"))
    if collapse not in COLLAPSES:
        raise one_of("model.collapse", collapse, COLLAPSES)
    x, norm = inputs, Norm(norm_placement, norm_momentum, norm_epsilon)
    common = {"padding": "same", "use_bias": norm.leaves_bias}
    for n_filters in filters:
        x = keras.layers.Conv2D(n_filters, kernel_size, **common, kernel_regularizer=weight_penalty(l2))(x)
        x = norm.around(activation_layer(activation), x)
        if pooling != "none":
            if min(x.shape[1:3]) < pool_size:
                raise InputError(
                    f"model.filters={filters}: {len(filters)} poolings of {pool_size} are too many for images of "
                    f"{inputs.shape[1]} x {inputs.shape[2]}. Use fewer, or model.pooling=none."
                )
            x = POOLINGS[pooling](pool_size)(x)
    x = COLLAPSES[collapse]()(x)
    x = keras.layers.Dropout(dropout_rate)(x) if dropout_rate else x
    return keras.layers.Dense(n_logits, name="logits")(x)
