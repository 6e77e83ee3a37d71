"""What is measured of the layers, against the same by hand, and that measuring changes nothing."""

import gc
import weakref
from dataclasses import replace
from functools import partial

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from pipeline.config import differences
from pipeline.data.sources import load_splits
from pipeline.data.splits import Split
from pipeline.data.stream.stored import Stored
from pipeline.errors import InputError
from pipeline.eventlog import events_of
from pipeline.records import Conditions, Diagnosed, Ended, EpochEnded, Grouped, Started, TrainJob, Undiagnosed
from pipeline.schema import Model, Target
from pipeline.training import checkpoint
from pipeline.training.callbacks import Callback
from pipeline.training.cohort import run_trials
from pipeline.training.diagnostics.diagnosis import (
    BATCHES,
    PROBE,
    Diagnosis,
    Diagnostics,
    ProbedExamples,
    pool_rows,
)
from pipeline.training.recent import Recent
from pipeline.training.trial import build_model, identity
from tests.conftest import composed, head
from tests.workers.jobs import task


def relu(z):
    return np.maximum(z, 0)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return Split(rng.normal(size=(300, 4)).astype(np.float32), rng.integers(0, 3, 300).astype(np.int32))


def network(norm, activation_within):
    """4 inputs -> 5 units, relu -> 3 logits, with the batch norm and the form of activation asked for."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(5, activation="relu" if activation_within else None, name="hidden")(inputs)
    if not activation_within:
        x = keras.layers.BatchNormalization(epsilon=1e-3)(x) if norm else x
        x = keras.layers.ReLU()(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


def diagnosis(make, data, batch_size=20, seed=7):
    return Diagnosis(make(), make, data, head=head(), batch_size=batch_size, seed=seed)


@pytest.mark.parametrize(("norm", "within"), [(False, False), (True, False), (False, True)])
def test_a_small_network_against_its_equations(norm, within, data):
    def make():
        return network(norm, within)

    diagnose = diagnosis(make, data)
    start = make().get_weights()
    diagnose(start)
    rng = np.random.default_rng(1)
    weights = [w + 0.5 * rng.normal(size=w.shape).astype(np.float32) for w in start]
    weights[1][0] -= 100 * (not norm)  # its unit is dead
    if norm:
        weights[2][0], weights[3][0] = 0, -1  # gamma, beta: dead too
        weights[5] = np.abs(weights[5])  # the moving variance
    observed = diagnose(weights)

    def pre(kernel, bias, *rest, of=None):
        z = (data.inputs[:PROBE] if of is None else of) @ kernel + bias
        entering = z
        if norm:
            z = rest[0] * (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-3) + rest[1]
        return entering, z

    entering, z = pre(*weights)
    a = relu(z)
    kernel, bias = weights[-2:]
    logits = a @ kernel + bias
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = data.labels[:PROBE]
    slope = (p - np.eye(3)[labels]) / PROBE

    hidden, out = observed.layers["hidden"], observed.layers["logits"]
    assert list(observed.layers) == ["hidden", "logits"]
    assert hidden["pre_activation_mean"] == pytest.approx(z.mean(), abs=1e-4)
    assert hidden["pre_activation_std"] == pytest.approx(z.std(), rel=1e-4)
    for q in (15, 50, 85):
        assert hidden[f"pre_activation_p{q}"] == pytest.approx(np.percentile(z, q), abs=0.02)
    assert hidden["dead_share"] == 0.2
    assert hidden["weight_norm"] == pytest.approx(np.linalg.norm(weights[0]), rel=1e-5)
    assert out["gradient_norm"] == pytest.approx(np.linalg.norm(a.T @ slope), rel=1e-3)
    assert set(out) == {"gradient_norm", "weight_norm"}
    if not norm:
        backward = (slope @ kernel.T) * (z > 0)
        assert hidden["gradient_norm"] == pytest.approx(np.linalg.norm(data.inputs[:PROBE].T @ backward), rel=1e-3)
        assert observed.metrics["probe_loss"] == pytest.approx(-np.log(p[np.arange(PROBE), labels]).mean(), rel=1e-3)
    _, before = pre(*start)
    pooled = np.sqrt((z.var(0) + before.var(0)) / 2)
    moved = (z.mean(0) - before.mean(0)) / pooled
    assert hidden["shift"] == pytest.approx(np.sqrt(np.mean(moved**2)), rel=1e-3)
    draw = np.random.default_rng(7)
    drawn = [data.inputs[draw.choice(300, 20, replace=False)] for _ in range(BATCHES)]
    means = np.array([pre(*weights, of=batch)[0].mean(0) for batch in drawn])
    noise = np.sqrt(np.mean(means.var(0, ddof=1) / entering.var(0)))
    assert hidden["batch_noise"] == pytest.approx(noise, rel=1e-3)


def test_the_loss_is_that_of_predicting(data):
    """With the moving averages of batch norm, and nothing dropped."""

    def make():
        return network(True, False)

    weights = make().get_weights()
    weights[4] += 0.3
    model = make()
    model.set_weights(weights)
    logits = np.asarray(model(data.inputs[:PROBE], training=False))
    plain = np.log(np.exp(logits).sum(1)) - logits[np.arange(PROBE), data.labels[:PROBE]]
    assert diagnosis(make, data)(weights).metrics["probe_loss"] == pytest.approx(plain.mean(), rel=1e-4)


def normal(n, features=4):
    rng = np.random.default_rng(0)
    return Split(rng.normal(size=(n, features)).astype(np.float32), rng.integers(0, 3, n).astype(np.int32))


@pytest.mark.parametrize(
    ("batch_size", "n"),
    [(4, 5000), (16, 5000), (64, 5000), (1024, 100_000), (20_000, 100_000), (2500, 5000), (250, 300), (4000, 5000)],
)
def test_the_noise_of_independent_examples_is_one_over_the_root_of_the_batch_size(batch_size, n):
    """But for what drawing a large part of all examples without replacement leaves of it."""
    data, model, start = normal(n), network(True, False), network(True, False).get_weights()
    settings = {"head": head(), "batch_size": batch_size}
    observed = [
        Diagnosis(model, lambda: network(True, False), data, **settings, seed=seed)(start) for seed in range(10)
    ]
    noises = [one.layers["hidden"]["batch_noise"] for one in observed]
    expected = np.sqrt((1 - batch_size / n) / batch_size)
    assert np.sqrt(np.mean(np.square(noises))) == pytest.approx(expected, rel=0.15)


def test_a_batch_of_everything_has_no_noise():
    observed = diagnosis(lambda: network(True, False), normal(300), 100_000)(network(True, False).get_weights())
    assert observed.layers["hidden"]["batch_noise"] == 0


class Counting(keras.layers.Layer):
    """Notes how many examples pass it at once."""

    sizes: list[int] = []  # noqa: RUF012

    def call(self, inputs):
        tf.py_function(lambda n: self.sizes.append(int(n)), [tf.shape(inputs)[0]], [])
        return inputs


def test_large_batches_take_no_more_memory_than_small_ones():
    """Of the examples that are measured, few are held at once and few in all."""

    def make():
        inputs = keras.Input((4,))
        x = keras.layers.BatchNormalization()(keras.layers.Dense(5)(Counting()(inputs)))
        return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.ReLU()(x)))

    Counting.sizes.clear()
    weights = make().get_weights()
    Counting.sizes.clear()
    diagnosis(make, normal(50_000), 20_000)(weights)
    assert max(Counting.sizes) <= 256
    assert sum(Counting.sizes) <= 2 * (4096 + 2 * PROBE)  # at epoch 0 and now; the probe batch trains and predicts


@pytest.mark.parametrize("n", [1, 300, 4096, 4097, 10_000, 1_000_000])
@pytest.mark.parametrize("row_bytes", [1, 150_000, 2**30])
def test_the_pool_is_small_and_spread_over_all_examples(n, row_bytes):
    rows = pool_rows(n, row_bytes)
    assert len(rows) == len(np.unique(rows)) <= 4096
    assert rows[0] == 0
    assert rows[-1] < n
    assert rows[-1] >= 0.85 * (n - 1)
    assert len(rows) * row_bytes <= max(2**26, 512 * row_bytes)


def test_a_file_is_read_once_and_measured_as_an_array_is(tmp_path, monkeypatch):
    data = normal(20_000)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("inputs", data=data.inputs, chunks=(100, 4))
    streamed = Split(Stored(tmp_path / "data.h5", "inputs", np.arange(20_000)), data.labels)
    reads, read = [], Stored.read
    monkeypatch.setattr(Stored, "read", lambda self, *span: reads.append(span) or read(self, *span))

    def held():
        gc.collect()
        return sum(type(thing) is ProbedExamples for thing in gc.get_objects())

    def make():
        return network(True, False)

    weights, before = make().get_weights(), held()
    one, other = (diagnosis(make, streamed, 64, seed) for seed in (7, 8))
    first = one(weights)
    once = len(reads)
    assert first == diagnosis(make, data, 64)(weights) == one(weights)
    other(weights)
    assert len(reads) == once
    assert held() == before + 2  # of the file, and of the array
    del streamed, data, one, other
    assert held() == before  # what was read goes with the data


def test_the_number_of_probes_bounds_what_all_trials_hold(data):
    alive, probes = weakref.WeakSet(), Recent(2)

    def make(units):
        keras.backend.clear_session(free_memory=False)  # as a trial does, for layers of the same names
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(3)])

    def made(units):
        model = make(units)
        alive.add(model)
        return model

    starts = {units: make(units) for units in range(2, 7)}
    trials = {
        units: Diagnosis(start, partial(made, units), data, head(), batch_size=20, seed=7, probes=probes)
        for units, start in starts.items()
    }
    observed = [{units: trial(starts[units].get_weights()) for units, trial in trials.items()} for _ in range(2)]
    assert observed[0] == observed[1]
    gc.collect()
    assert len(alive) <= 2


def config_of(*overrides):
    line = ["dataset=blobs", "model.hidden_units=6", "model.hidden_layers=1", "train.epochs=3"]
    return composed(*line, "train.batch_size=64", "tracking=none", *overrides).config


def train(folder, conditions, configs, **job):
    """Trains a job of these configs; events of each trial as in its log."""
    tasks = tuple(task(folder, n, config) for n, config in enumerate(configs))
    conditions = replace(conditions, memory=2**30)
    run_trials(TrainJob(0, tasks, conditions=conditions, **job), lambda report: None, lambda: False)
    return [list(events_of(folder / str(n))) for n in range(len(tasks))]


def cohorts(several):
    """The numbers of trials that trained together."""
    return {event.cohort for events in several for event in events if isinstance(event, Started)}


def layers_of(events):
    """What was recorded of the layers, by epoch."""
    return {e.epoch: e.diagnostics for e in events if isinstance(e, Diagnosed | EpochEnded) and e.diagnostics}


def losses_of(events):
    return {e.epoch: e.probe_loss for e in events if isinstance(e, Diagnosed)} | {
        e.epoch: e.metrics["probe_loss"] for e in events if isinstance(e, EpochEnded)
    }


FUSED = Conditions(fuse="always", xla="never")
XLA = Conditions(fuse="always", xla="always")
SOLO = Conditions(fuse="never", xla="never")
DROPOUT = ("model.dropout_rate=0.2",)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SOLO, FUSED, XLA], ids=["solo", "fused", "XLA"])
def test_training_is_the_same_to_the_bit_with_it(settings, tmp_path):
    states = []
    for on in ("false", "true"):
        seeds = (0,) if settings is SOLO else (0, 1)
        several = [config_of(f"seed={s}", f"train.diagnostics={on}", *DROPOUT) for s in seeds]
        events = train(tmp_path / on, settings, several)
        assert all(e[-1].status == "completed" for e in events)
        assert all((list(layers_of(e)) == ([0, 1, 2, 3] if on == "true" else [])) for e in events)
        states.append([checkpoint.load(path) for path in sorted((tmp_path / on).rglob("state.h5"))])
    for without, with_it in zip(*states, strict=True):
        assert without[0].keys() == with_it[0].keys()
        for name, array in without[0].items():
            np.testing.assert_array_equal(array, with_it[0][name], err_msg=name)
        for one, other in zip(without[1], with_it[1], strict=True):
            np.testing.assert_array_equal(one, other)


ONE_PROBE = Recent(1)


class Remaking(Callback):
    """Diagnoses with a probe that is made anew whenever another trial's was asked for in between."""

    def after_epoch(self, moment):
        config = moment.config
        make = partial(build_model, config, load_splits(config))
        diagnose = Diagnosis(make(), make, moment.train, head(), batch_size=20, seed=config.seed, probes=ONE_PROBE)
        return diagnose(moment.weights())


