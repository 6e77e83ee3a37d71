"""What travels between rooms and processes: a trial, the jobs that workers do, and what they report.

Each is made in one place and matched where it is read. The keys that stand in events.jsonl are those of `to_json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from pipeline.schema import Config
from pipeline.typed import build

SCORED = ("completed", "pruned")  # statuses of trials that ended with a result that counts


@dataclass(frozen=True)
class Trial:
    """One configuration, and how far it is."""

    number: int
    stage: str
    arm: int  # its place among the plan's arms
    params: Mapping[str, Any]  # what was searched or crossed, by full key
    started: bool = False
    status: str | None = None  # completed, pruned, diverged or failed; None: it has not ended
    reason: str | None = None  # of that status
    metrics: Mapping[str, float] = field(default_factory=dict)  # of its best epoch
    best_epoch: int = 0  # from 1; 0: none yet
    reached: int = 0  # the rung's epoch at which it last paused
    run_id: str | None = None  # in the tracking store, once all of it is there

    @property
    def shown_status(self) -> str:
        return self.status or ("interrupted" if self.started else "waiting")


# Jobs: what a worker is asked to do.


@dataclass(frozen=True)
class TrialTask:
    """What a worker needs of a trial."""

    number: int
    config: Config
    record: dict[str, Any]  # the config as model.h5 is to describe it, without secrets
    folder: str


@dataclass(frozen=True)
class Conditions:
    """How the trials of a cohort may train."""

    fuse: str = "auto"  # auto, always or never
    xla: str = "auto"  # auto, always or never
    cohort_size: int | None = None  # trials at most
    memory: float = float("inf")  # bytes that a cohort may take


@dataclass(frozen=True)
class TrainJob:
    """Trials to be trained, together where they can."""

    number: int
    trials: tuple[TrialTask, ...]
    planned: int = 1  # trials that the cohort had when it was planned, which decides its mode
    until: int | None = None  # pause after this epoch
    export: bool = False  # write model.h5 of each
    conditions: Conditions = field(default_factory=Conditions)
    deaths: int = 0  # workers that have died of it
    halved: bool = False  # their number may be what a worker died of


@dataclass(frozen=True)
class LoadJob:
    """Data sets to be loaded, checked and described; a worker does so before it imports Keras."""

    number: int
    configs: tuple[Config, ...]


@dataclass(frozen=True)
class MeasureJob:
    """A cohort whose time and memory are to be forecast."""

    number: int
    config: Config  # of its largest trial
    planned: int
    conditions: Conditions


@dataclass(frozen=True)
class TestJob:
    """The test split for the model of a trial."""

    __test__: ClassVar[bool] = False  # no class of tests

    number: int
    trial: TrialTask


@dataclass(frozen=True)
class PredictJob:
    """Inputs for the model of a trial."""

    number: int
    trial: TrialTask
    inputs: np.ndarray


@dataclass(frozen=True)
class ExportJob:
    """model.h5 of a trial that has none."""

    number: int
    trial: TrialTask


Job = TrainJob | LoadJob | MeasureJob | TestJob | PredictJob | ExportJob

# Answers: what a job that is not training has come to.


@dataclass(frozen=True)
class Failure:
    reason: str
    input_error: bool = False  # whether the config or the data are to blame
    died: bool = False  # the worker, and nobody knows of what


@dataclass(frozen=True)
class DataFacts:
    """What the parent learns of a data set, which it never opens."""

    fingerprint: str
    description: str  # a line for a person
    columns: Mapping[str, str]  # of a table: how each is understood
    attributes: Mapping[str, Any]  # what else the data say of themselves


@dataclass(frozen=True)
class CohortSummary:
    """How a cohort trains, in how much memory, and why."""

    mode: str  # fused_xla, fused or solo
    reason: str
    at_once: int  # trials in one computation
    bytes_a_trial: int
    memory: float  # bytes that there are


@dataclass(frozen=True)
class Measurement:
    summary: CohortSummary
    start: float  # seconds before the first epoch
    epoch: float  # seconds of a trial's epoch


@dataclass(frozen=True)
class TestResult:
    __test__: ClassVar[bool] = False  # no class of tests

    metrics: Mapping[str, float]
    n: int  # examples


Answer = None | Failure | tuple[DataFacts, ...] | Measurement | TestResult | np.ndarray | str

# Events: what becomes of a trial, by the time at which it does.


@dataclass(frozen=True)
class Event:
    kind: ClassVar[str]  # on disk

    time: float  # seconds since 1970

    def to_json(self) -> dict[str, Any]:
        """A line of events.jsonl."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "time"}
        return {"time": self.time, "event": self.kind, **{k: v for k, v in values.items() if v is not None}}


