"""Jobs as the parent hands them to a worker, of a config that is put together here."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.building import built
from pipeline.records import Event, Message, Report, TrainJob, TrialEvent, TrialTask
from pipeline.schema import Config
from tests.conftest import ROOT

_CONF = OmegaConf.load(ROOT / "conf/config.yaml")

VALUES: dict[str, Any] = {
    "seed": 0,
    "dataset": {
        "_target_": "pipeline.data.sets.planar.blobs",
        "n_classes": 3,
        "examples_per_class": 30,
        "spread": 0.25,
        "validation_fraction": 0.2,
        "test_fraction": 0.2,
    },
    "model": {
        "_target_": "pipeline.models.mlp.mlp",
        "hidden_units": 4,
        "hidden_layers": 1,
        "activation": "relu",
        "norm_placement": "none",
        "norm_momentum": 0.9,
        "norm_epsilon": 1e-3,
        "dropout_rate": 0.0,
        "head": "softmax",
    },
    "optimizer": {"_target_": "keras.optimizers.SGD", "learning_rate": 0.1},
    "schedule": {"_target_": "pipeline.training.schedules.constant", "warmup_epochs": 0},
    "train": {
        "batch_size": 32,
        "epochs": 1,
        "label_smoothing": 0.0,
        "early_stopping": None,
        "checkpoint_seconds": 30,
        "augment": {"flip": False, "shift": 0},
        "diagnostics": False,
    },
    "device": {"name": "cpu", "precision": "float32"},
    "sweep": {
        "sampler": {"_target_": "pipeline.search.samplers.random.Random"},
        "metric": "val_accuracy",
        "direction": "maximize",
    },
    **{key: dict(_CONF[key]) for key in ("heads", "metrics", "scales", "formats")},
}


def with_value(node: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of nested values with the one of a dotted key set."""
    first, _, rest = key.partition(".")
    return {**node, first: with_value(node[first], rest, value) if rest else value}


def config(changes: Mapping[str, Any] | None = None) -> Config:
    """VALUES with `changes`, by dotted key."""
    return built(reduce(lambda node, change: with_value(node, *change), (changes or {}).items(), VALUES))


def task(folder: Path, number: int, of: Config) -> TrialTask:
    """A trial of this config in a folder of its own in `folder`."""
    own = folder / str(number)
    own.mkdir(parents=True, exist_ok=True)
    return TrialTask(number, of, of.plain(), str(own))


def job(folder: Path, number: int, epochs: int = 1, changes: Mapping[str, Any] | None = None) -> TrainJob:
    """One trial, with `changes` of VALUES by dotted key."""
    trial = task(folder, number, config({"train.epochs": epochs, **(changes or {})}))
    return TrainJob(number, (trial,), export=True)


def together(*jobs: TrainJob, fuse: str = "auto", **conditions: Any) -> TrainJob:
    """A job of all trials of several."""
    first = jobs[0]
    trials = tuple(trial for each in jobs for trial in each.trials)
    conditions_ = replace(first.conditions, fuse=fuse, **conditions)
    return replace(first, trials=trials, planned=len(trials), conditions=conditions_)


def collector(into: list[Event]) -> Callable[[Report], None]:
    """What a worker's job reports to: the events of its trials."""
    return lambda report: into.append(report.event) if isinstance(report, TrialEvent) else None


def events_of(messages: list[Message], number: int | None = None) -> list[Event]:
    """The events that messages brought, of one job's or of all."""
    reports = [m.report for m in messages if number is None or m.job == number]
    return [report.event for report in reports if isinstance(report, TrialEvent)]
