import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.models.cnn import cnn
from tests.models.settings import CNN

SETTINGS = {**CNN, "filters": [4, 6], "norm_momentum": 0.8, "norm_epsilon": 0.01}


def build(shape=(9, 8, 1), **changes):
    inputs = keras.Input(shape)
    return keras.Model(inputs, cnn(inputs, 10, **{**SETTINGS, **changes}))


def kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


@pytest.mark.parametrize(
    ("norm_placement", "block", "bias"),
    [
        ("none", ["Conv2D", "Activation"], True),
        ("before_activation", ["Conv2D", "BatchNormalization", "Activation"], False),
        ("after_activation", ["Conv2D", "Activation", "BatchNormalization"], True),
    ],
)
@pytest.mark.parametrize(
    ("pooling", "pool"), [("max", ["MaxPooling2D"]), ("average", ["AveragePooling2D"]), ("none", [])]
)
@pytest.mark.parametrize(
    ("collapse", "layer"), [("global_average", "GlobalAveragePooling2D"), ("flatten", "Flatten")]
)  # fmt: skip
def test_every_combination(norm_placement, block, bias, pooling, pool, collapse, layer):
    model = build(norm_placement=norm_placement, pooling=pooling, collapse=collapse)
    assert kinds(model) == [*block, *pool, *block, *pool, layer, "Dense"]
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(c.filters, c.kernel_size, c.use_bias) for c in convolutions] == [(4, (3, 3), bias), (6, (3, 3), bias)]
    for norm in (layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)):
        assert (norm.momentum, norm.epsilon) == (0.8, 0.01)
    # Same padding keeps 9 x 8; a pooling leaves what is over: 4 x 4, then 2 x 2.
    pixels = 9 * 8 if pooling == "none" else 2 * 2
    assert model.layers[-1].kernel.shape == (6 if collapse == "global_average" else 6 * pixels, 10)
    assert model.layers[-1].name == "logits" and model.output.shape == (None, 10)
    assert model(np.zeros((3, 9, 8, 1), np.float32)).shape == (3, 10)


@pytest.mark.parametrize(
    ("changes", "shape", "logits_from"),
    [
        ({"filters": []}, (5, 5, 3), 3),
        ({"filters": [7]}, (5, 5, 3), 7),
        ({"filters": [7, 8, 9]}, (8, 8, 1), 9),
        ({"filters": [7], "kernel_size": 5, "collapse": "flatten"}, (8, 8, 1), 4 * 4 * 7),
        ({"filters": [7], "pool_size": 4, "collapse": "flatten"}, (8, 9, 1), 2 * 2 * 7),
    ],
)
def test_the_width_behind_the_collapse(changes, shape, logits_from):
    assert build(shape, **changes).layers[-1].kernel.shape == (logits_from, 10)


def test_dropout_is_of_the_vector_and_l2_of_every_kernel_but_the_logits():
    model = build(dropout_rate=0.3, l2=0.1)
    assert kinds(model)[-3:] == ["GlobalAveragePooling2D", "Dropout", "Dense"]
    assert model.layers[-2].rate == 0.3
    kernels = [layer.kernel.numpy() for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    model(np.zeros((1, 9, 8, 1), np.float32))
    assert sum(map(float, model.losses)) == pytest.approx(0.1 * sum((k**2).sum() for k in kernels), rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((4,), {}, r"model=cnn needs images \[height, width, channels\]; an example here is \(4,\)\. Use model=mlp"),
        ((8, 8), {}, r"model=cnn needs images .*\(8, 8\)\. Store them with an axis of one channel"),
        ((8, 8, 1), {"pooling": "maxx"}, "model.pooling=maxx is not known.*Did you mean 'max'"),
        ((8, 8, 1), {"collapse": "flaten"}, "model.collapse=flaten is not known.*Did you mean 'flatten'"),
        ((8, 8, 1), {"norm_placement": "before"}, "model.norm_placement=before is not known"),
        ((8, 8, 1), {"activation": "rleu"}, "model.activation=rleu is not known.*Did you mean 'relu'"),
        ((8, 8, 1), {"filters": [1] * 4}, r"model.filters=\[1, 1, 1, 1\]: 4 poolings of 2 are too many .* 8 x 8"),
        ((3, 8, 1), {"filters": [1], "pool_size": 4}, "1 poolings of 4 are too many for images of 3 x 8"),
    ],
)
def test_what_it_refuses(shape, changes, message):
    with pytest.raises(InputError, match=message):
        build(shape, **changes)


def test_as_many_poolings_as_fit_are_fine():
    assert build((8, 8, 1), filters=[1] * 3).output.shape == (None, 10)
    assert build((8, 8, 1), filters=[1] * 5, pooling="none").output.shape == (None, 10)
