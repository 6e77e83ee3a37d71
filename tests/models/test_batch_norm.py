"""Batch norm against the equations of Ioffe & Szegedy (2015): algorithm 1 in training, algorithm 2 at test time.

z: [m, units], a unit a column: mu = mean(z), sigma2 = mean((z - mu)^2), z_norm = (z - mu) / sqrt(sigma2 + epsilon),
z_tilde = gamma z_norm + beta.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.sources import load_splits
from pipeline.models.cnn import cnn
from pipeline.models.layers import Norm, activation_layer, dense_block
from pipeline.models.mlp import mlp
from pipeline.saving import load_model, save_model
from pipeline.training.trial import build_model
from tests.conftest import composed

EPSILON, MOMENTUM = 0.01, 0.8
M, N, UNITS = 32, 5, 7
SETTINGS = {"activation": "relu", "norm_momentum": MOMENTUM, "norm_epsilon": EPSILON, "dropout_rate": 0.0, "l2": 0.0}


def z_tilde(z, gamma, beta, mu=None, sigma2=None):
    """The equations, in float64. Axes but the last are examples (and places of an image)."""
    axes = tuple(range(z.ndim - 1))
    mu = z.mean(axes) if mu is None else mu
    sigma2 = ((z - mu) ** 2).mean(axes) if sigma2 is None else sigma2
    return gamma * (z - mu) / np.sqrt(sigma2 + EPSILON) + beta


def block(norm_placement="before_activation", dropout_rate=0.0, activation="tanh"):
    inputs = keras.Input((N,))
    norm = Norm(norm_placement, MOMENTUM, EPSILON)
    outputs = dense_block(inputs, UNITS, activation=activation, norm=norm, dropout_rate=dropout_rate)
    return keras.Model(inputs, outputs)


def norm_of(model):
    return next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))


@pytest.fixture
def batch():
    return np.random.default_rng(0).normal(2.0, 3.0, (M, N)).astype(np.float32)


@pytest.fixture
def numbers():
    """W [N, UNITS], gamma and beta [UNITS]."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(N, UNITS)), rng.uniform(0.5, 2, UNITS), rng.normal(size=UNITS)


def test_training_before_the_activation(batch, numbers):
    w, gamma, beta = numbers
    model = block()
    model.set_weights([w, gamma, beta, np.zeros(UNITS), np.ones(UNITS)])
    expected = np.tanh(z_tilde(batch.astype(float) @ w, gamma, beta))
    np.testing.assert_allclose(model(batch, training=True), expected, rtol=1e-4, atol=1e-5)


def test_training_after_the_activation(batch, numbers):
    w, gamma, beta = numbers
    bias = np.linspace(-1, 1, UNITS)
    model = block("after_activation")
    model.set_weights([w, bias, gamma, beta, np.zeros(UNITS), np.ones(UNITS)])
    expected = z_tilde(np.tanh(batch.astype(float) @ w + bias), gamma, beta)
    np.testing.assert_allclose(model(batch, training=True), expected, rtol=1e-4, atol=1e-5)


def test_training_of_a_convolution_is_over_examples_and_places():
    """Section 3.2: one gamma and one beta a feature map."""
    inputs = keras.Input((4, 6, 3))
    norm = Norm("before_activation", MOMENTUM, EPSILON)
    model = keras.Model(inputs, norm.around(activation_layer("linear"), inputs))
    images = np.random.default_rng(0).normal(1.0, 2.0, (8, 4, 6, 3)).astype(np.float32)
    gamma, beta = np.array([0.5, 1.0, 2.0]), np.array([0.0, 1.0, -1.0])
    model.set_weights([gamma, beta, np.zeros(3), np.ones(3)])
    expected = z_tilde(images.astype(float), gamma, beta)
    np.testing.assert_allclose(model(images, training=True), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 10])
