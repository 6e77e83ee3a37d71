"""One step of each optimizer for a whole cohort: every number that Keras' optimizers take is a tensor, a value a trial.

Keras' own update can't do that (SGD asks in Python whether its momentum is 0), so the formulas stand here; each is
held to Keras' by a test. A new optimizer is one function and one entry of RULES.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

Tensors = dict[str, tf.Tensor]
# (gradient, slots, hyperparameters, learning rate, step counted from 1) -> (what the weight loses, new slots). All
# broadcast with the weight.
Update = Callable[[tf.Tensor, Tensors, Tensors, tf.Tensor, tf.Tensor], tuple[tf.Tensor, Tensors]]


def sgd(g: tf.Tensor, slots: Tensors, h: Tensors, rate: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
    """v <- momentum v - rate g;  w <- w + v, or with Nesterov's look-ahead w + momentum v - rate g"""
    if "momentum" not in slots:
        return rate * g, slots
    v = slots["momentum"] * h["momentum"] - rate * g
    return tf.where(h["nesterov"] > 0, rate * g - v * h["momentum"], -v), {"momentum": v}


def adam(g: tf.Tensor, slots: Tensors, h: Tensors, rate: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
    """m <- m + (1 - beta_1)(g - m);  v <- v + (1 - beta_2)(g^2 - v);
    w <- w - rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)"""
    m = slots["momentum"] + (g - slots["momentum"]) * h["one_minus_beta_1"]
    v = slots["velocity"] + (tf.square(g) - slots["velocity"]) * h["one_minus_beta_2"]
    alpha = rate * tf.sqrt(1 - tf.pow(h["beta_2"], step)) / (1 - tf.pow(h["beta_1"], step))
    return m * alpha / (tf.sqrt(v) + h["epsilon"]), {"momentum": m, "velocity": v}


def nadam(g: tf.Tensor, slots: Tensors, h: Tensors, rate: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
    """Adam with the momentum of the next step: u_t = beta_1 (1 - 0.96^t / 2), product = u_1 ... u_t"""
    u, u_next = (h["beta_1"] * (1 - 0.5 * tf.pow(0.96, t)) for t in (step, step + 1))
    product = slots["u_product"] * u
    m = slots["momentum"] + (g - slots["momentum"]) * (1 - h["beta_1"])
    v = slots["velocity"] + (tf.square(g) - slots["velocity"]) * (1 - h["beta_2"])
    m_hat = u_next * m / (1 - product * u_next) + (1 - u) * g / (1 - product)
    v_hat = v / (1 - tf.pow(h["beta_2"], step))
    change = m_hat * rate / (tf.sqrt(v_hat) + h["epsilon"])
    return change, {"momentum": m, "velocity": v, "u_product": product}


def rmsprop(g: tf.Tensor, slots: Tensors, h: Tensors, rate: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
    """v <- rho v + (1 - rho) g^2;  change = rate g / sqrt(v + epsilon), with momentum a running sum of it"""
    v = h["rho"] * slots["velocity"] + h["one_minus_rho"] * tf.square(g)
    change = rate * g / tf.sqrt(v + h["epsilon"])
    if "momentum" not in slots:
        return change, {"velocity": v}
    change += h["momentum"] * slots["momentum"]
    return change, {"velocity": v, "momentum": change}


def adagrad(g: tf.Tensor, slots: Tensors, h: Tensors, rate: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
    """a <- a + g^2;  w <- w - rate g / sqrt(a + epsilon)"""
    a = slots["accumulator"] + tf.square(g)
    return rate * g / tf.sqrt(a + h["epsilon"]), {"accumulator": a}


def lion(g: tf.Tensor, slots: Tensors, h: Tensors, rate: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
    """w <- w - rate sign(beta_1 m + (1 - beta_1) g);  m <- beta_2 m + (1 - beta_2) g"""
    m = slots["momentum"]
    change = rate * tf.sign(m * h["beta_1"] + g * (1 - h["beta_1"]))
    return change, {"momentum": m * h["beta_2"] + g * (1 - h["beta_2"])}


@dataclass(frozen=True)
class Rule:
    """slots: name -> the attribute of Keras' optimizer that holds it, a variable a weight (or one for all: `shared`).

    numbers: the optimizer's arguments besides the learning rate. plain: arguments that must have this value.
    complements: those of `numbers` that Keras takes from 1 in Python, before it rounds to float32; the update finds
    them as `one_minus_...`. Where Keras rounds first (Nadam, Lion, all powers), so does the update.
    """

    update: Update
    slots: dict[str, str]
    numbers: tuple[str, ...]
    plain: dict[str, object]
    shared: tuple[str, ...] = ()
    complements: tuple[str, ...] = ()


_ADAM = Rule(
    adam,
    {"momentum": "_momentums", "velocity": "_velocities"},
    ("beta_1", "beta_2", "epsilon"),
    {"amsgrad": False},
    complements=("beta_1", "beta_2"),
)
RULES: dict[type[keras.optimizers.Optimizer], Rule] = {
    keras.optimizers.SGD: Rule(sgd, {"momentum": "momentums"}, ("momentum", "nesterov"), {}),
    keras.optimizers.Adam: _ADAM,
    keras.optimizers.AdamW: _ADAM,
    keras.optimizers.Nadam: Rule(
        nadam,
        {"momentum": "_momentums", "velocity": "_velocities", "u_product": "_u_product"},
        ("beta_1", "beta_2", "epsilon"),
        {},
        ("u_product",),
    ),
    keras.optimizers.RMSprop: Rule(
        rmsprop,
        {"velocity": "_velocities", "momentum": "_momentums"},
        ("rho", "momentum", "epsilon"),
        {"centered": False},
        complements=("rho",),
    ),
    keras.optimizers.Adagrad: Rule(
        adagrad, {"accumulator": "_accumulators"}, ("epsilon", "initial_accumulator_value"), {}
    ),
    keras.optimizers.Lion: Rule(lion, {"momentum": "_momentums"}, ("beta_1", "beta_2"), {}),
}
# Arguments of every Keras optimizer, with the values that leave them out.
_PLAIN = {"use_ema": False, "gradient_accumulation_steps": None, "loss_scale_factor": None, "global_clipnorm": None}
_PLAIN["clipvalue"] = None


def obstacle(optimizer: keras.optimizers.Optimizer) -> str | None:
    """Why trials with this optimizer can't be fused; None if they can."""
    rule = RULES.get(type(optimizer))
    if rule is None:
        return f"there is no fused form of the optimizer {type(optimizer).__name__}"
    for name, value in {**_PLAIN, **rule.plain}.items():
        setting = getattr(optimizer, name, value)
        if setting != value:
            return f"there is no fused form of {type(optimizer).__name__} with {name}={setting}"
    return None


def numbers(optimizers: Sequence[keras.optimizers.Optimizer]) -> dict[str, np.ndarray]:
    """What varies among optimizers of one class, as their rule wants it, float32 [P] each: no clipping is an infinite
    norm, no decay one of 0."""
    rule = RULES[type(optimizers[0])]
    names = (*rule.numbers, "weight_decay", "clipnorm")
    all_names = (*names, *(f"one_minus_{name}" for name in rule.complements))
    values = {name: np.zeros(len(optimizers), np.float32) for name in all_names}
    for place, optimizer in enumerate(optimizers):
        for name in names:
            set_number(values, place, name, getattr(optimizer, name))
    return values


def set_number(numbers: dict[str, np.ndarray], place: int, name: str, value: float | None) -> None:
    """Sets an argument of the optimizer of the trial in a place, in what numbers() returned."""
    number = float(value) if value else math.inf if name == "clipnorm" else 0.0
    numbers[name][place] = number
    if (complement := f"one_minus_{name}") in numbers:
        numbers[complement][place] = 1.0 - number


def apply(
    rule: Rule,
    weights: list[tf.Tensor],
    gradients: list[tf.Tensor],
    slots: list[Tensors],
    shared: Tensors,
    numbers: Tensors,
    rate: tf.Tensor,
    step: tf.Tensor,
    *,
    clip: bool,
    decay: bool,
) -> tuple[list[tf.Tensor], list[Tensors], Tensors]:
    """Clips, decays and updates in Keras' order. weights, gradients, slots: a [P, *shape] each; shared slots, numbers
    and `rate`: [P]; step: the number of this step, from 1, [P]. Returns weights, slots and shared slots.
    """
    new_weights, new_slots, new_shared = [], [], dict(shared)
    for w, g, own in zip(weights, gradients, slots, strict=True):

        def wide(values: tf.Tensor, rank: int = len(w.shape)) -> tf.Tensor:
            return tf.reshape(values, [-1] + [1] * (rank - 1))

        h = {name: wide(values) for name, values in numbers.items()}
        if clip:
            norm = tf.sqrt(tf.reduce_sum(tf.square(g), list(range(1, len(g.shape))), keepdims=True))
            g *= tf.where(norm > h["clipnorm"], h["clipnorm"] / tf.maximum(norm, 1e-30), tf.ones_like(norm))
        if decay:
            w -= w * h["weight_decay"] * wide(rate)
        common = {name: wide(values) for name, values in shared.items()}
        change, updated = rule.update(g, {**own, **common}, h, wide(rate), wide(step))
        new_weights.append(w - change)
        new_slots.append({name: updated[name] for name in own})
        new_shared = {name: tf.reshape(updated[name], [-1]) for name in shared}
    return new_weights, new_slots, new_shared


def first_slots(
    rule: Rule, shapes: list[tuple[int, ...]], values: dict[str, np.ndarray]
) -> tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """The slots before the first step, for stacked weights of `shapes`; those that no trial uses are left out."""
    n_trials = len(values["weight_decay"])
    start = values.get("initial_accumulator_value", np.zeros(n_trials, np.float32))
    used = [n for n in rule.slots if n not in rule.shared and not (n in values and not values[n].any())]
    wide = [np.zeros(shape, np.float32) + start.reshape(-1, *[1] * (len(shape) - 1)) for shape in shapes]
    return [dict.fromkeys(used, array) for array in wide], {name: np.ones(n_trials, np.float32) for name in rule.shared}
