"""A fused trial against the same trial trained by itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.input_pipeline import evaluation_batches, steps_per_epoch, training_batches
from pipeline.data.sets.digits import digits
from pipeline.data.sets.planar import blobs
from pipeline.data.splits import Split, Splits
from pipeline.models.cnn import cnn
from pipeline.models.layers import normalized
from pipeline.models.mlp import mlp
from pipeline.training.fused.trainer import FusedTrainer
from pipeline.training.solo import SoloTrainer
from tests.conftest import head
from tests.models.settings import CNN, MLP

pytestmark = pytest.mark.slow
BATCH_SIZE = 16


@pytest.fixture(scope="module")
def images():
    """85 digits to train on, of which the last 5 are a batch of their own."""
    whole = digits(validation_fraction=0.2, test_fraction=0.2, seed=0)
    parts = [
        Split(s.inputs[:n], s.labels[:n]) for s, n in ((whole.train, 85), (whole.validation, 40), (whole.test, 20))
    ]
    return Splits(*parts, whole.class_names)


def trial(*, seed=0, rate=0.01, label_smoothing=0.0, optimizer=keras.optimizers.Adam, optimizer_options=(), **model):
    """All that a trial is: `model` are its differences from MLP or CNN."""
    return {
        "seed": seed,
        "rate": rate,
        "label_smoothing": label_smoothing,
        "optimizer": lambda: optimizer(rate, **dict(optimizer_options)),
        "model": model,
    }


def model_of(member, splits):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(member["seed"])
    inputs = keras.Input(splits.input_shape, name="inputs")
    x = normalized(inputs, *splits.normalization())
    network, settings = (cnn, CNN) if len(splits.input_shape) > 1 else (mlp, {**MLP, "hidden_units": [5]})
    network, settings = member["model"].get("network", network), {**settings, **member["model"]}
    settings.pop("network", None)
    return keras.Model(inputs, network(x, splits.n_classes, **settings))


_beginnings = {}


def beginning(member, splits):
    """Its model for a cohort, which takes weights and shapes from it but trains a program of its own: made once, for to
    clear Keras' session has TensorFlow optimise every program again."""
    key = repr((member["seed"], member["model"])), id(splits), keras.config.dtype_policy().name
    if key not in _beginnings:
        _beginnings[key] = model_of(member, splits), splits  # which its id is of as long as it lives
    return _beginnings[key][0]


def residual(x, n_logits, *, dropout_rate, norm_momentum, **_):
    """Operations, which are not among a model's layers but among its config's, in front of numbers that differ."""
    x = keras.layers.Dense(6)(x)
    x = keras.layers.Dropout(0.1)(keras.ops.tanh(x + keras.layers.Dense(6, activation="tanh")(x)))
    x = keras.layers.BatchNormalization(momentum=norm_momentum)(x)
    return keras.layers.Dense(n_logits)(keras.layers.Dropout(dropout_rate)(x))


def nested(x, n_logits, *, dropout_rate, norm_momentum, **_):
    """The same inside of models."""
    x = keras.layers.Dense(6)(x)
    inputs = keras.Input((6,))
    h = keras.layers.Dropout(dropout_rate)(keras.layers.Dense(6, activation="tanh")(inputs * 0.5))
    x = x + keras.Model(inputs, h)(x)
    norm = keras.layers.BatchNormalization(momentum=norm_momentum)
    dense = keras.layers.Dense(6, use_bias=False)  # the norm takes a bias out again, so its gradient is all rounding
    return keras.Sequential([keras.Input((6,)), dense, norm, keras.layers.Dense(n_logits)])(x)


class Solo:
    """The trials one by one, with the interface of a cohort."""

    def __init__(self, trials, splits, *, epoch=0):
        self._rates = [member["rate"] for member in trials]
        self.trainers = [
            SoloTrainer(
                model_of(member, own),
                member["optimizer"](),
                batches=training_batches(own.train, batch_size=BATCH_SIZE, seed=member["seed"], start_epoch=epoch),
                validation=evaluation_batches(own.validation, batch_size=64),
                validation_steps=steps_per_epoch(len(own.validation), 64),
                label_smoothing=member["label_smoothing"],
                head=head(),
            )
            for member, own in zip(trials, splits, strict=True)
        ]

    def epochs(self, n, steps):
        return [[t.epoch(rates_of([r], steps))[0] for t, r in zip(self.trainers, self._rates)] for _ in range(n)]


