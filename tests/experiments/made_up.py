"""Finished sweeps made up so that the answer is known."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.records import EpochEnded
from pipeline.schema import Config
from pipeline.search.space import Space
from pipeline.study.finished import FinishedTrial, Predict, Results
from tests.workers.jobs import config


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


def failing_figure(results: Results, error: Exception) -> None:
    """The figure of an experiment that can't be drawn."""
    raise error
