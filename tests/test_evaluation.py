from dataclasses import replace

import keras
import numpy as np
import pytest

from pipeline.data.splits import Split
from pipeline.errors import InputError
from pipeline.evaluation import evaluate, outputs
from pipeline.heads.head import Head
from tests.conftest import head

# A "model" that gives its inputs back: the inputs of the tests are the outputs they are about.
identity = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
one_column = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])


def split(inputs, labels):
    return Split(np.array(inputs, np.float32), np.array(labels, np.int32))


@pytest.mark.parametrize(
    ("inputs", "labels", "expected"),
    [
        (
            [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5]],
            [0, 1, 2, 2],
            {
                "loss": -np.log([0.7, 0.6, 0.3, 0.5]).mean(),
                "accuracy": 0.75,
                "n": 4,
                "confusion": [[1, 0, 0], [0, 1, 0], [1, 0, 1]],
            },
        ),
        ([[1, 0, 0]], [0], {"loss": 0, "accuracy": 1, "n": 1, "confusion": [[1, 0, 0], [0, 0, 0], [0, 0, 0]]}),
        # Certain and wrong: a large loss, not an infinite one.
        (
            [[1, 0, 0]],
            [1],
            {"loss": -np.log(1e-12), "accuracy": 0, "n": 1, "confusion": [[0, 0, 0], [1, 0, 0], [0, 0, 0]]},
        ),
    ],
)
def test_evaluate(inputs, labels, expected):
    measured = evaluate(identity, split(inputs, labels), 3, head("softmax")).to_json()
    assert measured["confusion"] == expected.pop("confusion")
    assert {key: measured[key] for key in expected} == pytest.approx(expected, rel=1e-5)


def test_a_sigmoid_column_is_the_probability_of_class_one():
    inputs = [[0.9], [0.2], [0.5], [0.6]]
    np.testing.assert_allclose(
        head("sigmoid").predictions(outputs(one_column, np.float32(inputs))),
        [[0.1, 0.9], [0.8, 0.2], [0.5, 0.5], [0.4, 0.6]],
        rtol=1e-6,
    )
    measured = evaluate(one_column, split(inputs, [1, 1, 0, 0]), 2, head("sigmoid")).to_json()
    # At exactly one half it is class 0, as in training.
    assert measured["confusion"] == [[1, 1], [1, 1]]
    assert measured["loss"] == pytest.approx(-np.log([0.9, 0.2, 0.5, 0.4]).mean(), rel=1e-5)


@pytest.mark.parametrize("n", [1, 1023, 1024, 1025, 3000])
def test_any_number_of_examples_comes_back_in_order(n):
    inputs = np.random.default_rng(0).uniform(size=(n, 3)).astype(np.float32)
    np.testing.assert_array_equal(outputs(identity, inputs), inputs)


def test_a_confusion_matrix_adds_up():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 500)
    measured = evaluate(identity, split(rng.uniform(size=(500, 3)), labels), 3, head("softmax"))
    confusion = measured.confusion
    assert confusion.sum() == measured.n == 500
    assert confusion.sum(1).tolist() == np.bincount(labels).tolist()  # rows are the true classes
    assert np.trace(confusion) / 500 == measured.metrics["accuracy"]


def test_results_are_plain_numbers():
    measured = evaluate(identity, split([[0.5, 0.3, 0.2]], [0]), 3, head("softmax")).to_json()
    assert {key: type(value) for key, value in measured.items()} == {
        "loss": float,
        "accuracy": float,
        "n": int,
        "confusion": list,
    }
    assert all(type(count) is int for row in measured["confusion"] for count in row)


def functional(n):
    inputs = keras.Input((n,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


class Positive(Head):
    """Learns the logarithm of a number, and tells the number."""

    outputs = "the logarithm of a number"

    def n_outputs(self, n_classes):
        return 1

    def losses(self, targets, outputs, label_smoothing=0.0):
        return (outputs[:, 0] - np.log(targets)) ** 2

    def final_layer(self):
        return keras.layers.Activation("exponential")


def test_metrics_are_of_the_outputs_that_training_had():
    own = replace(Positive("positive"), metrics=head("cost").metrics)
    numbers = Split(np.float32([[0], [1], [3]]), np.float32([1, np.e, np.e]))
    measured = evaluate(own.for_use(functional(1)), numbers, 0, own)
    assert measured.to_json() == {"loss": pytest.approx(4 / 3), "n": 3}
    with pytest.raises(InputError, match=r"model\.head=positive: the model does not end in the final layer"):
        evaluate(one_column, numbers, 0, own)


@pytest.mark.parametrize(("name", "logits", "label"), [("softmax", [60, 0, 0], 1), ("sigmoid", [60], 0)])
def test_a_wrong_answer_costs_as_much_as_in_training(name, logits, label):
    """Its probability, 1e-26, is no number that the loss could be taken from."""
    model = head(name).for_use(functional(len(logits)))
    measured = evaluate(model, split([logits], [label]), max(len(logits), 2), head(name))
    assert measured.metrics == {"loss": pytest.approx(60), "accuracy": 0}
