"""What is measured of the layers, against the same by hand, and that measuring changes nothing."""

import json

import keras
import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir

from pipeline import config as configs
from pipeline.data.sources import load_splits
from pipeline.data.splits import Split
from pipeline.training import checkpoint
from pipeline.training.cohort import run_trials
from pipeline.training.diagnostics import BATCHES, PROBE, Diagnosis
from pipeline.training.trial import identity

configs.register()


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


def diagnosis(make, data, batch_size=20):
    return Diagnosis(make(), make, data, head="softmax", batch_size=batch_size, seed=7)


@pytest.mark.parametrize(("norm", "within"), [(False, False), (True, False), (False, True)])
def test_a_small_network_against_its_equations(norm, within, data):
    def make():
        return network(norm, within)

    diagnose = diagnosis(make, data)
    start = make().get_weights()
    diagnose(start, 0)
    rng = np.random.default_rng(1)
    weights = [w + 0.5 * rng.normal(size=w.shape).astype(np.float32) for w in start]
    weights[1][0] -= 100 * (not norm)  # its unit is dead
    if norm:
        weights[2][0], weights[3][0] = 0, -1  # gamma, beta: dead too
        weights[5] = np.abs(weights[5])  # the moving variance
    found = diagnose(weights, 3)

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

    hidden, out = found["diagnostics"]["hidden"], found["diagnostics"]["logits"]
    assert list(found["diagnostics"]) == ["hidden", "logits"]
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
        assert found["probe_loss"] == pytest.approx(-np.log(p[np.arange(PROBE), labels]).mean(), rel=1e-3)
    _, before = pre(*start)
    pooled = np.sqrt((z.var(0) + before.var(0)) / 2)
    moved = (z.mean(0) - before.mean(0)) / pooled
    assert hidden["shift"] == pytest.approx(np.sqrt(np.mean(moved**2)), rel=1e-3)
    draw = np.random.default_rng([7, 3])
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
    assert diagnosis(make, data)(weights, 1)["probe_loss"] == pytest.approx(plain.mean(), rel=1e-4)


@pytest.mark.parametrize("batch_size", [4, 16, 64])
def test_the_noise_of_independent_examples_is_one_over_the_root_of_the_batch_size(batch_size):
    rng = np.random.default_rng(0)
    data = Split(rng.normal(size=(5000, 4)).astype(np.float32), rng.integers(0, 3, 5000).astype(np.int32))
    diagnose = diagnosis(lambda: network(True, False), data, batch_size)
    start = network(True, False).get_weights()
    noises = [diagnose(start, epoch)["diagnostics"]["hidden"]["batch_noise"] for epoch in range(10)]
    assert np.sqrt(np.mean(np.square(noises))) == pytest.approx(batch_size**-0.5, rel=0.15)


def plain(*overrides, conf):
    with initialize_config_dir(str(conf), version_base="1.3"):
        line = ["dataset=blobs", "model.hidden_units=6", "train.epochs=3", "train.batch_size=64", "tracking=none"]
        return configs.plain(compose("config", [*line, *overrides]))


def train(folder, configs_, **job):
    """Trains a job of these configs; events of each trial as in its log."""
    trials = []
    for n, config in enumerate(configs_):
        (folder / str(n)).mkdir(parents=True, exist_ok=True)
        trials.append({"number": n, "config": config, "record": config, "folder": str(folder / str(n))})
    sent = []
    run_trials({"number": 0, "trials": trials, "memory": 2**30, "spread": 1, **job}, sent.append, lambda: False)
    return [[json.loads(line) for line in (folder / str(n) / "events.jsonl").open()] for n in range(len(trials))]


def epochs(events, name):
    return {e["epoch"]: e[name] for e in events if name in e}


FUSED = {"fuse": "always", "xla": "never", "cohort_size": None}
XLA = {**FUSED, "xla": "always"}
SOLO = {"fuse": "never", "xla": "never", "cohort_size": None}
DROPOUT = ("model.dropout_rate=0.2",)


