import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.models.layers import Norm, activation_layer, dense_block, normalized
from pipeline.models.softmax_regression import softmax_regression
from tests.conftest import head


def block(norm_placement="before_activation", activation="relu", dropout_rate=0.0):
    inputs, norm = keras.Input((5,)), Norm(norm_placement, 0.8, 0.01)
    outputs = dense_block(inputs, 7, activation=activation, norm=norm, dropout_rate=dropout_rate)
    return keras.Model(inputs, outputs)


def kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


@pytest.mark.parametrize(
    ("norm_placement", "dropout_rate", "layers", "bias"),
    [
        ("none", 0.0, ["Dense", "Activation"], True),
        ("before_activation", 0.0, ["Dense", "BatchNormalization", "Activation"], False),
        ("after_activation", 0.0, ["Dense", "Activation", "BatchNormalization"], True),
        ("none", 0.5, ["Dense", "Activation", "Dropout"], True),
        ("before_activation", 0.5, ["Dense", "BatchNormalization", "Activation", "Dropout"], False),
        ("after_activation", 0.5, ["Dense", "Activation", "BatchNormalization", "Dropout"], True),
    ],
)
def test_dense_block(norm_placement, dropout_rate, layers, bias):
    model = block(norm_placement=norm_placement, dropout_rate=dropout_rate)
    assert kinds(model) == layers
    dense = model.layers[1]
    assert (dense.units, dense.use_bias) == (7, bias)
    assert model.output.shape == (None, 7)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.8, 0.01)
            assert layer.center and layer.scale
        if isinstance(layer, keras.layers.Dropout):
            assert layer.rate == dropout_rate
        if isinstance(layer, keras.layers.Activation):
            assert layer.activation is keras.activations.relu


def test_before_activation_computes_the_formula_of_the_paper():
    """Ioffe & Szegedy 2015: a = g(gamma (z - mean) / sqrt(variance + epsilon) + beta), z = W x without a bias."""
    model = block()
    rng = np.random.default_rng(0)
    w, gamma, beta, mean, variance = (rng.uniform(0.5, 1.5, shape) for shape in ((5, 7), 7, 7, 7, 7))
    model.set_weights([w, gamma, beta, mean, variance])
    x = rng.normal(size=(6, 5)).astype(np.float32)

    def formula(mean, variance):
        return np.maximum(0, gamma * (x @ w - mean) / np.sqrt(variance + 0.01) + beta)

    np.testing.assert_allclose(model(x, training=False), formula(mean, variance), rtol=1e-4, atol=1e-5)
    z = x @ w
    np.testing.assert_allclose(model(x, training=True), formula(z.mean(0), z.var(0)), rtol=1e-3, atol=1e-4)
    # and the running statistics took an exponentially weighted step towards the batch's
    np.testing.assert_allclose(model.get_weights()[3], 0.8 * mean + 0.2 * z.mean(0), rtol=1e-4)
    np.testing.assert_allclose(model.get_weights()[4], 0.8 * variance + 0.2 * z.var(0), rtol=1e-4)


def test_an_example_predicts_the_same_alone_as_in_a_batch():
    model = block()
    x = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    model(x, training=True)
    together = np.asarray(model(x, training=False))
    alone = np.concatenate([np.asarray(model(x[i : i + 1], training=False)) for i in range(8)])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("rleu", "Did you mean 'relu'?"),
        ("sofmax", "Did you mean 'softmax'?"),
        ("zebra", "zebra is not known. Allowed: "),
    ],
)
def test_an_unknown_activation_is_refused(name, suggestion):
    with pytest.raises(InputError, match=f"model.activation={name} is not known") as raised:
        activation_layer(name)
    assert suggestion in str(raised.value)
    allowed = str(raised.value).split("Allowed: ")[1]
    assert "relu" in allowed and "tanh" in allowed and "deserialize" not in allowed
    with pytest.raises(InputError, match="is not known"):
        block(activation=name)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu", "elu", "linear"])
def test_a_known_activation_is_that_of_keras(name):
    x = np.linspace(-3, 3, 13, dtype=np.float32)
    np.testing.assert_array_equal(activation_layer(name)(x), getattr(keras.activations, name)(x))


def test_an_unknown_norm_placement_is_refused():
    with pytest.raises(InputError) as raised:
        block(norm_placement="before_activaton")
    assert str(raised.value) == (
        "model.norm_placement=before_activaton is not known. Allowed: none, before_activation, after_activation. "
        "Did you mean 'before_activation'?"
    )