def rates_of(rates, steps):
    return np.repeat(np.float32(rates)[:, None], steps, axis=1)


def fused(trials, splits, **options):
    return FusedTrainer(
        [beginning(member, own) for member, own in zip(trials, splits, strict=True)],
        [member["optimizer"]() for member in trials],
        splits,
        seeds=[member["seed"] for member in trials],
        batch_size=BATCH_SIZE,
        label_smoothing=[member["label_smoothing"] for member in trials],
        head=head(),
        **options,
    )


def train(trainer, trials, splits, n):
    """Metrics of each trial for each of `n` epochs."""
    steps = steps_per_epoch(len(splits[0].train), BATCH_SIZE)
    return [trainer.epoch(rates_of([member["rate"] for member in trials], steps)) for _ in range(n)]


def column(curve, name, i):
    return [epoch[i][name] for epoch in curve]


def assert_as_alone(trials, splits, *, epochs=3, xla=(False,), **options):
    """For each value of `xla`. Returns the last cohort and the trials alone."""
    alone = Solo(trials, splits)
    expected = alone.epochs(epochs, steps_per_epoch(len(splits[0].train), BATCH_SIZE))
    for compiled in xla:
        cohort = fused(trials, splits, xla=compiled, **options)
        curve = train(cohort, trials, splits, epochs)
        for i in range(len(trials)):
            case = f"trial {i}, xla={compiled}"
            assert curve[0][i]["loss"] == pytest.approx(expected[0][i]["loss"], rel=1e-6), case
            for name in ("loss", "val_loss"):
                np.testing.assert_allclose(
                    column(curve, name, i), column(expected, name, i), rtol=1e-5, err_msg=f"{name}, {case}"
                )
            for name in ("accuracy", "val_accuracy"):  # one example may fall on the other side
                np.testing.assert_allclose(
                    column(curve, name, i), column(expected, name, i), atol=0.03, err_msg=f"{name}, {case}"
                )
    return cohort, alone


def assert_states_equal(state, other):
    assert list(state) == list(other)
    for name in state:
        np.testing.assert_array_equal(state[name], other[name], err_msg=name)


SGD = keras.optimizers.SGD


