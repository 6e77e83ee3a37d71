"""A population: trials that train together and copy each other. What the parent decides of it, and workers are told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Params = Mapping[str, Any]  # by full key
Score = tuple[float, ...]  # larger is better


@dataclass(frozen=True)
class Copied:
    """A trial goes on as another one stands, with these hyperparameters."""

    trial: int
    source: int
    params: Params


@dataclass(frozen=True)
class Evolution:
    """What makes a population of the trials of a cohort."""

    params: Mapping[int, Params]  # what each began with, of the keys that may change, by the trial's number
    nominal: Params  # a value of each of these keys that leaves nothing out of the graph
    # Who copies whom, from epochs done, scores and hyperparameters by number. It travels to a worker: no lambda.
    copies: Callable[[int, Mapping[int, Score], Mapping[int, Params]], Sequence[Copied]]


@dataclass(frozen=True)
class Recorded:
    """The copies that were made, whatever the scores are now."""

    by_epoch: Mapping[int, Sequence[Copied]]

    def __call__(self, epoch: int, scores: Mapping[int, Score], params: Mapping[int, Params]) -> Sequence[Copied]:
        return self.by_epoch.get(epoch, ())


def nominal(values: Sequence[Any]) -> Any:
    """Of the values of a hyperparameter the one with which graphs are built: none that is 0, false or null if there is
    another, for a momentum or a dropout rate of 0 would leave out what the next value needs."""
    return next((value for value in values if value), values[0])
