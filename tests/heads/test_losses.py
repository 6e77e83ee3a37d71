import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.training.sums import metric_sums, values
from tests.conftest import head

RNG = np.random.default_rng(0)
SMOOTHINGS = [0.0, 0.1, 0.9]
softmax, sigmoid, cost = head("softmax"), head("sigmoid"), head("cost")


def of(logits):
    """The head that so many outputs are for."""
    return sigmoid if logits.shape[-1] == 1 else softmax


@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_softmax_cross_entropy_is_that_of_keras(n_classes, label_smoothing):
    labels, logits = RNG.integers(0, n_classes, 50), RNG.normal(0, 4, (50, n_classes)).astype(np.float32)
    loss = softmax.losses(tf.constant(labels, tf.int32), tf.constant(logits), label_smoothing)
    reference = keras.losses.CategoricalCrossentropy(True, label_smoothing, reduction=None)
    np.testing.assert_allclose(loss, reference(np.eye(n_classes)[labels], logits), rtol=1e-5, atol=1e-6)
    if not label_smoothing:
        sparse = keras.losses.SparseCategoricalCrossentropy(True, reduction=None)
        np.testing.assert_allclose(loss, sparse(labels, logits), rtol=1e-5, atol=1e-6)
    assert loss.shape == (50,) and loss.dtype == tf.float32


@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_sigmoid_cross_entropy_is_that_of_keras(label_smoothing):
    labels, logits = RNG.integers(0, 2, 50), RNG.normal(0, 4, (50, 1)).astype(np.float32)
    loss = sigmoid.losses(tf.constant(labels, tf.int32), tf.constant(logits), label_smoothing)
    reference = keras.losses.BinaryCrossentropy(True, label_smoothing, reduction=None)
    np.testing.assert_allclose(loss, reference(labels[:, None], logits), rtol=1e-5, atol=1e-6)
    assert loss.shape == (50,) and loss.dtype == tf.float32


