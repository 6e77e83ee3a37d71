"""Softmax regression: the MLP without a hidden layer."""

import keras


def softmax_regression(inputs: keras.KerasTensor, n_logits: int) -> keras.KerasTensor:
    """[batch, *input_shape] -> logits [batch, n_logits], one linear map."""
    x = keras.layers.Flatten()(inputs) if len(inputs.shape) > 2 else inputs
    return keras.layers.Dense(n_logits, name="logits")(x)