def with_callback(config, kind, **arguments):
    target = Target(f"{__name__}.{kind.__name__}", arguments)
    return replace(config, train=replace(config.train, callbacks=[target]))


@pytest.mark.slow
def test_training_is_the_same_to_the_bit_when_probes_are_made_again_as_it_goes(tmp_path):
    states = []
    for on in (False, True):
        several = [
            config_of(f"seed={units}", f"model.hidden_units={units}", *DROPOUT, "train.epochs=2") for units in (6, 9)
        ]
        several = [with_callback(config, Remaking) for config in several] if on else several
        events = train(tmp_path / str(on), FUSED, several)
        assert cohorts(events) == {2}
        assert all((list(layers_of(e)) == ([1, 2] if on else [])) for e in events)
        states.append([checkpoint.load(path)[0] for path in sorted((tmp_path / str(on)).rglob("state.h5"))])
    for without, with_it in zip(*states, strict=True):
        for name, array in without.items():
            np.testing.assert_array_equal(array, with_it[name], err_msg=name)


@keras.saving.register_keras_serializable()
class EachAlone(keras.layers.Dense):
    """Whose activation is applied within a loop of TensorFlow's, where no tensor can be had from outside."""

    def call(self, inputs):
        return tf.map_fn(lambda row: self.activation(row @ self.kernel), inputs)


