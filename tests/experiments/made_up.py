"""Finished sweeps made up so that the answer is known."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.experiments.drawing import RATE
from pipeline.records import EpochEnded
from pipeline.schema import Config
from pipeline.search import scales
from pipeline.search.space import Interval, Space
from pipeline.study.finished import SEED, FinishedTrial, Predict, Results
from tests.workers.jobs import config

PLACEMENT, DEPTH, MOMENTUM, SIZE = (
    "model.norm_placement",
    "model.hidden_layers",
    "optimizer.momentum",
    "train.batch_size",
)
LOG = Interval(1e-4, 1.0, scales.LOG)


def epochs_of(rows: Sequence[Mapping[str, float | None]], **facts: float) -> list[EpochEnded]:
    """An epoch a row of metrics. facts: what else each of them says."""
    return [EpochEnded(0.0, number, row, **facts) for number, row in enumerate(rows, start=1)]


def finished(
    number: int,
    params: Mapping[str, Any],
    status: str = "completed",
    metrics: Mapping[str, float] | None = None,
    epochs: Sequence[EpochEnded] = (),
    *,
    stage: str = "s",
    diagnoses: Mapping[int, Any] | None = None,
) -> FinishedTrial:
    own = {"status": status, "metrics": metrics or {}, "best_epoch": len(epochs), "diagnoses": dict(diagnoses or {})}
    return FinishedTrial(number, stage, 0, params, epochs=epochs, **own)


def results(
    trials: list[FinishedTrial],
    space: Space | None = None,
    of: Config | None = None,
    predict: Predict = lambda number, inputs: inputs,
) -> Results:
    return Results(trials, of or config(), space or {}, predict)


def trial(params, score=None, epochs=6, diagnoses=None, number=0):
    """One that completed with `score` as its validation accuracy and loss; None: it diverged in its first epoch."""
    if score is None:
        return finished(number, params, "diverged", epochs=epochs_of([{"loss": None, "val_loss": None}]))
    rows = [{"loss": 1 / (i + 1), "val_loss": score, "probe_loss": 1 / (i + 1)} for i in range(epochs)]
    metrics = {"val_accuracy": score, "val_loss": score, "loss": score}
    history = epochs_of(rows, learning_rate=params.get(RATE, 0.1), seconds=0.1)
    return finished(number, params, "completed", metrics, history, diagnoses=diagnoses)


def by_rate(key, scores):
    """scores: value of `key` -> {learning rate: score}."""
    return results([trial({key: v, RATE: rate}, s) for v, row in scores.items() for rate, s in row.items()])


def layered(shift, noise=0.1):
    layer = {f"pre_activation_{name}": 1.0 for name in ("mean", "std", "p15", "p50", "p85")}
    return {epoch: {"dense": {**layer, "shift": epoch * shift, "batch_noise": noise}} for epoch in range(3)}


def batches(*lost, sizes=(4, 8, 16)):
    """Two seeds of each; those `lost` diverged."""
    cells = [(p, size, seed) for p in ("none", "before_activation") for size in sizes for seed in (0, 1)]
    return results(
        [
            trial({PLACEMENT: p, SIZE: size, SEED: seed}, None if (p, size, seed) in lost else 0.9, 3, layered(0.1))
            for p, size, seed in cells
        ]
    )


def scattered(n, seeds=(0, 1), good=0.01):
    """n trials a seed, at random; the loss is the distance from the rate `good`, whatever epsilon is."""
    space = {RATE: LOG, "optimizer.epsilon": Interval(1e-9, 1e-6, scales.LOG)}
    rng = np.random.default_rng(0)
    trials = []
    for seed in seeds:
        for _ in range(n):
            params = {SEED: seed, **{key: dist.at(rng.random()) for key, dist in space.items()}}
            trials.append(trial(params, 0.001 + abs(np.log10(params[RATE] / good)), 1))
    return results(trials, space)


def failing_figure(results: Results, error: Exception) -> None:
    """The figure of an experiment that can't be drawn."""
    raise error