def test_momentum_clipping_and_decay_are_those_of_the_trial_alone(splits):
    trials = [
        trial(optimizer=SGD, rate=0.1, optimizer_options={"clipnorm": 0.1}),
        trial(optimizer=SGD, rate=0.05, optimizer_options={"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    ]
    assert_as_alone(trials, [splits] * 2)


NUMBERS = (
    {"dropout_rate": 0.1, "l2": 0.01, "rate": 0.003},
    {"dropout_rate": 0.4, "l2": 0.1, "norm_momentum": 0.5, "label_smoothing": 0.2},
)


@pytest.mark.parametrize(
    ("common", "numbers"),
    [
        ({"norm_placement": "none", "activation": "sigmoid", "dropout_rate": 0.3}, ({}, {})),
        ({"norm_placement": "before_activation", "activation": "relu"}, NUMBERS),
        ({"norm_placement": "after_activation", "activation": "sigmoid", "dropout_rate": 0.0}, ({}, {})),
    ],
    ids=["no norm", "numbers of layers, rates, smoothing", "norm after activation"],
)
def test_trials_of_other_widths_are_padded_without_a_trace(splits, common, numbers):
    widths = [5, 3], [8, 6]
    trials = [trial(hidden_units=w, hidden_layers=2, **common, **own) for w, own in zip(widths, numbers, strict=True)]
    cohort, alone = assert_as_alone(trials, [splits] * 2)
    for i, member in enumerate(trials):
        assert [w.shape for w in cohort.weights(i)] == [w.shape for w in beginning(member, splits).get_weights()]
        for ours, theirs in zip(cohort.weights(i), alone.trainers[i].weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        [{"filters": [2, 3], "dropout_rate": 0.1}, {"filters": [4, 2], "dropout_rate": 0.4}],
        [{"collapse": "flatten", "filters": [3], "pooling": "average", "l2": l2} for l2 in (0.01, 0.1)],
    ],
    ids=["widths", "flatten"],
)
def test_convolutions_fuse_as_well(images, changes):
    assert_as_alone([trial(**change) for change in changes], [images] * 2)


@pytest.mark.parametrize("network", [residual, nested])
def test_numbers_behind_operations_are_those_of_their_layers(splits, network):
    changes = [{"dropout_rate": 0.1, "norm_momentum": 0.5}, {"dropout_rate": 0.6, "norm_momentum": 0.95}]
    assert_as_alone([trial(network=network, **change) for change in changes], [splits] * 2)


def test_trials_on_data_and_seeds_of_their_own(splits):
    fractions = {"validation_fraction": 0.2, "test_fraction": 0.2}
    other = blobs(n_classes=3, examples_per_class=50, spread=0.8, **fractions, seed=1)
    seeds_and_rates = ((0, 0.01), (1, 0.01), (1, 0.01), (0, 0.03))
    trials = [trial(dropout_rate=0.2, seed=seed, rate=rate) for seed, rate in seeds_and_rates]
    assert_as_alone(trials, [splits, other, splits, splits], xla=(False, True))


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (keras.optimizers.SGD, {}),
        (keras.optimizers.SGD, {"momentum": 0.9}),
        (keras.optimizers.Adam, {}),
        (keras.optimizers.Nadam, {}),
        (keras.optimizers.RMSprop, {"momentum": 0.5}),
        (keras.optimizers.Adagrad, {}),
        (keras.optimizers.Lion, {}),
    ],
)
def test_the_state_is_named_and_shaped_as_that_of_the_trial_alone(splits, optimizer, options):
    common = {"optimizer": optimizer, "optimizer_options": options, "dropout_rate": 0.2}
    trials = [trial(hidden_units=widths, **common) for widths in ([5], [8])]
    cohort, alone = fused(trials, [splits] * 2), Solo(trials, [splits] * 2)
    for i, solo in enumerate(alone.trainers):
        own, other = cohort.state(i), solo.state()
        assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in other.items()}
        assert list(own) == list(other)
        for name in own:  # they begin alike; the rate is given by step
            if own[name].shape or not name.startswith("optimizer"):
                np.testing.assert_array_equal(own[name], other[name], err_msg=name)


# Of three, and of one structure: what was traced for one test serves the others.
WIDTHS = [
    trial(hidden_units=[5], dropout_rate=0.2),
    trial(hidden_units=[8], dropout_rate=0.4, rate=0.03),
    trial(hidden_units=[3], dropout_rate=0.1),
]


@pytest.mark.parametrize(("resident", "xla"), [(True, False), (True, True), (False, False)])
def test_a_restored_cohort_goes_on_to_the_bit(splits, resident, xla):
    data, options = [splits] * 3, {"resident": resident, "xla": xla}
    whole = fused(WIDTHS, data, **options)
    curve = train(whole, WIDTHS, data, 4)
    first = fused(WIDTHS, data, **options)
    assert train(first, WIDTHS, data, 2) == curve[:2]
    second = fused(WIDTHS, data, epoch=2, **options)
    for i in range(3):
        second.restore(i, first.state(i))
        assert_states_equal(second.state(i), first.state(i))
    assert train(second, WIDTHS, data, 2) == curve[2:]
    for i in range(3):
        assert_states_equal(second.state(i), whole.state(i))


def test_a_trial_alone_can_go_on_in_a_cohort(splits):
    data = [splits] * 3
    alone = Solo(WIDTHS, data)
    alone.epochs(2, 6)
    cohort = fused(WIDTHS, data, epoch=2, xla=False)
    for i, solo in enumerate(alone.trainers):
        cohort.restore(i, solo.state())
    for ours, theirs in zip(train(cohort, WIDTHS, data, 2), alone.epochs(2, 6), strict=True):
        for i in range(3):
            assert ours[i] == pytest.approx(theirs[i], rel=1e-5)


def names_and_shapes(state):
    return {name: array.shape for name, array in state.items()}