def unwatchable(inputs, n_logits):
    return keras.layers.Dense(n_logits)(EachAlone(5, "relu", use_bias=False)(keras.layers.Flatten()(inputs)))


@keras.saving.register_keras_serializable()
class Particular(keras.layers.Dense):
    """Computes with its own activation only, which that of a watched layer is not."""

    def call(self, inputs):
        if self.activation is not keras.activations.relu:
            raise TypeError("no such activation\nand more")
        return super().call(inputs)


def particular(inputs, n_logits):
    return keras.layers.Dense(n_logits)(Particular(5, "relu")(keras.layers.Flatten()(inputs)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "n", "model", "reason"),
    [(SOLO, 1, unwatchable, "InaccessibleTensorError: "), (FUSED, 2, particular, "TypeError: ")],
    ids=["solo", "fused"],
)
def test_a_diagnosis_that_fails_costs_itself_only(settings, n, model, reason, tmp_path):
    """A cohort stays one: it was no obstacle to fusing."""
    several = [config_of(f"seed={s}", "train.diagnostics=true") for s in range(n)]
    several = [replace(c, model=Model(f"{__name__}.{model.__name__}", head=c.model.head)) for c in several]
    for events in train(tmp_path, settings, several):
        assert events[-1].status == "completed"
        assert events[0].cohort == n
        events = [event for event in events if not isinstance(event, Grouped)]
        assert [type(e) for e in events] == [Started, Undiagnosed, *[EpochEnded] * 3, Ended]
        assert events[1].reason.startswith(reason)
        assert "\n" not in events[1].reason


