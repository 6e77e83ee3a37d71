"""What each head says of data, of models and of what is recorded."""

import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from tests.conftest import MAPS, head

FITTING = [("softmax", 2, 2), ("softmax", 10, 10), ("sigmoid", 2, 1), ("cost", 0, 1), ("cost", 3, 1)]
UNFITTING = [
    ("sigmoid", 0, "is for 2 classes; this data set has 0. Data without classes are for costs: model=quadratic."),
    ("sigmoid", 1, "is for 2 classes; this data set has 1. Give it examples of a second class"),
    ("sigmoid", 3, "is for 2 classes; this data set has 3. Use model.head=softmax,"),
    ("sigmoid", 10, "is for 2 classes; this data set has 10. Use model.head=softmax,"),
    ("softmax", 0, "is for 2 or more classes; this data set has 0. Data without classes are for costs: model=q"),
    ("softmax", 1, "is for 2 or more classes; this data set has 1. Give it examples of a second class"),
]


@pytest.mark.parametrize(("name", "n_classes", "outputs"), FITTING)
def test_outputs_of_a_head_that_fits_the_number_of_classes(name, n_classes, outputs):
    assert head(name).n_outputs(n_classes) == outputs
    head(name).check_outputs((None, outputs), n_classes)


@pytest.mark.parametrize(("name", "n_classes", "message"), UNFITTING)
def test_a_head_that_does_not_fit_the_number_of_classes_is_refused(name, n_classes, message):
    with pytest.raises(InputError) as raised:
        head(name).n_outputs(n_classes)
    assert f"model.head={name} {message}" in str(raised.value)
    assert "head=cost" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "n_classes", "shape"),
    [
        ("cost", 0, (None, 2)),
        ("cost", 0, (None,)),
        ("cost", 3, (None, 3)),
        ("softmax", 3, (None, 2)),
        ("softmax", 3, (None, 4, 3)),
        ("sigmoid", 2, (None, 2)),
    ],
)
def test_a_model_with_other_outputs_than_its_head_needs_is_refused(name, n_classes, shape):
    expected = head(name).n_outputs(n_classes)
    with pytest.raises(InputError, match=rf"model.head={name} needs outputs \[batch, {expected}\]"):
        head(name).check_outputs(shape, n_classes)


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("softmax", {"loss": "cross-entropy (nats)", "accuracy": "accuracy"}),
        ("sigmoid", {"loss": "cross-entropy (nats)", "accuracy": "accuracy"}),
        ("cost", {"loss": "cost"}),
    ],
)
def test_what_a_head_records_and_how_its_axes_are_called(name, axes):
    assert head(name).axes() == axes


def test_heads_that_compute_the_same_are_equal():
    heads = [head(name) for name in MAPS["heads"]]
    assert len(set(heads)) == len(heads)
    assert head("softmax") == head("softmax", ["accuracy"])


def test_a_cost_is_saved_as_it_is():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Rescaling(3.0)(inputs))
    assert head("cost").for_use(model) is model
    np.testing.assert_array_equal(model(np.float32([[-7]])), [[-21]])


@pytest.mark.parametrize(
    ("name", "results", "predictions"),
    [
        ("softmax", [[0.25, 0.5, 0.25]], [[0.25, 0.5, 0.25]]),
        ("sigmoid", [[0.25]], [[0.75, 0.25]]),
    ],
)
def test_the_loss_of_predictions_is_that_of_the_outputs_they_came_from(name, results, predictions):
    computed = head(name).predictions(np.float32(results))
    np.testing.assert_array_equal(computed, predictions)
    loss = head(name).losses(np.int32([1]), head(name).outputs_of(computed))
    expected = {"softmax": np.log(2), "sigmoid": np.log(4)}[name]
    np.testing.assert_allclose(loss, [expected], rtol=1e-6)
