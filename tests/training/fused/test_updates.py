"""Every fused update against Keras' own optimizer, which runs on each trial by itself."""

import itertools
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

from pipeline.building import target
from pipeline.targets import call
from pipeline.training.fused import updates

SHAPES = [(3, 4), (4,), (2, 2, 1, 3)]
STEPS = 8
# What differs among the trials of a cohort, a row a trial; `conf` has the rest.
COMMON = [{"clipnorm": 0.5}, {"weight_decay": 0.1}, {}, {}, {}]
TRIALS = {
    "adagrad": [{"epsilon": 1e-3}, {"initial_accumulator_value": 0.5}, {}],
    "adam": [{"beta_1": 0.5}, {"beta_2": 0.9, "epsilon": 1e-4}, {}, {"beta_1": 0.99}, {"beta_2": 0.9999}],
    "adamw": [{"beta_1": 0.5, "weight_decay": 0.0}, {"beta_2": 0.9, "epsilon": 1e-4}, {}, {"beta_2": 0.9999}],
    "lion": [{"beta_1": 0.5}, {"beta_2": 0.5}, {}, {"beta_1": 0.99}, {"beta_2": 0.9999}],
    "momentum": [{"momentum": 0.5}, {"momentum": 0.0}, {"nesterov": True}],
    "nadam": [{"beta_1": 0.5}, {"beta_2": 0.9, "epsilon": 1e-4}, {}, {"beta_1": 0.99}, {"beta_2": 0.9999}],
    "nesterov": [{"nesterov": False}, {"momentum": 0.0}, {"momentum": 0.99}],
    "rmsprop": [{"rho": 0.5, "momentum": 0.9}, {"epsilon": 1e-3}, {}, {"rho": 0.999}, {"rho": 0.9999}],
    "sgd": [{}, {}, {}],
}
RATES = np.float32([0.01, 0.03, 0.002, 0.01, 0.01])


def test_every_optimizer_file_is_below(conf):
    assert sorted(path.stem for path in (conf / "optimizer").glob("*.yaml")) == sorted(TRIALS)


def optimizer_of(conf, name, changes):
    node = OmegaConf.to_container(OmegaConf.load(conf / "optimizer" / f"{name}.yaml"))
    del node["search"]
    return call("optimizer", target({**node, **changes}))


def keras_path(optimizer, rate, start, gradients):
    """The weights after each step."""
    variables = [keras.Variable(w) for w in start]
    optimizer.build(variables)
    for step, now in enumerate(gradients):
        optimizer.learning_rate = rate * (1 + step / 10)
        optimizer.apply_gradients(zip(map(tf.constant, now), variables))
        yield [v.numpy() for v in variables]


def fused_path(optimizers, start, gradients, *, xla=False):
    """The same for all trials at once: start [P, *shape] each."""
    rule, n_trials = updates.RULES[type(optimizers[0])], len(optimizers)
    numbers = updates.numbers(optimizers)
    slots, shared = updates.first_slots(rule, [w.shape for w in start], numbers)
    flags = {"clip": bool(np.isfinite(numbers["clipnorm"]).any()), "decay": bool(numbers["weight_decay"].any())}
    weights, h = [tf.constant(w) for w in start], {name: tf.constant(v) for name, v in numbers.items()}
    apply = partial(updates.apply, rule, **flags)
    apply = tf.function(apply, jit_compile=True, autograph=False) if xla else apply
    for step, now in enumerate(gradients):
        rate, number = tf.constant(RATES[:n_trials] * np.float32(1 + step / 10)), tf.fill([n_trials], float(step + 1))
        weights, slots, shared = apply(weights, [tf.constant(g) for g in now], slots, shared, h, rate, number)
        yield [w.numpy() for w in weights]


def steps_of(path, start):
    """What each step changes, from the weights after each."""
    weights = [start, *path]
    return [[w - v for v, w in zip(*pair, strict=True)] for pair in itertools.pairwise(weights)]


