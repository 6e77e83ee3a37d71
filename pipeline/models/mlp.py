"""The multilayer perceptron."""

import keras

from pipeline.models.layers import Norm, dense_block


def mlp(
    inputs: keras.KerasTensor,
    n_logits: int,
    *,
    hidden_units: int | list[int],
    hidden_layers: int,
    activation: str,
    norm_placement: str,
    norm_momentum: float,
    norm_epsilon: float,
    dropout_rate: float,
    l2: float = 0.0,
) -> keras.KerasTensor:
    """[batch, *input_shape] -> logits [batch, n_logits].

    hidden_units: one width for all `hidden_layers` layers, or a width a layer; a list says the depth itself.
    l2: penalty on the kernels of the hidden layers.
    """
    widths = hidden_units if isinstance(hidden_units, list) else [hidden_units] * hidden_layers
    x = keras.layers.Flatten()(inputs) if len(inputs.shape) > 2 else inputs
    norm = Norm(norm_placement, norm_momentum, norm_epsilon)
    for units in widths:
        x = dense_block(x, units, activation=activation, norm=norm, dropout_rate=dropout_rate, l2=l2)
    return keras.layers.Dense(n_logits, name="logits")(x)