@pytest.mark.parametrize("shape", [(3,), (4, 5, 3)])
def test_normalized_is_over_the_last_axis(shape):
    mean, variance = np.float32([1, -2, 300]), np.float32([4, 0.25, 1e4])
    inputs = keras.Input(shape)
    model = keras.Model(inputs, normalized(inputs, mean, variance))
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32) * 100
    np.testing.assert_allclose(model(x), (x - mean) / np.sqrt(variance), rtol=1e-5, atol=1e-5)
    assert model.trainable_variables == []
    np.testing.assert_array_equal(model.get_weights()[0].ravel(), mean)  # a weight, so it is saved with the model


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(("name", "n_classes"), [("softmax", 3), ("softmax", 2), ("sigmoid", 2)])
@pytest.mark.parametrize("shape", [(4,), (2, 3, 2)])
def test_softmax_regression_on_raw_inputs_is_the_numpy_formula(name, n_classes, shape):
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(50, 10, shape[-1]), rng.uniform(1, 100, shape[-1])
    inputs = keras.Input(shape)
    x = normalized(inputs, mean.astype(np.float32), variance.astype(np.float32))
    model = keras.Model(inputs, softmax_regression(x, head(name).n_outputs(n_classes)))
    n_outputs = head(name).n_outputs(n_classes)
    w, b = rng.normal(size=(np.prod(shape), n_outputs)), rng.normal(size=n_outputs)
    model.get_layer("logits").set_weights([w, b])
    raw = rng.normal(50, 30, (20, *shape)).astype(np.float32)

    z = ((raw - mean) / np.sqrt(variance)).reshape(20, -1) @ w + b
    np.testing.assert_allclose(model(raw), z, rtol=1e-4, atol=1e-4)
    probabilities = softmax(z) if name == "softmax" else 1 / (1 + np.exp(-z))
    use = head(name).for_use(model)
    np.testing.assert_allclose(use(raw), probabilities, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(use.predict(raw, verbose=0), probabilities, rtol=1e-3, atol=1e-6)


def test_softmax_of_two_logits_is_the_sigmoid_of_their_difference():
    z = keras.Input((2,))
    two = head("softmax").for_use(keras.Model(z, z))
    d = keras.Input((1,))
    one = head("sigmoid").for_use(keras.Model(d, d))
    logits = np.random.default_rng(0).normal(0, 5, (50, 2)).astype(np.float32)
    np.testing.assert_allclose(two(logits)[:, 1], one(logits[:, 1:] - logits[:, :1])[:, 0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float32"])
def test_probabilities_are_float32_and_sum_to_one_in_any_precision(name, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input((5,))
        logits = keras.layers.Dense(head(name).n_outputs(2))(inputs)
        model = head(name).for_use(keras.Model(inputs, logits))
    finally:
        keras.config.set_dtype_policy(before)
    probabilities = np.asarray(model(np.random.default_rng(0).normal(0, 9, (50, 5)).astype(np.float32)))
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0 and probabilities.max() <= 1
    if name == "softmax":
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("scale", [1, 100, 1e4])
def test_probabilities_of_any_number_of_classes_sum_to_one(n_classes, scale):
    z = keras.Input((n_classes,))
    logits = np.random.default_rng(0).uniform(-scale, scale, (20, n_classes)).astype(np.float32)
    computed = np.asarray(head("softmax").for_use(keras.Model(z, z))(logits))
    np.testing.assert_allclose(computed.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(computed, softmax(logits.astype(float)), rtol=2e-3, atol=1e-6)


ENORMOUS = [
    ("softmax", [1e4, -1e4, 0], [1, 0, 0]),
    ("softmax", [1e4, 1e4, -1e4], [0.5, 0.5, 0]),
    ("softmax", [-1e4, -1e4, -1e4, -1e4], [0.25] * 4),
    ("softmax", [1e4, 1e4 - np.log(3)], [0.75, 0.25]),
    ("sigmoid", [1e4], [1]),
    ("sigmoid", [-1e4], [0]),
]


@pytest.mark.parametrize(("name", "logits", "probabilities"), ENORMOUS)
def test_probabilities_of_enormous_logits_are_finite_and_exact(name, logits, probabilities):
    z = keras.Input((len(logits),))
    computed = head(name).for_use(keras.Model(z, z))(np.float32([logits]))
    np.testing.assert_allclose(computed, [probabilities], rtol=2e-4)  # float32 has 1e4 to 0.001