@pytest.mark.parametrize("common", [COMMON, [{}] * 5], ids=["clip and decay in one trial each", "neither"])
@pytest.mark.parametrize("name", TRIALS)
def test_each_trial_of_a_cohort_is_updated_as_keras_does_it_alone(conf, name, common):
    """Eagerly and compiled by XLA."""
    rng, n_trials = np.random.default_rng(0), len(TRIALS[name])
    # From 0 the weights stay small enough that their own rounding does not hide what a step changes.
    start = [np.zeros((n_trials, *shape), np.float32) for shape in SHAPES]
    gradients = [[rng.normal(size=(n_trials, *shape)).astype(np.float32) for shape in SHAPES] for _ in range(STEPS)]
    changes = [{**first, **second} for first, second in zip(TRIALS[name], common, strict=False)]
    optimizers = [optimizer_of(conf, name, change) for change in changes]
    fused = {xla: steps_of(fused_path(optimizers, start, gradients, xla=xla), start) for xla in (False, True)}
    for i, change in enumerate(changes):
        begin, own = [w[i] for w in start], [[g[i] for g in now] for now in gradients]
        alone = steps_of(keras_path(optimizers[i], float(RATES[i]), begin, own), begin)
        for xla, paths in fused.items():
            for step, (ours, theirs) in enumerate(zip(paths, alone, strict=True)):
                for w, expected in zip(ours, theirs, strict=True):
                    close, case = 1e-5 * np.abs(expected).max(), f"{change}, step {step}, {xla=}"
                    np.testing.assert_allclose(w[i], expected, rtol=0, atol=close, err_msg=case)


def test_a_gradient_of_zero_survives_clipping(conf):
    optimizers = [optimizer_of(conf, "sgd", change) for change in ({"clipnorm": 1.0}, {}, {})]
    start = [np.ones((3, 3), np.float32)]
    (after,) = fused_path(optimizers, start, [[np.zeros((3, 3), np.float32)]])
    np.testing.assert_array_equal(after[0], start[0])


def test_a_diverged_trial_leaves_the_others_alone(conf):
    optimizers = [optimizer_of(conf, "adam", {"clipnorm": 1.0}) for _ in range(3)]
    rng = np.random.default_rng(0)
    start, gradients = [rng.normal(size=(3, 4)).astype(np.float32)], rng.normal(size=(5, 3, 4)).astype(np.float32)
    tame = [weights[0] for weights in fused_path(optimizers, start, [[g] for g in gradients])]
    gradients[2:, 1] = np.nan
    wild = [weights[0] for weights in fused_path(optimizers, start, [[g] for g in gradients])]
    assert np.isnan(wild[-1][1]).all()
    for first, second in zip(tame, wild, strict=True):
        np.testing.assert_array_equal(first[[0, 2]], second[[0, 2]])


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        (lambda: keras.optimizers.Ftrl(), "there is no fused form of the optimizer Ftrl"),
        (lambda: keras.optimizers.Adamax(), "there is no fused form of the optimizer Adamax"),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
            "there is no fused form of the optimizer LossScaleOptimizer",
        ),
        (lambda: keras.optimizers.Adam(amsgrad=True), "there is no fused form of Adam with amsgrad=True"),
        (lambda: keras.optimizers.AdamW(amsgrad=True), "there is no fused form of AdamW with amsgrad=True"),
        (lambda: keras.optimizers.RMSprop(centered=True), "there is no fused form of RMSprop with centered=True"),
        (lambda: keras.optimizers.SGD(use_ema=True), "there is no fused form of SGD with use_ema=True"),
        (lambda: keras.optimizers.SGD(clipvalue=0.5), "there is no fused form of SGD with clipvalue=0.5"),
        (lambda: keras.optimizers.Lion(global_clipnorm=1.0), "there is no fused form of Lion with global_clipnorm=1.0"),
        (
            lambda: keras.optimizers.Nadam(gradient_accumulation_steps=2),
            "there is no fused form of Nadam with gradient_accumulation_steps=2",
        ),
        (
            lambda: keras.optimizers.Adagrad(loss_scale_factor=8.0),
            "there is no fused form of Adagrad with loss_scale_factor=8.0",
        ),
        (lambda: keras.optimizers.Adam(clipnorm=1.0, weight_decay=0.1), None),
    ],
)
def test_what_stands_against_fusing(optimizer, reason):
    assert updates.obstacle(optimizer()) == reason


@pytest.mark.parametrize("name", TRIALS)
def test_nothing_stands_against_fusing_what_conf_has(conf, name):
    for changes in TRIALS[name]:
        assert updates.obstacle(optimizer_of(conf, name, changes)) is None


def test_a_slot_that_no_trial_uses_is_left_out():
    shapes = [(2, 3), (2, 4, 5)]
    for momentum, names in (([0.0, 0.0], []), ([0.0, 0.9], ["momentum"])):
        numbers = {"momentum": np.float32(momentum), "weight_decay": np.zeros(2, np.float32)}
        slots, shared = updates.first_slots(updates.RULES[keras.optimizers.SGD], shapes, numbers)
        assert [list(own) for own in slots] == [names, names] and shared == {}
        assert [a.shape for own in slots for a in own.values()] == (shapes if names else [])
