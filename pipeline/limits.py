"""What a value may be, by key: one table for the values themselves, both ends of their ranges and every choice."""

import math
import re
from dataclasses import dataclass
from typing import Any

from pipeline.errors import InputError, one_of


@dataclass(frozen=True)
class Number:
    """A number between `low` and `high`, both included unless `open`; null allowed if `nullable`."""

    low: float = float("-inf")
    high: float = float("inf")
    open: str = ""  # which bounds are excluded: "low", "high" or both
    integer: bool = False
    nullable: bool = False

    def accepts(self, value: Any) -> bool:
        if value is None:
            return self.nullable
        if isinstance(value, bool) or not isinstance(value, int if self.integer else (int, float)):
            return False
        try:
            if not math.isfinite(value):
                return False
        except OverflowError:  # a whole number that no float can hold
            return False
        above = value > self.low if "low" in self.open else value >= self.low
        below = value < self.high if "high" in self.open else value <= self.high
        return above and below

    def __str__(self) -> str:
        bounds = []
        if self.low > float("-inf"):
            bounds.append(f"{'above' if 'low' in self.open else 'at least'} {self.low}")
        if self.high < float("inf"):
            bounds.append(f"{'below' if 'high' in self.open else 'at most'} {self.high}")
        kind = "a whole number" if self.integer else "a number"
        return " ".join([kind, " and ".join(bounds)]).strip() + (" or null" if self.nullable else "")


_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Duration:
    """A time with its unit, as text; null allowed."""

    def accepts(self, value: Any) -> bool:
        return value is None or (isinstance(value, str) and (seconds_of(value) or 0.0) > 0)

    def __str__(self) -> str:
        return "a time above 0 in s, min or h, such as 90s, 10min or 1h30min, or null"