@dataclass(frozen=True)
class HandedOut(Event):
    """A worker is about to be given the trial; the ledger has it first."""

    kind = "handed_out"


@dataclass(frozen=True)
class Started(Event):
    kind = "started"

    pid: int
    parameters: int = 0  # of its model
    resumed_after: int = 0  # epochs that an earlier start has done
    data_fingerprint: str = ""
    data_attributes: Mapping[str, Any] = field(default_factory=dict)
    cohort: int = 1  # trials that train together


@dataclass(frozen=True)
class EpochEnded(Event):
    kind = "epoch"

    epoch: int  # from 1
    metrics: Mapping[str, float | None]  # None: not finite
    learning_rate: float = 0.0  # of its last step
    data_wait: float = 0.0  # share of the epoch in which training waited for data
    seconds: float = 0.0  # this trial's share
    cohort_seconds: float | None = None  # of the whole cohort; None: the trial trained alone
    diagnostics: Mapping[str, Mapping[str, float | None]] | None = None  # layer -> measure -> value

    def value(self, metric: str) -> float:
        """NaN where it was not finite, or is not known."""
        number = self.metrics.get(metric)
        return float("nan") if number is None else number

    def to_json(self) -> dict[str, Any]:
        line = super().to_json()
        head = {key: line.pop(key) for key in ("time", "event", "epoch")}
        return {**head, **line.pop("metrics"), **line}


@dataclass(frozen=True)
class Diagnosed(Event):
    """What the layers are like before training."""

    kind = "diagnosed"

    epoch: int
    probe_loss: float | None = None
    diagnostics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Undiagnosed(Event):
    """The layers can't be measured."""

    kind = "undiagnosed"

    reason: str


@dataclass(frozen=True)
class Paused(Event):
    """At a rung, with its state saved."""

    kind = "paused"

    epochs: int
    best_epoch: int
    metrics: Mapping[str, float]
    seconds: float = 0.0
    status: str = "paused"


@dataclass(frozen=True)
class Ended(Event):
    kind = "ended"

    status: str
    reason: str | None = None
    epochs: int = 0
    best_epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the best epoch
    seconds: float = 0.0
    input_error: bool = False  # whether the config or the data are to blame

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "reason": self.reason}


@dataclass(frozen=True)
class Interrupted(Event):
    kind = "interrupted"


@dataclass(frozen=True)
class Restarting(Event):
    """Its worker died."""

    kind = "restarting"

    reason: str


KINDS: dict[str, type[Event]] = {
    kind.kind: kind for kind in (Started, EpochEnded, Diagnosed, Undiagnosed, Paused, Ended, Interrupted, Restarting)
}
_NAMED = {"time", "event"} | {f.name for f in fields(EpochEnded)}


def event_from_json(line: Mapping[str, Any]) -> Event | None:
    """The event of a line of events.jsonl, of any version; None for one of a kind that this version does not know."""
    kind = KINDS.get(str(line.get("event")))
    if kind is None:
        return None
    values = {"time": 0.0, **line}
    if kind is EpochEnded:
        values["metrics"] = {key: value for key, value in line.items() if key not in _NAMED}
    return build(kind, values, f"event {kind.kind}")


# Messages: what a worker sends while it does a job.


@dataclass(frozen=True)
class TrialEvent:
    trial: int
    event: Event
    logged: bool = True  # it stands in events.jsonl already


@dataclass(frozen=True)
class CohortPlanned:
    """How these trials are about to train."""

    trials: tuple[int, ...]
    summary: CohortSummary


@dataclass(frozen=True)
class Requeued:
    """These trials do not train together: each is to be a job by itself."""

    trials: tuple[int, ...]


@dataclass(frozen=True)
class Done:
    """The last of a job."""

    answer: Answer = None
    retiring: bool = False  # the worker ends now


Report = TrialEvent | CohortPlanned | Requeued | Done


@dataclass(frozen=True)
class Message:
    job: int
    report: Report


def ended_metrics(trial: Trial) -> Mapping[str, float]:
    """The metrics that count: none of a trial that failed or diverged."""
    return trial.metrics if trial.status in SCORED else {}