ERRORS = {"changed": InputError("the file has changed"), "unreadable": OSError("the disk is unreadable")}


class Unreadable(Diagnostics):
    """Diagnoses a trial whose data can't be read any more."""

    def __init__(self, error):
        super().__init__(self.fail, emit=lambda event: None)
        self.error = ERRORS[error]

    def fail(self, weights):
        raise self.error


@pytest.mark.parametrize("error", ERRORS)
def test_data_that_cannot_be_read_fail_the_trial(error, tmp_path):
    (events,) = train(tmp_path, SOLO, [with_callback(config_of(), Unreadable, error=error)])
    assert [type(e) for e in events] == [Started, Ended]
    assert events[-1].status == "failed"
    assert str(ERRORS[error]) in events[-1].reason


@pytest.mark.slow
def test_fused_trials_measure_what_they_would_alone(tmp_path):
    several = [
        config_of(f"seed={s}", f"model.hidden_units={units}", "train.diagnostics=true") for s, units in ((0, 6), (1, 9))
    ]
    together = train(tmp_path / "together", FUSED, several)
    assert cohorts(together) == {2}
    for n, config in enumerate(several):
        (alone,) = train(tmp_path / f"alone{n}", SOLO, [config])
        for measured in (losses_of, layers_of):
            one, other = measured(together[n]), measured(alone)
            assert list(one) == list(other) == [0, 1, 2, 3]
            assert flat(one) == pytest.approx(flat(other), rel=1e-3, abs=1e-4)