@pytest.mark.parametrize("optimizer", [SGD, keras.optimizers.RMSprop])
def test_a_trial_without_momentum_has_no_slots_of_it_though_its_neighbours_have(splits, optimizer):
    momenta = (0.0, 0.9, 0.0)
    trials = [trial(optimizer=optimizer, optimizer_options={"momentum": m}, dropout_rate=0.2) for m in momenta]
    data = [splits] * 3
    mixed, alone = fused(trials, data, xla=False), Solo(trials[:2], data[:2], epoch=1)
    train(mixed, trials, data, 1)
    states = [mixed.state(i) for i in range(3)]
    assert names_and_shapes(states[2]) == names_and_shapes(states[0])
    for state, solo in zip(states[:2], alone.trainers, strict=True):
        assert names_and_shapes(state) == names_and_shapes(solo.state())
        solo.restore(0, state)
    single = fused(trials[:1], [splits], epoch=1, xla=False)
    single.restore(0, states[0])
    assert_states_equal(single.state(0), states[0])
    again = fused(trials, data, epoch=1, xla=False)
    for i, state in enumerate(
        [*(solo.state() for solo in alone.trainers), states[2]]
    ):  # and from alone into the cohort
        again.restore(i, state)
    curve, expected = train(mixed, trials, data, 2), alone.epochs(2, 6)
    assert train(again, trials, data, 2) == curve
    rest = train(single, trials[:1], [splits], 2)
    for name in ("loss", "val_loss"):
        assert column(rest, name, 0) == pytest.approx(column(curve, name, 0), rel=1e-5)
        for i in range(2):
            assert column(expected, name, i) == pytest.approx(column(curve, name, i), rel=1e-5)


def test_those_that_are_kept_keep_their_slots(splits):
    trials = [trial(optimizer=SGD, optimizer_options={"momentum": m}) for m in (0.0, 0.9, 0.5)]
    cohort = fused(trials, [splits] * 3, xla=False)
    train(cohort, trials, [splits] * 3, 1)
    states = [cohort.state(i) for i in range(3)]
    for kept, now in (([2, 0], [2, 0]), ([1], [0])):
        cohort.keep(kept)
        for j, i in enumerate(now):
            assert_states_equal(cohort.state(j), states[i])
            cohort.restore(j, states[i])


RESTORED = {
    # What comes between restoring trial 0 and trial 1, from which a whole epoch follows.
    "nothing": lambda cohort, rates: None,
    "reading": lambda cohort, rates: (cohort.state(0), cohort.weights(1)),
    "rehearsing": lambda cohort, rates: cohort.rehearse(rates, 2),
    "stopping": lambda cohort, rates: cohort.epoch(rates, lambda: True),
    "keeping": lambda cohort, rates: cohort.keep([0, 1, 2]),
    "all": lambda cohort, rates: (cohort.rehearse(rates, 2), cohort.keep([0, 1, 2]), cohort.state(1)),
}


@pytest.mark.parametrize("between", RESTORED)
def test_trials_are_restored_in_any_order_of_calls(splits, between):
    data = [splits] * 3
    first = fused(WIDTHS, data, xla=False)
    train(first, WIDTHS, data, 1)
    states = [first.state(i) for i in range(3)]
    curve = train(first, WIDTHS, data, 1)
    second = fused(WIDTHS, data, epoch=1, xla=False)
    rates = rates_of([member["rate"] for member in WIDTHS], 6)
    second.restore(2, states[2])
    second.restore(0, states[0])
    RESTORED[between](second, rates)
    second.restore(1, states[1])
    for i in range(3):
        assert_states_equal(second.state(i), states[i])
    second.rehearse(rates, 1)
    assert train(second, WIDTHS, data, 1) == curve
    for i in range(3):
        assert_states_equal(second.state(i), first.state(i))
    second.restore(1, states[1])  # what has trained since stays as it is
    second.keep([2, 1])
    assert_states_equal(second.state(0), first.state(2))
    assert_states_equal(second.state(1), states[1])


def test_restoring_a_trial_does_not_copy_the_whole_cohort(splits, monkeypatch):
    data, made = [splits] * 3, []
    cohort = fused(WIDTHS, data, xla=False)
    states = [cohort.state(i) for i in range(3)]
    constant = tf.constant
    monkeypatch.setattr(tf, "constant", lambda *a, **options: made.append(a) or constant(*a, **options))
    for i in range(3):
        cohort.restore(i, states[i])
    assert not made
    train(cohort, WIDTHS, data, 1)
    assert made