def test_running_averages_after_k_batches(k, numbers):
    """Exponentially weighted over batches, beginning with mean 0 and variance 1: what test time uses."""
    w, gamma, beta = numbers
    model = block()
    model.set_weights([w, gamma, beta, np.zeros(UNITS), np.ones(UNITS)])
    rng = np.random.default_rng(2)
    mean, variance = np.zeros(UNITS), np.ones(UNITS)
    for _ in range(k):
        batch = rng.normal(1.0, 2.0, (M, N)).astype(np.float32)
        model(batch, training=True)
        z = batch.astype(float) @ w
        mean = MOMENTUM * mean + (1 - MOMENTUM) * z.mean(0)
        variance = MOMENTUM * variance + (1 - MOMENTUM) * z.var(0)
    norm = norm_of(model)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-4)
    expected = np.tanh(z_tilde(batch.astype(float) @ w, gamma, beta, mean, variance))
    np.testing.assert_allclose(model(batch, training=False), expected, rtol=1e-4, atol=1e-5)


def test_predicting_leaves_the_running_averages_alone(batch):
    model = block()
    before = model.get_weights()
    model(batch, training=False)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_it_is_the_identity_for_gamma_sigma_and_beta_mu(batch, numbers):
    """Section 3: gamma = sqrt(sigma2 + epsilon), beta = mu give z back, so that nothing that could be computed
    without batch norm is lost."""
    z = batch.astype(float) @ numbers[0]
    model = block(activation="linear")
    model.set_weights([numbers[0], np.sqrt(z.var(0) + EPSILON), z.mean(0), np.zeros(UNITS), np.ones(UNITS)])
    np.testing.assert_allclose(model(batch, training=True), z, rtol=1e-4, atol=1e-4)


def test_a_bias_left_in_would_learn_nothing(batch):
    """Section 3.2: subtracting the mean cancels it, and beta does its work. So the layers here have none."""
    inputs = keras.Input((N,))
    dense = keras.layers.Dense(UNITS, bias_initializer="random_normal")
    norm = keras.layers.BatchNormalization(epsilon=EPSILON)
    model = keras.Model(inputs, keras.layers.Activation("tanh")(norm(dense(inputs))))
    weighting = np.random.default_rng(3).normal(size=(M, UNITS)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(batch, training=True) * weighting)
    gradients = dict(
        zip(("kernel", "bias", "gamma", "beta"), tape.gradient(loss, model.trainable_weights), strict=True)
    )
    scale = {name: float(tf.reduce_max(tf.abs(gradient))) for name, gradient in gradients.items()}
    assert scale["bias"] < 1e-5 * scale["beta"]
    assert scale["kernel"] > 1e-3 * scale["beta"]


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (
            lambda placement: mlp(
                keras.Input((4,)), 3, hidden_units=6, hidden_layers=2, **SETTINGS, norm_placement=placement
            ),
            "Dense",
        ),
        (
            lambda placement: cnn(
                keras.Input((8, 8, 1)),
                3,
                filters=[4, 6],
                kernel_size=3,
                pooling="max",
                pool_size=2,
                collapse="flatten",
                **SETTINGS,
                norm_placement=placement,
            ),
            "Conv2D",
        ),
    ],
    ids=["mlp", "cnn"],
)
@pytest.mark.parametrize(
    ("placement", "bias"), [("before_activation", False), ("after_activation", True), ("none", True)]
)
def test_only_the_layer_right_before_batch_norm_has_no_bias(make, layer, placement, bias):
    outputs = make(placement)
    operations = _layers(outputs)
    hidden = [one for one in operations if type(one).__name__ == layer and one.name != "logits"]
    assert [one.use_bias for one in hidden] == [bias] * 2
    norms = [one for one in operations if isinstance(one, keras.layers.BatchNormalization)]
    learned = [[tuple(v.shape) for v in norm.trainable_variables] for norm in norms]
    widths = (6, 6) if layer == "Dense" else (4, 6)
    assert learned == ([] if placement == "none" else [[(w,)] * 2 for w in widths])  # gamma and beta, one a unit


