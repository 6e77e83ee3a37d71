"""What may look on while a trial trains: `train.callbacks` in YAML lists targets that make Callbacks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline.data.splits import Split
from pipeline.errors import InputError
from pipeline.events import NOT_METRICS, Layers, Measures
from pipeline.heads.lookup import METRIC_NAME, NAMES_ALLOWED
from pipeline.schema import Config

Weights = Callable[[], list[np.ndarray]]  # what predicting needs, in the order of model.weights; fetched when called


@dataclass(frozen=True)
class Moment:
    """A trial between two epochs, alone or in a cohort."""

    number: int  # of the trial
    config: Config
    train: Split
    validation: Split  # the test split is not for training, nor for choosing
    epoch: int  # epochs done
    metrics: Mapping[str, float]  # of the last epoch, without what callbacks record; empty before the first
    weights: Weights


@dataclass(frozen=True)
class Observation:
    """What a callback adds to the record of an epoch, in events.jsonl and in the tracking store."""

    metrics: Measures = field(default_factory=dict)  # by names that the runner does not use
    layers: Layers = field(default_factory=dict)


class Callback:
    """A base whose hooks do nothing. Each trial has one of its own, made of its target's arguments whenever the trial
    begins, is resumed, goes on past a rung of halving, or leaves a cohort that failed: what it must know then, it keeps
    in a file.

    A hook that raises ends its trial as failed, with the reason; the others of its cohort go on. Hooks are called in
    the worker, between epochs: what they take, every trial of the cohort waits for.
    """

    def at_start(self, moment: Moment) -> Observation | None:
        """Before the first epoch; not of a trial that is resumed."""
        return None

    def before_epoch(self, moment: Moment) -> None:
        """Before each epoch, with the metrics of the one before."""

    def after_epoch(self, moment: Moment) -> Observation | None:
        """After each epoch, with its metrics; some of them are not finite in the one in which a trial diverges."""
        return None

    def at_end(self, moment: Moment, status: str) -> None:
        """Once the trial has ended as `completed` or `diverged`, with its last epoch whose metrics were finite.

        The weights are those of the best epoch, which are saved; none if no epoch was finite.
        """


@dataclass(frozen=True)
class Watch:
    """The callbacks of one trial, asked in their order; what one raises is raised."""

    callbacks: Sequence[Callback] = ()
    moment: Callable[[int, Mapping[str, float], Weights], Moment] | None = None  # from epoch, metrics and weights

    def at_start(self, weights: Weights) -> Observation:
        observed = together(checked(hook, hook.at_start(moment)) for hook, moment in self._each(0, {}, weights))
        if unrecorded := sorted(set(observed.metrics) - {"probe_loss"}):  # which diagnostics record
            raise InputError(f"train.callbacks: {unrecorded[0]} is a metric of no epoch; at_start records layers only.")
        return observed

    def before_epoch(self, epoch: int, metrics: Mapping[str, float], weights: Weights) -> None:
        for hook, moment in self._each(epoch, metrics, weights):
            hook.before_epoch(moment)

    def after_epoch(self, epoch: int, metrics: Mapping[str, float], weights: Weights) -> Observation:
        seen = self._each(epoch, metrics, weights)
        observed = together(checked(hook, hook.after_epoch(moment)) for hook, moment in seen)
        if reserved := sorted(set(observed.metrics) & {*metrics, *NOT_METRICS}):
            raise InputError(f"train.callbacks: the runner itself records {reserved[0]}; give the metric another name.")
        return observed

    def at_end(self, epoch: int, metrics: Mapping[str, float], best: list[np.ndarray], status: str) -> None:
        for hook, moment in self._each(epoch, metrics, lambda: best):
            hook.at_end(moment, status)

    def _each(self, epoch: int, metrics: Mapping[str, float], weights: Weights) -> Iterator[tuple[Callback, Moment]]:
        if self.callbacks and self.moment:
            # A copy to be read only: what a callback writes there would be logged as measured.
            moment = self.moment(epoch, MappingProxyType(dict(metrics)), weights)
            yield from ((callback, moment) for callback in self.callbacks)


def checked(callback: Callback, observed: object) -> Observation | None:
    """What a hook of `callback` returned, with numbers as Python has them, whatever library they are of: the log takes
    no others. Raises InputError for another object, for what is no number, and for names that a tracking store may not
    take."""
    if observed is None:
        return None
    name = f"train.callbacks: {type(callback).__module__}.{type(callback).__qualname__}"
    if not isinstance(observed, Observation):
        raise InputError(f"{name} returned a {type(observed).__name__}; wanted is an Observation, or None.")
    layers = {str(layer): _numbers(name, measures) for layer, measures in observed.layers.items()}
    return Observation(_numbers(name, observed.metrics), layers)


def _numbers(callback: str, measures: Mapping[str, Any]) -> Measures:
    numbers: dict[str, float | None] = {}
    for name, value in measures.items():
        if not METRIC_NAME.fullmatch(str(name)):
            raise InputError(f"{callback}: {str(name)[:250]!r}: {NAMES_ALLOWED}.")
        try:
            numbers[str(name)] = None if value is None else float(value)
        except (TypeError, ValueError):
            raise InputError(f"{callback}: {name} is of type {type(value).__name__}, which is no number.") from None
    return numbers


def together(observations: Iterable[Observation | None]) -> Observation:
    """What several callbacks have to say of one epoch."""
    metrics: dict[str, float | None] = {}
    layers: dict[str, dict[str, float | None]] = {}
    for observation in observations:
        if observation:
            metrics |= observation.metrics
            for layer, measures in observation.layers.items():
                layers.setdefault(layer, {}).update(measures)
    return Observation(metrics, layers)
