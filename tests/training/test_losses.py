import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.training.losses import cross_entropy, predicted

RNG = np.random.default_rng(0)
SMOOTHINGS = [0.0, 0.1, 0.9]


@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_softmax_cross_entropy_is_that_of_keras(n_classes, label_smoothing):
    labels, logits = RNG.integers(0, n_classes, 50), RNG.normal(0, 4, (50, n_classes)).astype(np.float32)
    loss = cross_entropy(tf.constant(labels, tf.int32), tf.constant(logits), label_smoothing)
    reference = keras.losses.CategoricalCrossentropy(True, label_smoothing, reduction=None)
    np.testing.assert_allclose(loss, reference(np.eye(n_classes)[labels], logits), rtol=1e-5, atol=1e-6)
    if not label_smoothing:
        sparse = keras.losses.SparseCategoricalCrossentropy(True, reduction=None)
        np.testing.assert_allclose(loss, sparse(labels, logits), rtol=1e-5, atol=1e-6)
    assert loss.shape == (50,) and loss.dtype == tf.float32


@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_sigmoid_cross_entropy_is_that_of_keras(label_smoothing):
    labels, logits = RNG.integers(0, 2, 50), RNG.normal(0, 4, (50, 1)).astype(np.float32)
    loss = cross_entropy(tf.constant(labels, tf.int32), tf.constant(logits), label_smoothing)
    reference = keras.losses.BinaryCrossentropy(True, label_smoothing, reduction=None)
    np.testing.assert_allclose(loss, reference(labels[:, None], logits), rtol=1e-5, atol=1e-6)
    assert loss.shape == (50,) and loss.dtype == tf.float32


@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_sigmoid_of_one_logit_equals_softmax_of_two(label_smoothing):
    labels, logit = tf.constant(RNG.integers(0, 2, 50), tf.int32), RNG.normal(0, 4, (50, 1)).astype(np.float32)
    two = np.hstack([np.zeros_like(logit), logit])
    np.testing.assert_allclose(
        cross_entropy(labels, tf.constant(logit), label_smoothing),
        cross_entropy(labels, tf.constant(two), label_smoothing),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("logits", "label", "label_smoothing", "expected"),
    [
        ([1e4, -1e4, 0], 0, 0.0, 0),
        ([1e4, -1e4, 0], 1, 0.0, 2e4),
        ([-1e4, -1e4, -1e4], 2, 0.0, np.log(3)),
        ([1e4, 1e4], 0, 0.0, np.log(2)),
        ([1e4, -1e4], 0, 0.1, 0.05 * 2e4),
        ([1e4], 1, 0.0, 0),
        ([1e4], 0, 0.0, 1e4),
        ([-1e4], 1, 0.0, 1e4),
        ([-1e4], 0, 0.2, 0.1 * 1e4),
    ],
)
def test_the_loss_of_enormous_logits_is_finite_and_exact(logits, label, label_smoothing, expected):
    z = tf.Variable([logits], dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = cross_entropy(tf.constant([label]), z, label_smoothing)
    np.testing.assert_allclose(loss, [expected], rtol=1e-5, atol=1e-6)
    assert np.isfinite(tape.gradient(loss, z)).all()


@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_the_gradient_is_prediction_minus_target(label_smoothing):
    labels, z = RNG.integers(0, 4, 20), tf.Variable(RNG.normal(0, 3, (20, 4)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = cross_entropy(tf.constant(labels, tf.int32), z, label_smoothing)
    target = np.eye(4)[labels] * (1 - label_smoothing) + label_smoothing / 4
    np.testing.assert_allclose(tape.gradient(loss, z), tf.nn.softmax(z) - target, atol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_logits_give_a_float32_loss(dtype):
    logits = tf.cast([[3.0, -2.0, 0.5]], dtype)
    loss = cross_entropy(tf.constant([1]), logits)
    assert loss.dtype == tf.float32
    np.testing.assert_array_equal(loss, cross_entropy(tf.constant([1]), tf.cast(logits, tf.float32)))


@pytest.mark.parametrize(
    ("logits", "classes"),
    [
        ([[0.1, 0.3, 0.2], [5, -5, 0], [-3, -2, -1]], [1, 0, 2]),
        ([[2.0], [-2.0], [0.0], [1e-9]], [1, 0, 0, 1]),
        ([[-1e4, 1e4]], [1]),
    ],
)
def test_predicted(logits, classes):
    found = predicted(tf.constant(logits, tf.float32))
    assert found.dtype == tf.int32
    assert found.numpy().tolist() == classes