def _layers(outputs):
    """The layers that lead to a tensor, in the order of their making."""
    computed, todo = [], [outputs]
    while todo:
        operation = todo.pop()._keras_history.operation
        if operation not in computed:
            computed.append(operation)
            todo += [t for node in operation._inbound_nodes for t in node.input_tensors]
    return computed[::-1]


@pytest.mark.parametrize("dropout_rate", [0.0, 0.5])
@pytest.mark.parametrize("placement", ["before_activation", "after_activation"])
def test_one_example_predicts_the_same_alone_in_a_batch_and_from_the_file(batch, placement, dropout_rate, tmp_path):
    """Test time does not look at the batch."""
    keras.utils.set_random_seed(0)
    model = block(placement, dropout_rate)
    for _ in range(3):
        model(batch, training=True)
    together = np.array(model(batch, training=False))
    save_model(model, tmp_path / "model.h5", {}, batch)
    loaded = load_model(tmp_path / "model.h5")
    for i in (0, M - 1):
        np.testing.assert_allclose(model(batch[i : i + 1], training=False)[0], together[i], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(loaded(batch[i : i + 1])[0], together[i], rtol=1e-6, atol=1e-6)


def test_dropout_stands_behind_batch_norm_and_leaves_its_statistics_alone(batch):
    """In a block dropout comes last, so that the statistics are those of all units."""
    keras.utils.set_random_seed(0)
    dropped, whole = block(dropout_rate=0.5), block()
    whole.set_weights(dropped.get_weights()[:5])
    a, b = np.array(dropped(batch, training=True)), np.array(whole(batch, training=True))
    np.testing.assert_allclose(norm_of(dropped).moving_mean, norm_of(whole).moving_mean, rtol=1e-6)
    kept = a != 0
    assert 0.3 < kept.mean() < 0.7
    np.testing.assert_allclose(a[kept], 2 * b[kept], rtol=1e-5)


def test_gamma_and_beta_are_learned_by_the_gradients_of_the_equations(batch, numbers):
    """Section 3: dJ/dgamma = sum(g z_norm) and dJ/dbeta = sum(g) over examples, for g = dJ/dz_tilde. The running
    averages are not learned."""
    w, gamma, beta = numbers
    model = block(activation="linear")
    model.set_weights([w, gamma, beta, np.zeros(UNITS), np.ones(UNITS)])
    g = np.random.default_rng(3).normal(size=(M, UNITS)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(batch, training=True) * g)
    norm = norm_of(model)
    of_gamma, of_beta = tape.gradient(loss, [norm.gamma.value, norm.beta.value])
    z_norm = z_tilde(batch.astype(float) @ w, 1, 0)
    np.testing.assert_allclose(of_gamma, (g * z_norm).sum(0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(of_beta, g.sum(0), rtol=1e-4, atol=1e-4)
    assert [v.name for v in norm.trainable_variables] == ["gamma", "beta"]
    assert [v.name for v in norm.non_trainable_variables] == ["moving_mean", "moving_variance"]


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_config_says_placement_epsilon_and_momentum_and_the_default_is_before_the_activation(model):
    words = [f"model={model}", "model.norm_epsilon=0.25", "model.norm_momentum=0.5"]
    config = composed(*words).config
    other = composed(*words, "model.norm_placement=after_activation").config
    splits = load_splits(config)
    kinds = {
        name: [type(layer).__name__ for layer in build_model(one, splits).layers]
        for name, one in (("before", config), ("after", other))
    }
    assert [build_model(config, splits).get_layer(f"batch_normalization{n}").epsilon for n in ("", "_1")] == [0.25] * 2
    assert norm_of(build_model(config, splits)).momentum == 0.5
    first = {name: kinds[name].index("BatchNormalization") for name in kinds}
    assert kinds["before"][first["before"] + 1] == "Activation"
    assert kinds["after"][first["after"] - 1] == "Activation"