def flat(node, prefix=""):
    if not isinstance(node, dict):
        return {prefix: node}
    return {k: v for key, value in node.items() for k, v in flat(value, f"{prefix}/{key}").items()}


@pytest.mark.slow
def test_a_trial_that_goes_on_measures_what_it_would_have(tmp_path):
    config = config_of("train.diagnostics=true")
    (whole,) = train(tmp_path / "whole", SOLO, [config])
    train(tmp_path / "parts", SOLO, [config], until=1)
    (parts,) = train(tmp_path / "parts", SOLO, [config])
    recorded = [e.epoch for e in parts if getattr(e, "diagnostics", None)]
    assert recorded == [0, 1, 2, 3]  # the state before training once
    assert flat(layers_of(parts)) == pytest.approx(flat(layers_of(whole)), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "layers", "hidden"),
    [
        (["model=softmax_regression"], ["logits"], 0),
        (["model.norm_placement=after_activation"], ["dense", "dense_1", "logits"], 2),
        (["model.norm_placement=none", "device.precision=mixed_bfloat16"], ["dense", "dense_1", "logits"], 2),
        (["device.precision=mixed_float16"], ["dense", "dense_1", "logits"], 2),
        (["model=cnn", "dataset=digits", "train.batch_size=512"], ["conv2d", "conv2d_1", "logits"], 2),
        (["train.batch_size=100000"], ["dense", "dense_1", "logits"], 2),
    ],
)
def test_models_of_all_kinds(overrides, layers, hidden, tmp_path):
    line = ["dataset=blobs", "train.epochs=1", "train.batch_size=64", "train.diagnostics=true"]
    (events,) = train(tmp_path, SOLO, [composed(*line, *overrides).config])
    assert events[-1].status == "completed", events[-1]
    observed = layers_of(events)[1]
    assert list(observed) == layers
    assert sum("pre_activation_p50" in layer for layer in observed.values()) == hidden
    assert all(np.isfinite(value) for value in flat(observed).values())


def test_a_state_belongs_to_the_trial_with_and_without_it():
    on, off = config_of("train.diagnostics=true"), config_of()
    splits = load_splits(on)
    assert identity(on, splits) == identity(off, splits)
    kept = [composed(f"train.diagnostics={x}").essential for x in ("true", "false")]
    assert differences(*kept) == []


def test_it_is_off_unless_asked_for(conf):
    assert yaml.safe_load((conf / "train/default.yaml").read_text())["diagnostics"] is False
