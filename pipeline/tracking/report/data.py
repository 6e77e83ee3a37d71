"""What a report shows of sweeps. All is known when the page is made: its scripts draw, sort and highlight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.records import TestResult, Trial


@dataclass(frozen=True)
class Tick:
    at: float  # coordinate on the axis
    text: str
    note: str = ""  # a second line


@dataclass(frozen=True)
class ParameterAxis:
    """A searched or crossed key, on the scale that its range has."""

    key: str
    name: str  # the key without its group, where that is clear
    scale: str  # a name of `scales`, or `choice`
    low: float  # coordinates of the ends
    high: float
    ticks: Sequence[Tick]
    choices: Sequence[str] = ()  # what stands at the coordinates 0, 1 and so on
    tier: int | None = None
    ranges: Sequence[str] = ()  # of each arm; empty where it does not search the key


@dataclass(frozen=True)
class TrialReport:
    trial: Trial
    metrics: Mapping[str, float | None]  # as in leaderboard.csv
    coordinates: Sequence[float | None]  # of its value on each axis
    epochs: Sequence[int]  # those of the curves
    curves: Mapping[str, Sequence[float]]  # by metric; NaN where it was not finite
    seconds: float  # of its training
    begun: float | None  # seconds since the first trial began, without pauses between starts
    ended: float | None  # when its last epoch did
    parameters: int  # of its model; 0: not known
    cohort: int  # trials that it began with in one computation
    rungs: Sequence[int]  # epochs at which it was compared


@dataclass(frozen=True)
class Box:
    """Where a stage looked for a parameter in an arm."""

    axis: int
    arm: int
    low: float  # coordinates
    high: float
    text: str


@dataclass(frozen=True)
class StageReport:
    name: str
    epochs: int | None
    boxes: Sequence[Box]
    decision: str = ""  # whether the search went on after it, and why


@dataclass(frozen=True)
class Pairs:
    """Two arms on the same points."""

    arm: str
    other: str
    trials: Sequence[tuple[int, int]]  # numbers: of `arm`, of `other`
    differences: Sequence[float]  # of the metric, `arm` minus `other`
    mean: float | None
    interval: tuple[float, float] | None  # of the mean, 95 %; None: too few pairs
    lost: int  # points without a result of both


@dataclass(frozen=True)
class Replicated:
    """A trial and its other fits, with other seeds."""

    number: int
    values: Sequence[tuple[int, float | None]]  # seed, metric; None: it failed, diverged, or has not ended
    mean: float | None
    sd: float | None  # None: fewer than two
    seeds: int  # of which these are
    epochs: int  # of all fits
    seconds: float


@dataclass(frozen=True)
class Copy:
    """A trial of a population went on as a copy of another one."""

    trial: int
    epoch: int  # done before
    source: int


@dataclass(frozen=True)
class ScheduleStep:
    """Hyperparameters with which the winner's weights were trained from an epoch on, in the trial that had them."""

    from_epoch: int  # from 1
    trial: int
    params: Mapping[str, object]


@dataclass(frozen=True)
class Improvement:
    """A new best value."""

    trial: int
    epochs: int  # trained so far, of all trials together
    seconds: float  # since the first trial began, without pauses between starts
    value: float


@dataclass(frozen=True)
class Mattered:
    """How much a hyperparameter mattered, as importance.csv has it."""

    key: str
    tier: int | None
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Winner:
    number: int
    command: str  # that trains it again; empty: nobody knows
    nearly: str  # that trains its values by themselves
    cautions: Sequence[str]  # what the best value does not say by itself
    test: TestResult | None


@dataclass(frozen=True)
class SweepReport:
    name: str
    folder: str
    metric: str
    direction: str
    sampler: str
    metrics: Sequence[str]  # all that were recorded, the sweep's first
    trials: Sequence[TrialReport]  # best first; those that have not ended last
    axes: Sequence[ParameterAxis]
    arms: Sequence[str]
    begun: float | None  # seconds since 1970
    stages: Sequence[StageReport]
    pairs: Sequence[Pairs]
    progress: Sequence[Improvement]
    winner: Winner | None
    data: Mapping[str, str]  # what is known of the data, by heading
    fixed: Mapping[str, str]  # what all trials have in common, by key
    versions: Mapping[str, str] = field(default_factory=dict)
    importance: Sequence[Mattered] = ()
    disagreements: Sequence[str] = ()  # of the importance with the tiers
    replicated: Sequence[Replicated] = ()
    replicates: Sequence[TrialReport] = ()  # all fits of these, by number; without coordinates
    copies: Sequence[Copy] = ()  # of a population, by epoch
    schedule: Sequence[ScheduleStep] = ()
    spent: float = 0.0  # seconds of all starts, start-up included; 0: an earlier version did not note them
    budget: float | None = None  # seconds