@pytest.mark.parametrize("settings", [SOLO, FUSED, XLA], ids=["solo", "fused", "XLA"])
def test_training_is_the_same_to_the_bit_with_it(settings, tmp_path, conf):
    states = []
    for on in ("false", "true"):
        several = [plain(f"seed={s}", f"train.diagnostics={on}", *DROPOUT, conf=conf) for s in (0, 1)]
        for n, config in enumerate(several if settings is SOLO else [None]):
            some = several if config is None else [config]
            events = train(tmp_path / on / str(n), some, **settings)
            assert all(e[-1]["status"] == "completed" for e in events)
            assert all((list(epochs(e, "diagnostics")) == ([0, 1, 2, 3] if on == "true" else [])) for e in events)
        states.append([checkpoint.load(path) for path in sorted((tmp_path / on).rglob("state.h5"))])
    for without, with_it in zip(*states, strict=True):
        assert without[0].keys() == with_it[0].keys()
        for name, array in without[0].items():
            np.testing.assert_array_equal(array, with_it[0][name], err_msg=name)
        for one, other in zip(without[1], with_it[1], strict=True):
            np.testing.assert_array_equal(one, other)


def test_fused_trials_measure_what_they_would_alone(tmp_path, conf):
    several = [
        plain(f"seed={s}", f"model.hidden_units={units}", "train.diagnostics=true", conf=conf)
        for s, units in ((0, 6), (1, 9))
    ]
    together = train(tmp_path / "together", several, **FUSED)
    assert {e["cohort"] for events in together for e in events if e["event"] == "started"} == {2}
    for n, config in enumerate(several):
        (alone,) = train(tmp_path / f"alone{n}", [config], **SOLO)
        for name in ("probe_loss", "diagnostics"):
            one, other = epochs(together[n], name), epochs(alone, name)
            assert list(one) == list(other) == [0, 1, 2, 3]
            assert flat(one) == pytest.approx(flat(other), rel=1e-3, abs=1e-4)


def flat(node, prefix=""):
    if not isinstance(node, dict):
        return {prefix: node}
    return {k: v for key, value in node.items() for k, v in flat(value, f"{prefix}/{key}").items()}


def test_a_trial_that_goes_on_measures_what_it_would_have(tmp_path, conf):
    config = plain("train.diagnostics=true", conf=conf)
    (whole,) = train(tmp_path / "whole", [config], **SOLO)
    train(tmp_path / "parts", [config], until=1, **SOLO)
    (parts,) = train(tmp_path / "parts", [config], **SOLO)
    recorded = [e["epoch"] for e in parts if "diagnostics" in e]
    assert recorded == [0, 1, 2, 3]  # the state before training once
    assert flat(epochs(parts, "diagnostics")) == pytest.approx(flat(epochs(whole, "diagnostics")), rel=1e-5)


@pytest.mark.parametrize(
    ("overrides", "layers", "hidden"),
    [
        (["model=softmax_regression", "~model.hidden_units"], ["logits"], 0),
        (["model.norm_placement=after_activation"], ["dense", "dense_1", "logits"], 2),
        (["model.norm_placement=none", "device.precision=mixed_bfloat16"], ["dense", "dense_1", "logits"], 2),
        (["device.precision=mixed_float16"], ["dense", "dense_1", "logits"], 2),
        (["model=cnn", "dataset=digits", "train.batch_size=512"], ["conv2d", "conv2d_1", "logits"], 2),
        (["train.batch_size=100000"], ["dense", "dense_1", "logits"], 2),
    ],
)
def test_models_of_all_kinds(overrides, layers, hidden, tmp_path, conf):
    own = [word for word in overrides if not word.startswith(("model=", "~"))]
    group = [word for word in overrides if word.startswith("model=")]
    with initialize_config_dir(str(conf), version_base="1.3"):
        line = ["dataset=blobs", "train.epochs=1", "train.batch_size=64", "train.diagnostics=true"]
        config = configs.plain(compose("config", [*line, *group, *own]))
    (events,) = train(tmp_path, [config], **SOLO)
    assert events[-1]["status"] == "completed", events[-1]
    found = epochs(events, "diagnostics")[1]
    assert list(found) == layers
    assert sum("pre_activation_p50" in layer for layer in found.values()) == hidden
    assert all(np.isfinite(value) for value in flat(found).values())


def test_a_state_belongs_to_the_trial_with_and_without_it(conf):
    on, off = plain("train.diagnostics=true", conf=conf), plain(conf=conf)
    splits = load_splits(on)
    assert identity(on, splits) == identity(off, splits)
    with initialize_config_dir(str(conf), version_base="1.3"):
        kept = [configs.essential(compose("config", [f"train.diagnostics={x}"])) for x in ("true", "false")]
    assert configs.differences(*kept) == []


def test_it_is_off_unless_asked_for(conf):
    assert yaml.safe_load((conf / "train/default.yaml").read_text())["diagnostics"] is False