def test_the_state_of_another_trial_is_refused(splits):
    cohort = fused(WIDTHS, [splits] * 3, xla=False)
    with pytest.raises(ValueError, match="the saved state belongs to another model or optimizer"):
        cohort.restore(0, cohort.state(1))


def test_a_diverging_trial_leaves_its_neighbours_to_the_bit(splits):
    def cohort(rate):
        trials = [WIDTHS[0], trial(hidden_units=[8], dropout_rate=0.4, rate=rate), WIDTHS[2]]
        trainer = fused(trials, [splits] * 3)
        return trainer, train(trainer, trials, [splits] * 3, 3)

    tame, tame_curve = cohort(0.01)
    wild, wild_curve = cohort(1e20)
    assert not np.isfinite(wild_curve[-1][1]["val_loss"]) or wild_curve[-1][1]["val_loss"] > 1e3
    for i in (0, 2):
        assert [epoch[i] for epoch in wild_curve] == [epoch[i] for epoch in tame_curve]
        assert_states_equal(wild.state(i), tame.state(i))


def test_those_that_are_kept_go_on(splits):
    whole, part = (fused(WIDTHS, [splits] * 3, xla=False) for _ in range(2))
    train(whole, WIDTHS, [splits] * 3, 1)
    train(part, WIDTHS, [splits] * 3, 1)
    kept = [2, 0]
    part.keep(kept)
    assert part.size == 2
    for j, i in enumerate(kept):
        assert_states_equal(part.state(j), whole.state(i))
    curve = train(whole, WIDTHS, [splits] * 3, 2)
    rest = train(part, [WIDTHS[i] for i in kept], [splits] * 3, 2)
    for j, i in enumerate(kept):  # a product of another size rounds otherwise
        assert column(rest, "loss", j) == pytest.approx(column(curve, "loss", i), rel=1e-5)
        assert column(rest, "val_loss", j) == pytest.approx(column(curve, "val_loss", i), rel=1e-5)


def test_streaming_the_data_is_the_same_training(splits):
    data = [splits] * 3
    resident, streamed = (fused(WIDTHS, data, resident=resident, xla=False) for resident in (True, False))
    for ours, theirs in zip(train(resident, WIDTHS, data, 3), train(streamed, WIDTHS, data, 3), strict=True):
        for i in range(3):
            assert ours[i] == pytest.approx(theirs[i], rel=1e-5)
    for i in range(3):
        for name, array in resident.state(i).items():
            np.testing.assert_allclose(array, streamed.state(i)[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_xla_is_the_same_training(splits):
    data = [splits] * 3
    curves = [train(fused(WIDTHS, data, xla=xla), WIDTHS, data, 3) for xla in (True, False)]
    for ours, theirs in zip(*curves, strict=True):
        for i in range(3):
            assert ours[i] == pytest.approx(theirs[i], rel=1e-5)


def test_mixed_precision_trains(splits):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        trials = [trial(dropout_rate=0.1), trial(dropout_rate=0.2, rate=0.03)]
        trainer = fused(trials, [splits] * 2, xla=False)
        curve = train(trainer, trials, [splits] * 2, 4)
        dtypes = [w.dtype for w in beginning(trials[0], splits).get_weights()]
    finally:
        keras.config.set_dtype_policy("float32")
    for i in range(2):
        assert curve[-1][i]["loss"] < curve[0][i]["loss"]
        assert [array.dtype for array in trainer.weights(i)] == dtypes


def test_a_request_to_stop_is_noticed_between_two_calls(splits):
    trainer, asked = fused(WIDTHS, [splits] * 3, xla=False, steps_per_call=2), []
    before = trainer.state(0)
    assert trainer.epoch(rates_of([0.01, 0.01, 0.01], 6), lambda: len(asked) == 2 or asked.append(0)) is None
    assert len(asked) == 2
    assert_states_equal(trainer.state(0), before)  # the epoch is not taken up in its middle


@pytest.mark.parametrize("xla", [False, True], ids=["plain", "xla"])
def test_an_epoch_is_the_same_to_the_bit_in_however_many_calls(splits, xla):
    """How many steps a call has follows from the clock."""
    data = [splits] * 3
    curves = [train(fused(WIDTHS, data, xla=xla, steps_per_call=most), WIDTHS, data, 2) for most in (256, 2, 1)]
    assert curves[0] == curves[1] == curves[2]
