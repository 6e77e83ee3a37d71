import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.models.mlp import mlp
from tests.models.settings import MLP


def model(shape=(4,), n_logits=3, **changes):
    inputs = keras.Input(shape)
    return keras.Model(inputs, mlp(inputs, n_logits, **{**MLP, **changes}))


def dense(network):
    return [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]


@pytest.mark.parametrize(
    ("hidden_units", "hidden_layers", "widths"),
    [
        (6, 2, [6, 6]),
        (6, 1, [6]),
        (6, 0, []),
        (1, 3, [1, 1, 1]),
        ([8, 5], 2, [8, 5]),
        ([8, 5], 7, [8, 5]),  # a list says the depth itself
        ([8, 5, 4], 0, [8, 5, 4]),
        ([9], 2, [9]),
    ],
)
def test_widths(hidden_units, hidden_layers, widths):
    layers = dense(model(hidden_units=hidden_units, hidden_layers=hidden_layers))
    assert [layer.units for layer in layers] == [*widths, 3]
    assert layers[-1].name == "logits"


@pytest.mark.parametrize("n_logits", [1, 2, 10])
def test_the_head_is_one_linear_layer_of_logits(n_logits):
    network = model(n_logits=n_logits, dropout_rate=0.5, norm_placement="after_activation")
    assert network.output.shape == (None, n_logits)
    logits = network.layers[-1]
    assert logits.use_bias and logits.activation is keras.activations.linear


@pytest.mark.parametrize(("shape", "first"), [((4,), 4), ((8, 8, 1), 64), ((2, 3), 6)])
def test_inputs_of_any_shape_are_flattened(shape, first):
    network = model(shape=shape)
    assert dense(network)[0].kernel.shape == (first, 6)
    assert ("Flatten" in [type(layer).__name__ for layer in network.layers]) == (len(shape) > 1)
    assert network(np.zeros((5, *shape), np.float32)).shape == (5, 3)


@pytest.mark.parametrize(
    ("norm_placement", "dropout_rate", "block"),
    [
        ("none", 0.0, ["Dense", "Activation"]),
        ("before_activation", 0.0, ["Dense", "BatchNormalization", "Activation"]),
        ("after_activation", 0.2, ["Dense", "Activation", "BatchNormalization", "Dropout"]),
    ],
)
def test_every_hidden_layer_is_the_same_block(norm_placement, dropout_rate, block):
    network = model(hidden_layers=3, norm_placement=norm_placement, dropout_rate=dropout_rate)
    assert [type(layer).__name__ for layer in network.layers[1:]] == [*block * 3, "Dense"]
    assert [layer.use_bias for layer in dense(network)] == [norm_placement != "before_activation"] * 3 + [True]


@pytest.mark.parametrize(
    ("norm_placement", "parameters"),
    [
        ("none", (4 * 6 + 6) + (6 * 6 + 6) + (6 * 3 + 3)),
        ("before_activation", (4 * 6 + 4 * 6) + (6 * 6 + 4 * 6) + (6 * 3 + 3)),
        ("after_activation", (4 * 6 + 6 + 4 * 6) + (6 * 6 + 6 + 4 * 6) + (6 * 3 + 3)),
    ],
)
def test_parameters(norm_placement, parameters):
    assert model(norm_placement=norm_placement).count_params() == parameters


def test_predictions_are_the_numpy_formula():
    network = model(norm_placement="none", hidden_units=[8, 5], activation="tanh")
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
    w1, b1, w2, b2, w3, b3 = network.get_weights()
    x = rng.normal(size=(10, 4)).astype(np.float32)
    np.testing.assert_allclose(network(x), np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3, rtol=1e-4, atol=1e-4)


def test_without_hidden_layers_it_is_linear():
    network = model(hidden_layers=0)
    w, b = network.get_weights()
    x = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    np.testing.assert_allclose(network(x), x @ w + b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "rellu"}, "model.activation=rellu is not known"),
        ({"norm_placement": "befor_activation"}, "model.norm_placement=befor_activation is not known"),
    ],
)
def test_it_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        model(**changes)
