import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.training import layer_calls


def prepared(layer, shape, *, stacked=True):
    """A model of one layer whose call is replaced, and its copy as Keras calls it."""
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    reference = keras.models.clone_model(model)
    reference.set_weights(model.get_weights())
    layer_calls.prepare(model, stacked=stacked)
    return model, reference


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("counter", "key", "word"),
    [
        ((0x00000000, 0x00000000), (0x00000000, 0x00000000), 0x6B200159),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), 0x1CB996FC),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), 0xC4923A9C),
    ],
)
def test_threefry_gives_the_known_answers_of_random123(counter, key, word):
    first, second = (tf.constant([c], tf.uint32) for c in counter)
    assert layer_calls.threefry(tf.constant(key, tf.uint32), first, second).numpy() == [word]


def mask(width, *, rows=8, seed=3, rate=0.4, shape=()):
    layer = keras.layers.Dropout(rate, seed=seed)
    model, _ = prepared(layer, (*shape, width))
    return model(np.ones((rows, *shape, width), np.float32), training=True).numpy() > 0


@pytest.mark.parametrize("shape", [(), (3, 2)])
def test_the_mask_of_the_first_units_does_not_depend_on_how_many_there_are(shape):
    wide = mask(20, shape=shape)
    for width in (1, 5, 19):
        np.testing.assert_array_equal(mask(width, shape=shape), wide[..., :width])
    np.testing.assert_array_equal(mask(20, rows=3, shape=shape), wide[:3])


def test_masks_differ_by_seed_row_unit_and_step():
    assert not np.array_equal(mask(50), mask(50, seed=4))
    one = mask(50)
    assert len({row.tobytes() for row in one}) == len(one)
    assert len({column.tobytes() for column in mask(20, rows=50).T}) == 20
    model, _ = prepared(keras.layers.Dropout(0.5, seed=0), (50,))
    steps = [model(np.ones((2, 50), np.float32), training=True).numpy() for _ in range(2)]
    assert not np.array_equal(*steps)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("stacked", [True, False])
def test_dropout_drops_its_share_and_scales_the_rest(rate, stacked):
    model, _ = prepared(keras.layers.Dropout(rate, seed=1), (500,), stacked=stacked)
    inputs = np.ones((200, 500), np.float32)
    after = model(inputs, training=True).numpy()
    n = after.size
    assert (after == 0).mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / n))
    np.testing.assert_allclose(after[after > 0], 1 / (1 - rate), rtol=1e-6)
    np.testing.assert_array_equal(model(inputs, training=False), inputs)


def test_dropout_of_a_noise_shape_drops_whole_maps():
    model, _ = prepared(keras.layers.Dropout(0.5, noise_shape=(None, 1, 1, 6), seed=1), (4, 4, 6))
    after = model(np.ones((20, 4, 4, 6), np.float32), training=True).numpy()
    np.testing.assert_array_equal(after, np.broadcast_to(after[:, :1, :1], after.shape))
    assert 0 < (after == 0).mean() < 1


def outputs_and_gradients(model, inputs):
    """The output of a model, and the gradients of a sum of it, weighted, by its input and its weights."""
    x = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = model(x, training=True)
        weighted = tf.reduce_sum(
            outputs * tf.reshape(tf.range(1.0, tf.cast(tf.size(outputs), tf.float32) + 1), tf.shape(outputs))
        )
    return [outputs, *tape.gradient(weighted, [x, *[v.value for v in model.trainable_variables]])]


def assert_alike(model, reference, inputs, rtol, atol):
    for ours, theirs in zip(
        outputs_and_gradients(model, inputs), outputs_and_gradients(reference, inputs), strict=True
    ):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("size", [2, 3, (2, 1), (1, 3)])
@pytest.mark.parametrize("shape", [(6, 6, 2), (7, 8, 1)], ids=["tiles", "with a rest"])
@pytest.mark.parametrize("ties", [False, True])
def test_max_pooling_and_its_gradient_are_those_of_keras(size, shape, ties):
    model, reference = prepared(keras.layers.MaxPooling2D(size), shape)
    inputs = random(3, *shape)
    inputs = np.round(inputs).clip(-1, 1) if ties else inputs
    assert model.layers[1].call is not reference.layers[1].call
    assert_alike(model, reference, inputs, rtol=0, atol=0)


@pytest.mark.parametrize("options", [{"strides": 1}, {"padding": "same"}])
def test_pooling_that_overlaps_stays_that_of_keras(options):
    model, reference = prepared(keras.layers.MaxPooling2D(2, **options), (5, 5, 2))
    assert "call" not in vars(model.layers[1])
    assert_alike(model, reference, random(3, 5, 5, 2), rtol=0, atol=0)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    "options",
    [{}, {"strides": 2}, {"strides": (1, 2)}, {"dilation_rate": 2}, {"dilation_rate": (2, 1)}, {"use_bias": False}],
    ids=str,
)
@pytest.mark.parametrize("kernel", [1, 2, 3, (2, 3)])
def test_a_convolution_and_its_gradients_are_those_of_keras(padding, options, kernel):
    if kernel == 1 and "strides" in options:
        kernel = (1, 3)  # TensorFlow 2.21's own gradient of a 1 x 1 kernel with strides reads memory that is not its
    layer = keras.layers.Conv2D(4, kernel, padding=padding, activation="tanh", **options)
    model, reference = prepared(layer, (7, 8, 2))
    assert "convolution_op" in vars(model.layers[1])
    assert_alike(model, reference, random(3, 7, 8, 2), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("options", "stacked"), [({"groups": 2}, True), ({}, False)])
def test_other_convolutions_stay_those_of_keras(options, stacked):
    model, _ = prepared(keras.layers.Conv2D(4, 3, **options), (7, 7, 2), stacked=stacked)
    assert "convolution_op" not in vars(model.layers[1])


def test_normalization_reads_its_weights():
    layer = keras.layers.Normalization(mean=None)
    layer.adapt(random(20, 3) * 5 + 2)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    x = random(4, 3)
    before = model(x).numpy()
    layer_calls.prepare(model, stacked=True, own_data=True)
    np.testing.assert_allclose(model(x), before, rtol=1e-6)
    layer.adapt_mean.assign(layer.adapt_mean + 1)
    assert not np.allclose(model(x), before)


def test_the_saved_model_is_the_same(tmp_path):
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.MaxPooling2D()(keras.layers.Conv2D(3, 3, padding="same")(inputs))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(x))
    config, before = model.get_config(), model(random(2, 6, 6, 1)).numpy()
    layer_calls.prepare(model, stacked=True)
    assert model.get_config() == config
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    np.testing.assert_allclose(loaded(random(2, 6, 6, 1)), before, rtol=1e-5, atol=1e-6)