@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_sigmoid_of_one_logit_equals_softmax_of_two(label_smoothing):
    labels, logit = tf.constant(RNG.integers(0, 2, 50), tf.int32), RNG.normal(0, 4, (50, 1)).astype(np.float32)
    two = np.hstack([np.zeros_like(logit), logit])
    np.testing.assert_allclose(
        sigmoid.losses(labels, tf.constant(logit), label_smoothing),
        softmax.losses(labels, tf.constant(two), label_smoothing),
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
        loss = of(z).losses(tf.constant([label]), z, label_smoothing)
    np.testing.assert_allclose(loss, [expected], rtol=1e-5, atol=1e-6)
    assert np.isfinite(tape.gradient(loss, z)).all()


@pytest.mark.parametrize("label_smoothing", SMOOTHINGS)
def test_the_gradient_is_prediction_minus_target(label_smoothing):
    labels, z = RNG.integers(0, 4, 20), tf.Variable(RNG.normal(0, 3, (20, 4)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = softmax.losses(tf.constant(labels, tf.int32), z, label_smoothing)
    target = np.eye(4)[labels] * (1 - label_smoothing) + label_smoothing / 4
    np.testing.assert_allclose(tape.gradient(loss, z), tf.nn.softmax(z) - target, atol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_logits_give_a_float32_loss(dtype):
    logits = tf.cast([[3.0, -2.0, 0.5]], dtype)
    loss = softmax.losses(tf.constant([1]), logits)
    assert loss.dtype == tf.float32
    np.testing.assert_array_equal(loss, softmax.losses(tf.constant([1]), tf.cast(logits, tf.float32)))


@pytest.mark.parametrize(
    ("logits", "classes"),
    [
        ([[0.1, 0.3, 0.2], [5, -5, 0], [-3, -2, -1]], [1, 0, 2]),
        ([[2.0], [-2.0], [0.0], [1e-9]], [1, 0, 0, 1]),
        ([[-1e4, 1e4]], [1]),
    ],
)
def test_the_most_probable_class(logits, classes):
    logits = tf.constant(logits, tf.float32)
    computed = of(logits).classes(logits)
    assert computed.dtype == tf.int32
    assert computed.numpy().tolist() == classes


def mean_loss(z, labels):
    """J in float64, from the definition: -mean(log(e^z_label / sum(e^z)))."""
    shifted = z - z.max(1, keepdims=True)
    return -(shifted[np.arange(len(z)), labels] - np.log(np.exp(shifted).sum(1))).mean()


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_the_gradient_of_the_mean_loss_is_y_hat_minus_y_over_m(n_classes):
    """Of the tape, and of finite differences of the definition, which knows nothing of the loss here."""
    m, step = 12, 1e-6
    labels, z = RNG.integers(0, n_classes, m), RNG.normal(0, 2, (m, n_classes))
    with tf.GradientTape() as tape:
        logits = tf.Variable(z, dtype=tf.float32)
        loss = tf.reduce_mean(softmax.losses(tf.constant(labels, tf.int32), logits))
    assert float(loss) == pytest.approx(mean_loss(z, labels), rel=1e-5)
    y_hat = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    expected = (y_hat - np.eye(n_classes)[labels]) / m
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, atol=1e-7)
    differences = np.zeros_like(z)
    for place in np.ndindex(z.shape):
        nudge = np.zeros_like(z)
        nudge[place] = step
        differences[place] = (mean_loss(z + nudge, labels) - mean_loss(z - nudge, labels)) / (2 * step)
    np.testing.assert_allclose(differences, expected, atol=1e-8)


def test_sigmoid_of_one_logit_has_the_gradient_of_softmax_of_two():
    """Softmax of (0, z) moves z as the sigmoid of z does, and with logits (a, b) the sigmoid's z is b - a."""
    labels = tf.constant(RNG.integers(0, 2, 50), tf.int32)
    two = tf.Variable(RNG.normal(0, 4, (50, 2)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = softmax.losses(labels, two)
    of_two = tape.gradient(loss, two).numpy()
    one = tf.Variable(two[:, 1:] - two[:, :1])
    with tf.GradientTape() as tape:
        loss = sigmoid.losses(labels, one)
    of_one = tape.gradient(loss, one).numpy()
    np.testing.assert_allclose(of_two[:, 1:], of_one, atol=1e-6)
    np.testing.assert_allclose(of_two[:, :1], -of_one, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_the_prediction_is_the_hardmax(n_classes):
    """A 1 where the largest logit is; so the class that softmax finds most probable."""
    logits = RNG.normal(0, 3, (40, n_classes)).astype(np.float32)
    hardmax = (logits == logits.max(1, keepdims=True)).astype(int)
    assert hardmax.sum() == 40
    computed = softmax.classes(tf.constant(logits)).numpy()
    np.testing.assert_array_equal(np.eye(n_classes, dtype=int)[computed], hardmax)
    np.testing.assert_array_equal(computed, tf.nn.softmax(logits).numpy().argmax(1))


def test_a_cost_is_its_own_loss():
    outputs = tf.constant([[3.0], [-2.0], [0.0]])
    for smoothing in (0.0, 0.5):
        assert cost.losses(tf.constant([0, 0, 0]), outputs, smoothing).numpy().tolist() == [3, -2, 0]
    assert metric_sums(cost, tf.constant([1, 0, 0]), outputs) == {}
    assert values(cost, {"loss": 1.0, "examples": 4.0}, "val_") == {"val_loss": 0.25}


def test_accuracy_is_the_share_of_right_classes():
    sums = metric_sums(
        softmax, tf.constant([0, 1, 1, 0]), tf.constant([[2.0, 1.0], [0.0, 3.0], [1.0, 2.0], [0.0, 1.0]])
    )
    assert {key: value.numpy() for key, value in sums.items()} == {"accuracy/correct": 3}
    assert values(softmax, {"loss": 1.0, "examples": 4.0, "accuracy/correct": 3.0}) == {"loss": 0.25, "accuracy": 0.75}
