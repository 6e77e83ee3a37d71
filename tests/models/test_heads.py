import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.limits import LIMITS
from pipeline.models import heads
from pipeline.models.heads import HEADS, check_outputs, n_outputs
from pipeline.models.layers import with_probabilities
from pipeline.training.losses import CRITERIA

FITTING = [("softmax", 2, 2), ("softmax", 10, 10), ("sigmoid", 2, 1), ("cost", 0, 1), ("cost", 3, 1)]
UNFITTING = [
    ("sigmoid", 0, "is for 2 classes; this data set has 0. Data without classes are for costs: model=quadratic "),
    ("sigmoid", 1, "is for 2 classes; this data set has 1. Give it examples of a second class"),
    ("sigmoid", 3, "is for 2 classes; this data set has 3. Use model.head=softmax,"),
    ("sigmoid", 10, "is for 2 classes; this data set has 10. Use model.head=softmax,"),
    ("softmax", 0, "is for 2 or more classes; this data set has 0. Data without classes are for costs: model=q"),
    ("softmax", 1, "is for 2 or more classes; this data set has 1. Give it examples of a second class"),
]


@pytest.mark.parametrize(("head", "n_classes", "outputs"), FITTING)
def test_outputs_of_a_head_that_fits_the_number_of_classes(head, n_classes, outputs):
    assert n_outputs(head, n_classes) == outputs
    check_outputs(head, (None, outputs), n_classes)


@pytest.mark.parametrize(("head", "n_classes", "message"), UNFITTING)
def test_a_head_that_does_not_fit_the_number_of_classes_is_refused(head, n_classes, message):
    with pytest.raises(InputError) as raised:
        n_outputs(head, n_classes)
    assert f"model.head={head} {message}" in str(raised.value)
    assert "head=cost" not in str(raised.value)


@pytest.mark.parametrize(
    ("head", "n_classes", "shape"),
    [
        ("cost", 0, (None, 2)),
        ("cost", 0, (None,)),
        ("cost", 3, (None, 3)),
        ("softmax", 3, (None, 2)),
        ("softmax", 3, (None, 4, 3)),
        ("sigmoid", 2, (None, 2)),
    ],
)
def test_a_model_with_other_outputs_than_its_head_needs_is_refused(head, n_classes, shape):
    with pytest.raises(InputError, match=rf"model.head={head} needs outputs \[batch, {n_outputs(head, n_classes)}\]"):
        check_outputs(head, shape, n_classes)


def test_every_head_has_a_limit_a_criterion_and_metrics():
    assert LIMITS["model.head"] == tuple(HEADS) == tuple(CRITERIA)
    assert [HEADS[name].validation_metrics for name in ("softmax", "cost")] == [
        ("val_loss", "val_accuracy"),
        ("val_loss",),
    ]
    assert heads.of({"model": {"head": "cost"}}) is HEADS["cost"]


def test_a_cost_is_saved_as_it_is():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Rescaling(3.0)(inputs))
    assert with_probabilities(model, "cost") is model
    np.testing.assert_array_equal(with_probabilities(model, "cost")(np.float32([[-7]])), [[-21]])