def seconds_of(text: str) -> float | None:
    """Of a time such as 90s, 10min or 1h30min; None for anything else."""
    if not re.fullmatch(r"(\d{1,9}(\.\d{1,9})?(s|min|h))+", text, re.ASCII):
        return None
    return sum(float(n) * _UNITS[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)(s|min|h)", text))


def _meant(text: str) -> str:
    """The nearest valid time to one with no unit or another one."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(text).strip().lower())
    if not match or not float(match[1]):
        return ""
    unit = "h" if match[2].startswith("h") else "min" if match[2].startswith("m") else "s"
    return f" Did you mean '{match[1]}{unit}'?"


# Of conf/device: on how many GPUs at least a model trains, and names by which it trains on all there are at once.
LEAST_GPUS = {"gpu": 1, "multi_gpu": 2}
MULTI_DEVICE = ("multi_gpu", "tpu")

_FRACTION = Number(0, 1, open="high")
_POSITIVE = Number(0, open="low")
_COUNT = Number(1, integer=True)

LIMITS: dict[str, Number | Duration | tuple[str | int | bool | None, ...]] = {
    "seed": Number(0, 2**31 - 1, integer=True),
    "experiment.seeds": Number(0, 2**31 - 1, integer=True),
    "experiment.confirm_seeds": Number(0, 2**31 - 1, integer=True),
    "experiment.above": Number(0, nullable=True),
    "train.batch_size": Number(1, 2**31 - 1, integer=True),  # TensorFlow counts rows in int32
    "train.epochs": _COUNT,
    "train.label_smoothing": _FRACTION,
    "train.early_stopping.patience": _COUNT,
    "train.checkpoint_seconds": Number(0),
    "train.augment.shift": Number(0, integer=True),
    "dataset.validation_fraction": Number(0, 1, open="low high"),
    "dataset.test_fraction": Number(0, 1, open="low high"),
    "dataset.memory": ("auto", "always", "never"),
    "dataset.missing": ("error", "drop"),
    "dataset.heading": ("auto", True, False),
    "dataset.decimal": (".", ","),
    "dataset.thousands": (None, ".", ",", "'", " ", "_"),
    "dataset.size": _COUNT,
    "dataset.channels": ("rgb", "gray"),
    "dataset.bits": (None, 8, 10, 12, 14, 16),
    "dataset.n_classes": Number(2, integer=True),
    "dataset.examples_per_class": _COUNT,
    "dataset.examples": _COUNT,
    "model.hidden_units": _COUNT,
    "model.hidden_layers": Number(0, integer=True),
    "model.norm_placement": ("none", "before_activation", "after_activation"),
    "model.norm_momentum": _FRACTION,
    "model.norm_epsilon": _POSITIVE,
    "model.dropout_rate": _FRACTION,
    "model.l2": Number(0),
    "model.filters": _COUNT,
    "model.kernel_size": _COUNT,
    "model.pool_size": _COUNT,
    "model.pooling": ("max", "average", "none"),
    "model.collapse": ("global_average", "flatten"),
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.momentum": _FRACTION,
    "optimizer.beta_1": _FRACTION,
    "optimizer.beta_2": _FRACTION,
    "optimizer.rho": _FRACTION,
    "optimizer.epsilon": _POSITIVE,
    "optimizer.weight_decay": Number(0, nullable=True),
    "optimizer.clipnorm": Number(0, open="low", nullable=True),
    "optimizer.initial_accumulator_value": Number(0),
    "schedule.decay": _POSITIVE,
    "schedule.warmup_epochs": Number(0),
    "schedule.epochs_per_step": _COUNT,
    "schedule.final_fraction": Number(0, 1),
    "device.name": ("auto", "cpu", "gpu", "multi_gpu", "tpu"),
    "device.visible": Number(0, integer=True, nullable=True),
    "device.precision": ("float32", "mixed_float16", "mixed_bfloat16"),
    "sweep.direction": ("auto", "maximize", "minimize"),
    "sweep.n_trials": Number(1, 100_000, integer=True, nullable=True),
    "sweep.budget": Duration(),
    "sweep.max_parameters": Number(1, integer=True, nullable=True),
    "sweep.max_tier": Number(0, 4, integer=True),
    "sweep.points": Number(1, 10_000, integer=True, nullable=True),
    "sweep.keep": Number(0, 1, open="low", nullable=True),
    "sweep.margin": Number(0, nullable=True),
    "sweep.stop_seeds": Number(2, 100, integer=True, nullable=True),
    "sweep.stages.*.n_trials": Number(1, integer=True, nullable=True),
    "sweep.stages.*.epochs": Number(1, integer=True, nullable=True),
    "sweep.stages.*.tiers": Number(1, 4, integer=True, nullable=True),
    "executor.kind": ("local", "inline"),
    "executor.workers": Number(1, integer=True, nullable=True),
    "executor.max_restarts": Number(0, integer=True),
    "executor.fuse": ("auto", "always", "never"),
    "executor.xla": ("auto", "always", "never"),
    "executor.cohort_size": Number(1, integer=True, nullable=True),
    "sweep.halving.min_epochs": Number(1, integer=True, nullable=True),
    "sweep.halving.factor": Number(2, integer=True),
    "sweep.population.every": Number(1, integer=True, nullable=True),
    "sweep.population.fraction": Number(0, 0.5, open="low"),
    "sweep.population.step": Number(0, 1, open="low"),
    "sweep.population.resample": Number(0, 1),
    "sweep.generation": Number(1, 100_000, integer=True, nullable=True),
    "sweep.replicates": Number(2, 1000, integer=True, nullable=True),
    "sweep.finalists": Number(1, integer=True),
    "sweep.keep_models": Number(1, integer=True, nullable=True),
    "tracking.kind": ("mlflow", "none"),
}
MAY_BE_EMPTY = ("experiment.seeds", "experiment.confirm_seeds")  # of an experiment that no seed would vary


def limit(key: str, value: Any) -> None:
    """Raises InputError if `value` is outside what LIMITS allows for `key`; a list is checked item by item."""
    if value == [] and key in MAY_BE_EMPTY:
        return
    rule = LIMITS.get(re.sub(r"^sweep\.stages\.[^.]+", "sweep.stages.*", key))
    if isinstance(value, list) and value:
        for item in value:
            if rule and isinstance(item, list | dict):
                raise InputError(f"{key}={value}: a list of values, not of lists or sections.")
            limit(key, item)
        return
    section = key.rpartition(".")[0]
    if isinstance(above := LIMITS.get(section), Number):
        raise InputError(f"{section} must be {above}, not a section with the key '{key.rpartition('.')[2]}'.")
    if isinstance(rule, tuple) and value not in rule:
        words: dict[object, str] = {None: "null", True: "true", False: "false"}
        raise one_of(key, value, [words.get(choice, choice) for choice in rule])
    if isinstance(rule, Duration) and not rule.accepts(value):
        raise InputError(f"{key}={value} must be {rule}.{_meant(value)}")
    if isinstance(rule, Number) and not rule.accepts(value):
        text = isinstance(value, str) and re.fullmatch(r"[-+\d.eE]+", value)  # as the environment has it
        hint = (
            f" This is text; a number of the environment: '{key}=\"${{oc.decode:${{oc.env:NAME}}}}\"'." if text else ""
        )
        raise InputError(f"{key}={value} must be {rule}.{hint}")
