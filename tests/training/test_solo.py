import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

from pipeline.building import target
from pipeline.targets import call

OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: keras.optimizers.Adam(0.01, beta_1=0.8, epsilon=1e-6),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, rho=0.8, momentum=0.5, clipnorm=1.0),
}
RATE = {"momentum": 0.05, "nesterov": 0.05, "adam": 0.01, "rmsprop": 0.01}
EPOCHS = 3


def keras_loss(head, label_smoothing, n_classes):
    """The loss and the accuracy that Keras computes, and the labels in the shape they want."""
    if head == "sigmoid":
        accuracy = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
        return keras.losses.BinaryCrossentropy(True, label_smoothing), accuracy, lambda x, y: (x, y[:, None])
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    loss = keras.losses.CategoricalCrossentropy(True, label_smoothing)
    return loss, accuracy, lambda x, y: (x, tf.one_hot(y, n_classes))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head", "label_smoothing"),
    [
        ("momentum", "softmax", 0.0),
        ("nesterov", "softmax", 0.0),
        ("adam", "softmax", 0.0),
        ("adam", "softmax", 0.2),
        ("rmsprop", "softmax", 0.0),
        ("adam", "sigmoid", 0.1),
    ],
)
def test_it_trains_as_fit_does(make_model, make_trainer, batches_of, rates, request, name, head, label_smoothing):
    splits = request.getfixturevalue("two_classes" if head == "sigmoid" else "splits")
    model = make_model(splits, head_name=head)
    trainer = make_trainer(model, OPTIMIZERS[name](), splits, label_smoothing=label_smoothing, head_name=head)
    steps = -(-len(splits.train) // 16)
    ours = []
    for _ in range(EPOCHS):
        ours.append({**trainer.train_epoch(np.full(steps, RATE[name], np.float32)), **trainer.evaluate()})

    reference = make_model(splits, head_name=head)
    loss, accuracy, shaped = keras_loss(head, label_smoothing, splits.n_classes)
    reference.compile(OPTIMIZERS[name](), loss, metrics=[accuracy], run_eagerly=True)
    batches = batches_of(splits).map(shaped)
    history = reference.fit(batches, steps_per_epoch=steps, epochs=EPOCHS, shuffle=False, verbose=0).history

    for key in ("loss", "accuracy"):
        np.testing.assert_allclose([epoch[key] for epoch in ours], history[key], rtol=1e-5, atol=1e-6, err_msg=key)
    for weight, expected in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)
    # Validation is without smoothing, so that trials with and without it compare.
    loss, accuracy, shaped = keras_loss(head, 0.0, splits.n_classes)
    reference.compile(loss=loss, metrics=[accuracy], run_eagerly=True)
    val = reference.evaluate(*shaped(splits.validation.inputs, splits.validation.labels), return_dict=True, verbose=0)
    assert ours[-1]["val_loss"] == pytest.approx(val["loss"], rel=1e-5)
    assert ours[-1]["val_accuracy"] == pytest.approx(val["accuracy"], rel=1e-6)
    assert ours[-1]["loss"] < ours[0]["loss"]


def test_a_step_is_the_formula_with_the_rate_of_that_step(make_model, make_trainer, batches_of, splits):
    """Softmax regression by plain gradient descent in NumPy: dL/dz = prediction - target."""
    model = make_model(splits, hidden_layers=0)
    w, b = (weight.astype(np.float64) for weight in model.get_layer("logits").get_weights())
    trainer = make_trainer(model, keras.optimizers.SGD(123.0), splits)  # the rates given count, not this one
    steps_rates = np.float32([0.5, 0.1, 0.0, 1.0, 0.3, 0.2])
    result = trainer.train_epoch(steps_rates)

    mean, variance = splits.normalization()
    losses, correct = [], 0
    for (inputs, labels), rate in zip(batches_of(splits).as_numpy_iterator(), steps_rates, strict=False):
        x = (inputs - mean) / np.sqrt(variance)
        e = np.exp(x @ w + b)
        probabilities = e / e.sum(1, keepdims=True)
        losses += (-np.log(probabilities[np.arange(len(labels)), labels])).tolist()
        correct += (probabilities.argmax(1) == labels).sum()
        dz = (probabilities - np.eye(3)[labels]) / len(labels)
        w, b = w - rate * x.T @ dz, b - rate * dz.sum(0)
    assert len(losses) == len(splits.train) == 90
    np.testing.assert_allclose(model.get_layer("logits").get_weights()[0], w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.get_layer("logits").get_weights()[1], b, rtol=1e-4, atol=1e-6)
    # Over examples, not over batches: the last one is smaller.
    assert result == {"loss": pytest.approx(np.mean(losses), rel=1e-5), "accuracy": pytest.approx(correct / 90)}
    assert float(trainer.optimizer.learning_rate) == np.float32(0.2)


def test_a_regulariser_is_part_of_the_loss_as_in_fit(make_trainer, batches_of, splits, steps, rates):
    def regularised():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((2,))
        penalty = keras.regularizers.L2(0.1)
        return keras.Model(inputs, keras.layers.Dense(3, kernel_regularizer=penalty, bias_regularizer=penalty)(inputs))

    model, reference = regularised(), regularised()
    ours = make_trainer(model, keras.optimizers.SGD(0.1), splits).train_epoch(rates(0.1))
    reference.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(True), run_eagerly=True)
    history = reference.fit(batches_of(splits), steps_per_epoch=steps, shuffle=False, verbose=0).history
    assert ours["loss"] == pytest.approx(history["loss"][0], rel=1e-5)
    for weight, expected in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)


