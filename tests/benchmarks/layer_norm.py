"""A small model as a user may write it, of layers that are nowhere in Caviar's own."""

import keras


def layer_norm(inputs: keras.KerasTensor, n_logits: int, *, units: int) -> keras.KerasTensor:
    """Two dense layers, each with layer normalisation before its activation (Ba et al. 2016)."""
    x = keras.layers.Flatten()(inputs)
    for _ in range(2):
        x = keras.layers.LayerNormalization()(keras.layers.Dense(units)(x))
        x = keras.layers.Activation("relu")(x)
    return keras.layers.Dense(n_logits)(x)
