"""J(W) = a W^2 + b W + c as a model, and its coefficients as data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.sets.quadratic import quadratic as data
from pipeline.errors import InputError
from pipeline.models.quadratic import quadratic
from pipeline.saving import load_model, save_model

ROWS = np.array([[1, -10, 25], [0, 1, 0], [2, 0, 0], [0, 0, 7], [-1, 4, 0.5]], np.float32)


def model(w):
    inputs = keras.Input((3,))
    made = keras.Model(inputs, quadratic(inputs, 1))
    made.set_weights([np.array([[w]], np.float32)])
    return made


@pytest.mark.parametrize("w", [0.0, 5.0, -2.5, 100.0])
def test_it_is_the_formula_and_so_is_its_gradient(w):
    made = model(w)
    with tf.GradientTape() as tape:
        costs = made(ROWS)
        loss = tf.reduce_mean(costs)
    a, b, c = ROWS.T.astype(float)
    np.testing.assert_allclose(costs[:, 0], a * w**2 + b * w + c, rtol=1e-6, atol=1e-5)
    (gradient,) = tape.gradient(loss, made.trainable_variables)
    np.testing.assert_allclose(gradient, [[np.mean(2 * a * w + b)]], rtol=1e-6, atol=1e-5)


def test_it_has_one_weight_that_begins_at_zero():
    inputs = keras.Input((3,))
    assert [w.tolist() for w in keras.Model(inputs, quadratic(inputs, 1)).get_weights()] == [[[0.0]]]


def test_around_its_minimum_rounding_makes_nothing_below_it():
    minimum = np.float32(5)
    near = [minimum, np.nextafter(minimum, np.float32(0)), *np.linspace(4.99, 5.01, 200, dtype=np.float32)]
    made, costs = model(0.0), []
    for w in near:
        made.set_weights([np.array([[w]], np.float32)])
        costs.append(float(made(ROWS[:1])[0, 0]))
    assert costs[0] == 0
    assert min(costs) == 0
    np.testing.assert_allclose(costs, (np.array(near, float) - 5) ** 2, atol=2e-6)


def test_the_file_needs_nothing_of_this_project(tmp_path):
    save_model(model(3.0), tmp_path / "model.h5", {}, ROWS)
    loaded = load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded(ROWS), model(3.0)(ROWS))
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}


@pytest.mark.parametrize("shape", [(2,), (8, 8, 1), (3, 1)])
def test_other_inputs_are_refused(shape):
    with pytest.raises(InputError, match=r"model=quadratic needs examples \(a, b, c\)"):
        quadratic(keras.Input(shape), 1)


def test_the_coefficients_are_the_examples():
    splits = data(coefficients=[1, -10, 25], examples=4, seed=0)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [4, 1, 1]
    assert splits.train.inputs.load().tolist() == [[1, -10, 25]] * 4
    assert (splits.train.inputs.dtype, splits.train.labels.dtype) == (np.float32, np.int32)
    assert (splits.n_classes, splits.input_shape) == (0, (3,))
    other = data(coefficients=[1, -4, 4], examples=4, seed=0)
    assert splits.fingerprint == data(coefficients=[1, -10, 25], examples=4, seed=9).fingerprint != other.fingerprint


@pytest.mark.parametrize(
    "coefficients", [[0, 1, 2], [-1, 1, 2], [1, 2], [1, 2, 3, 4], [], [1, float("nan"), 2], 5, [1, "x", 2], None]
)
def test_coefficients_without_a_minimum_are_refused(coefficients):
    with pytest.raises(InputError, match="must be three numbers"):
        data(coefficients=coefficients, examples=4, seed=0)