OPTIMIZER_FILES = ("adagrad", "adam", "adamw", "lion", "momentum", "nadam", "nesterov", "rmsprop", "sgd")


def test_every_optimizer_file_is_trained_below(conf):
    assert sorted(path.stem for path in (conf / "optimizer").glob("*.yaml")) == sorted(OPTIMIZER_FILES)


@pytest.mark.parametrize("name", OPTIMIZER_FILES)
def test_every_optimizer_of_conf_lowers_the_loss(make_model, make_trainer, splits, rates, conf, name):
    node = OmegaConf.to_container(OmegaConf.load(conf / "optimizer" / f"{name}.yaml"))
    del node["search"]
    trainer = make_trainer(make_model(splits, norm_placement="none"), call("optimizer", target(node)), splits)
    before = trainer.evaluate()["val_loss"]
    first = trainer.train_epoch(rates(node["learning_rate"]))["loss"]
    assert trainer.evaluate()["val_loss"] < before
    for _ in range(3):
        last = trainer.train_epoch(rates(node["learning_rate"]))["loss"]
    assert last < first


def test_evaluating_changes_nothing(make_model, make_trainer, splits, rates):
    trainer = make_trainer(make_model(splits, dropout_rate=0.5), keras.optimizers.Adam(), splits)
    trainer.train_epoch(rates(0.01))
    before, first = trainer.state(), trainer.evaluate()
    assert trainer.evaluate() == first
    for name, array in trainer.state().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_an_epoch_in_several_calls_is_the_same_epoch(make_model, make_trainer, splits, rates):
    def train(**settings):
        trainer = make_trainer(make_model(splits, dropout_rate=0.2), keras.optimizers.Adam(), splits, **settings)
        return [trainer.train_epoch(rates(0.01)) for _ in range(2)], trainer.weights()

    metrics, weights = train()
    metrics_again, weights_again = train(steps_per_call=4)
    assert metrics_again == [pytest.approx(epoch, rel=1e-6) for epoch in metrics]
    for one, other in zip(weights, weights_again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_request_to_stop_is_noticed_between_two_calls(make_model, make_trainer, splits, rates):
    optimizer = keras.optimizers.SGD()
    trainer = make_trainer(make_model(splits, hidden_layers=0), optimizer, splits, steps_per_call=2)
    asked = []

    def should_stop():
        asked.append(int(optimizer.iterations))
        return len(asked) == 3

    assert trainer.train_epoch(rates(0.1), should_stop) is None
    assert asked == [0, 2, 4]
    assert trainer.train_epoch(rates(0.1), lambda: True) is None
    assert int(optimizer.iterations) == 4


def test_the_state_restores_into_another_trainer(make_model, make_trainer, splits, rates):
    one = make_trainer(make_model(splits, dropout_rate=0.2), keras.optimizers.Adam(), splits)
    one.train_epoch(rates(0.01))
    other = make_trainer(make_model(splits, seed=1, dropout_rate=0.2), keras.optimizers.Adam(), splits, start_epoch=1)
    state = one.state()
    differing = [name for name, array in other.state().items() if not np.array_equal(array, state[name])]
    assert len(differing) > len(state) / 2
    other.restore(0, state)
    for name, array in other.state().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    assert other.evaluate() == one.evaluate()
    one.train_epoch(rates(0.01))  # what state() gave is a copy
    assert any(not np.array_equal(array, state[name]) for name, array in one.state().items())


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        ({"hidden_layers": 2}, keras.optimizers.Adam),
        ({"norm_placement": "none"}, keras.optimizers.Adam),
        ({}, keras.optimizers.SGD),
        ({"dropout_rate": 0.5}, keras.optimizers.Adam),
    ],
)
def test_the_state_of_another_model_or_optimizer_is_refused(make_model, make_trainer, splits, model, optimizer):
    state = make_trainer(make_model(splits), keras.optimizers.Adam(), splits).state()
    other = make_trainer(make_model(splits, **model), optimizer(), splits)
    before = other.state()
    with pytest.raises(ValueError, match="the saved state belongs to another model or optimizer"):
        other.restore(0, state)
    for name, array in other.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_are_what_predicting_needs(make_model, make_trainer, splits, rates):
    trainer = make_trainer(make_model(splits), keras.optimizers.Adam(), splits)
    trainer.train_epoch(rates(0.01))
    other = make_model(splits, seed=1)
    other.set_weights(trainer.weights())
    np.testing.assert_array_equal(other(splits.test.inputs), trainer.model(splits.test.inputs))


def test_a_loss_scaling_optimizer_trains_too(make_model, make_trainer, splits, rates):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=1024.0)
    scaled = make_trainer(make_model(splits), optimizer, splits)
    plain = make_trainer(make_model(splits), keras.optimizers.Adam(), splits)
    for _ in range(2):
        assert scaled.train_epoch(rates(0.01)) == pytest.approx(plain.train_epoch(rates(0.01)), rel=1e-4)
