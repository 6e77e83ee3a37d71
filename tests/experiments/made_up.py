"""Finished sweeps made up so that the answer is known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import OmegaConf

from pipeline.experiments.drawing import RATE
from pipeline.records import EpochEnded
from pipeline.schema import Config, Experiment, Target
from pipeline.search import scales
from pipeline.search.ranges import distribution, parse
from pipeline.search.samplers.sampler import Outcome, Search, make_sampler
from pipeline.search.space import Interval, Space, coordinates_of, params_at
from pipeline.study.finished import SEED, FinishedTrial, Predict, Results
from tests.conftest import ROOT
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
    """scores: value of `key` -> {learning rate: score}, the same with both seeds."""
    rows = [({key: value, RATE: rate}, score) for value, row in scores.items() for rate, score in row.items()]
    return results([trial({SEED: seed, **params}, score) for seed in (0, 1) for params, score in rows])


def layered(shift, noise=0.1):
    layer = {f"pre_activation_{name}": 1.0 for name in ("mean", "std", "p15", "p50", "p85")}
    return {epoch: {"dense": {**layer, "shift": epoch * shift, "batch_noise": noise}} for epoch in range(3)}


def batches(*lost, sizes=(4, 8, 16), noise=0.1):
    """Two seeds of each; those `lost` diverged."""
    cells = [(p, size, seed) for p in ("none", "before_activation") for size in sizes for seed in (0, 1)]
    return results(
        [
            trial(
                {PLACEMENT: p, SIZE: size, SEED: seed}, None if (p, size, seed) in lost else 0.9, 3, layered(0.1, noise)
            )
            for p, size, seed in cells
        ]
    )


def judged(found: Results, above: float = 0.0, confirm: Sequence[int] = ()) -> Results:
    """The same, with the rule of an experiment."""
    experiment = Experiment("a title", "a measure", above, confirm_seeds=list(confirm))
    return replace(found, config=replace(found.config, experiment=experiment))


def searched(
    experiment: str, rows: Callable[[Mapping[str, float]], list[float]], seeds: Sequence[int] = (0, 1)
) -> Results:
    """The trials that an experiment's own sampler asks for; `rows` gives the validation losses of each by its
    parameters. Its settings are those of its YAML."""
    of = OmegaConf.load(ROOT / f"conf/experiment/{experiment}.yaml")
    ranges = parse(f"{key}={text}" for key, text in of.experiment.ranges.items())
    names = {name: f"pipeline.search.scales.{name.upper()}" for name in ("linear", "log", "one_minus_log")}
    space = {override.key_or_group: distribution(override, names) for override in ranges}
    arguments = {key: value for key, value in OmegaConf.to_container(of.sweep.sampler).items() if key != "_target_"}
    target = Target(of.sweep.sampler["_target_"], arguments)
    sampler = make_sampler(target, Search((space,) * len(seeds), tuple(seeds), 0, None))
    trials: list[FinishedTrial] = []
    while len(trials) < sampler.total():
        outcomes = []
        for point in sampler.ask(sampler.generation or sampler.total()):
            params = params_at(space, point.coordinates, point.exact)
            losses = rows(params)
            epochs = epochs_of([{"val_loss": loss} for loss in losses])
            own = {SEED: seeds[point.arm], **params}
            trials.append(finished(len(trials), own, "completed", {"val_loss": min(losses)}, epochs))
            curve = tuple(-loss for loss in losses)
            outcomes.append(Outcome(point.arm, coordinates_of(space, params), "completed", max(curve), curve))
        sampler.tell(outcomes)
    base = config()
    sweep = replace(base.sweep, sampler=target)
    return results(trials, space, replace(base, sweep=sweep))


def failing_figure(results: Results, error: Exception) -> None:
    """The figure of an experiment that can't be drawn."""
    raise error
