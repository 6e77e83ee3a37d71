"""A model that is nothing but a cost: a quadratic function of one weight."""

from keras import KerasTensor, layers

from pipeline.errors import InputError


def quadratic(inputs: KerasTensor, n_outputs: int) -> KerasTensor:
    """[batch, 3], rows (a, b, c) -> [batch, 1], J(W) = a W^2 + b W + c of one learned number W, which begins at 0.

    The example (0, 1, 0) asks a trained model for W itself. Raises InputError for inputs of another shape.
    """
    if tuple(inputs.shape[1:]) != (3,):
        raise InputError(
            f"model=quadratic needs examples (a, b, c), such as those of dataset=quadratic; "
            f"an example here is {inputs.shape[1:]}."
        )
    # Layers only, no operators: Keras can't read those back from HDF5.
    terms = layers.Reshape((3, 1))(inputs)
    a, b, c = (layers.Flatten(name=n)(layers.Cropping1D((i, 2 - i))(terms)) for i, n in enumerate("abc"))
    ones = layers.Rescaling(0.0, 1.0)(a)
    w = layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="W")(ones)
    # (a W + b) W + c: of the three terms' sum, rounding would make less than the minimum.
    slope = layers.Add()([layers.Multiply()([a, w]), b])
    return layers.Add(name="cost")([layers.Multiply()([slope, w]), c])
