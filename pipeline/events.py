"""Events: what becomes of a trial, by the time at which it does, and the lines of events.jsonl that say so."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from pipeline.typed import build

# What a trial may be, wherever it is shown; the first four are ends.
Status = Literal["completed", "pruned", "diverged", "failed", "interrupted", "paused", "waiting"]
STATUSES: tuple[Status, ...] = get_args(Status)
SCORED = STATUSES[:2]  # of trials that ended with a result that counts

Measures = Mapping[str, float | None]  # by name; None: not finite
Layers = Mapping[str, Measures]  # by layer
KINDS: dict[str, type["Event"]] = {}  # those that stand in events.jsonl, by what they are called there


@dataclass(frozen=True)
class Event:
    kind: ClassVar[str]  # on disk

    time: float  # seconds since 1970

    def __init_subclass__(cls, kind: str = "") -> None:
        cls.kind = kind
        if kind:
            KINDS[kind] = cls

    def to_json(self) -> dict[str, object]:
        """A line of events.jsonl; what is None is left out."""
        values = {key: value for key, value in vars(self).items() if value is not None}
        return {"time": self.time, "event": self.kind, **values}


@dataclass(frozen=True)
class HandedOut(Event):
    """A worker is about to be given the trial; the ledger has it first, and events.jsonl never."""


@dataclass(frozen=True)
class Started(Event, kind="started"):
    pid: int
    parameters: int = 0  # of its model
    resumed_after: int = 0  # epochs that an earlier start has done
    data_fingerprint: str = ""
    data_attributes: Mapping[str, Any] = field(default_factory=dict)
    cohort: int = 1  # trials that train together
    warning: str | None = None  # of how the model takes the data
    threads: int | None = None  # that its computation is split over; None: nobody knows


@dataclass(frozen=True)
class Grouped(Event, kind="grouped"):
    """From the next epoch on the trial is fused with these, until another event says otherwise. Rounding follows from
    their number and their widths, so that whoever repeats the trial to the bit needs to know them."""

    epoch: int  # done before
    trials: list[int]  # their numbers, its own among them; one that fills several places stands there as often
    mode: str | None = None  # fused_xla or fused; None: as before


@dataclass(frozen=True)
class Exploited(Event, kind="exploited"):
    """A trial of a population begins, or goes on as another one stands, with hyperparameters of its own."""

    epoch: int  # done before; 0: it begins
    source: int  # the trial whose weights, slots and averages it has now; itself when it begins
    params: Mapping[str, Any]  # from the next epoch on, by full key


@dataclass(frozen=True)
class EpochEnded(Event, kind="epoch"):
    epoch: int  # from 1
    metrics: Mapping[str, float | None]  # None: not finite
    learning_rate: float = 0.0  # of its last step
    data_wait: float = 0.0  # share of the epoch in which training waited for data
    seconds: float = 0.0  # this trial's share
    cohort_seconds: float | None = None  # of the whole cohort; None: the trial trained alone
    diagnostics: Layers | None = None
    hyperparameters: Mapping[str, Any] | None = None  # those that change while it trains, in a population

    def value(self, metric: str) -> float:
        """NaN where it was not finite, or is not known."""
        number = self.metrics.get(metric)
        return float("nan") if number is None else number

    def to_json(self) -> dict[str, object]:
        line = super().to_json()
        del line["metrics"]
        return {"time": self.time, "event": self.kind, "epoch": self.epoch, **self.metrics, **line}


@dataclass(frozen=True)
class Diagnosed(Event, kind="diagnosed"):
    """What the layers are like before training."""

    epoch: int
    probe_loss: float | None = None
    diagnostics: Layers = field(default_factory=dict)


@dataclass(frozen=True)
class Undiagnosed(Event, kind="undiagnosed"):
    """The layers can't be measured."""

    reason: str


@dataclass(frozen=True)
class Paused(Event, kind="paused"):
    """At a rung, or because its sweep's budget is used; with its state saved."""

    epochs: int
    best_epoch: int
    metrics: Mapping[str, float]  # of the best epoch
    seconds: float = 0.0

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "status": "paused", "reason": None}


@dataclass(frozen=True)
class Ended(Event, kind="ended"):
    status: Status
    reason: str | None = None
    epochs: int = 0
    best_epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the best epoch
    seconds: float | None = None  # of its training; None: it was pruned, or failed
    input_error: bool | None = None  # whether the config or the data are to blame; None: it failed of no error
    lacked: str | None = None  # `disk` or `memory`, of which there was too little: it runs again with the same command

    def to_json(self) -> dict[str, object]:
        line = {**super().to_json(), "reason": self.reason}
        if self.status == "failed":  # how far it came, its epochs say
            for key in ("epochs", "best_epoch", "metrics"):
                del line[key]
        return line


@dataclass(frozen=True)
class Interrupted(Event, kind="interrupted"):
    """To be resumed from its last state."""


@dataclass(frozen=True)
class Promoted(Event, kind="promoted"):
    """It had been pruned, and goes on after all."""

    epoch: int = 0  # done before


@dataclass(frozen=True)
class Restarting(Event, kind="restarting"):
    """Its worker died, or it had ended for want of disk or memory."""

    reason: str


# What else than metrics stands in the line of an epoch, and so is no name of a metric.
NOT_METRICS = {"time", "event"} | {f.name for f in fields(EpochEnded)}


def event_from_json(line: Mapping[str, Any]) -> Event | None:
    """The event of a line of events.jsonl, of any version; None for one of a kind that this version does not know.

    Raises InputError for a line without a key that its kind needs, and for a value of a wrong type.
    """
    kind = KINDS.get(str(line.get("event")))
    if kind is None:
        return None
    values = {"time": 0.0, **line}
    if kind is EpochEnded:
        values["metrics"] = {key: value for key, value in line.items() if key not in NOT_METRICS}
    return build(kind, values, f"event {kind.kind}")
