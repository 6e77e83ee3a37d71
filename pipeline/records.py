"""What travels between rooms and processes: a trial, the jobs that workers do, and what they report.

Each is made in one place and matched where it is read. pipeline.events has the events, which this module passes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from pipeline.events import (
    SCORED,
    Diagnosed,
    Ended,
    EpochEnded,
    Event,
    Exploited,
    Grouped,
    HandedOut,
    Interrupted,
    Paused,
    Promoted,
    Restarting,
    Started,
    Status,
    Undiagnosed,
    event_from_json,
)
from pipeline.evolution import Evolution
from pipeline.schema import Config


@dataclass(frozen=True)
class Promotion:
    """A trial that had been pruned goes on."""

    asked: int  # trials of its stage by then; more, if a later stage had begun
    epoch: int  # at which it had stopped
    metrics: Mapping[str, float]  # of its best epoch until then


@dataclass(frozen=True)
class Trial:
    """One configuration, and how far it is."""

    number: int
    stage: str
    arm: int  # its place among the plan's arms
    params: Mapping[str, Any]  # what was searched or crossed, by full key
    started: bool = False
    status: Status | None = None  # None: it has not ended
    reason: str | None = None  # of that status
    metrics: Mapping[str, float] = field(default_factory=dict)  # of its best epoch
    best_epoch: int = 0  # from 1; 0: none yet
    reached: int = 0  # the rung's epoch at which it last paused
    paused: bool = False  # there, and has not gone on
    rungs: Mapping[int, Mapping[str, float]] = field(default_factory=dict)  # what it was when it paused, by epoch
    promotions: tuple[Promotion, ...] = ()  # of a trial that had stopped at a rung
    run_id: str | None = None  # in the tracking store, once all of it is there
    lacked: str | None = None  # as in Ended
    pair: int | None = None  # the same in all arms that its stage tries on one point; None: nothing to compare it with
    replicate_of: int | None = None  # the trial of which this is another fit, with a seed of its own among its params

    @property
    def shown_status(self) -> Status:
        return self.status or ("paused" if self.paused else "interrupted" if self.started else "waiting")


# Jobs: what a worker is asked to do.


@dataclass(frozen=True)
class TrialTask:
    """What a worker needs of a trial."""

    number: int
    config: Config
    record: Mapping[str, object]  # the config as model.h5 is to describe it, without secrets
    folder: str


@dataclass(frozen=True)
class Conditions:
    """How the trials of a cohort may train."""

    fuse: str = "auto"  # auto, always or never
    xla: str = "auto"  # auto, always or never
    cohort_size: int | None = None  # trials at most
    memory: float = float("inf")  # bytes that a cohort may take


@dataclass(frozen=True)
class FormerCohort:
    """A cohort that a trial was part of, for some of its epochs."""

    epoch: int  # done before
    configs: tuple[Config, ...]  # of its trials, a place each
    place: int  # of the trial itself, among them
    mode: str  # fused_xla, fused or solo


@dataclass(frozen=True)
class Repeat:
    """A trial that is to be trained again, as it was."""

    folder: str
    fingerprint: str  # of the data it was trained on
    threads: int | None  # that its computation was split over; None: nobody knows
    cohorts: tuple[FormerCohort, ...]  # by epoch
    evolution: Evolution | None = None  # if its first cohort was a population, with the place of a trial for its number


@dataclass(frozen=True)
class TrainJob:
    """Trials to be trained, together where they can."""

    number: int
    trials: tuple[TrialTask, ...]
    planned: int = 1  # trials that the cohort had when it was planned, which decides its mode
    # Trials of the cohort, by number, that have ended or paused, and train along.
    ended: Mapping[int, Config] = field(default_factory=dict)
    until: int | None = None  # pause after this epoch
    deadline: float | None = None  # seconds since 1970: pause at the epoch's end after which another would end later
    export: bool = False  # write model.h5 of each
    conditions: Conditions = field(default_factory=Conditions)
    repeat: Repeat | None = None  # of its only trial
    evolution: Evolution | None = None  # if its trials, and those that have ended, are a population
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
class CountJob:
    """Models whose parameters are to be counted."""

    number: int
    configs: tuple[Config, ...]


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


Job = TrainJob | LoadJob | MeasureJob | CountJob | TestJob | PredictJob | ExportJob

# Answers: what a job that is not training has come to.


@dataclass(frozen=True)
class Failure:
    reason: str
    input_error: bool = False  # whether the config or the data are to blame
    died: bool = False  # the worker, and nobody knows of what
    lacked: str | None = None  # as in Ended


@dataclass(frozen=True)
class DataFacts:
    """What the parent learns of a data set, which it never opens."""

    fingerprint: str
    description: str  # a line for a person
    columns: Mapping[str, str]  # of a table: how each is understood
    attributes: Mapping[str, Any]  # what else the data say of themselves
    warnings: Sequence[str] = ()  # what the user should know of how files were understood
    validation_counts: tuple[int, ...] = ()  # examples of each class; empty without classes


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


Answer = None | Failure | tuple[DataFacts, ...] | Measurement | TestResult | np.ndarray | str | list[int | None]

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
