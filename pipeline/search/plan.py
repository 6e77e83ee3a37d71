"""The plan of a study: arms, spaces, stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pipeline.config import Composed
from pipeline.heads.lookup import aim_of
from pipeline.overrides import to_text
from pipeline.records import Repeat, Trial
from pipeline.schema import Config, Target
from pipeline.search.halving import rungs
from pipeline.search.population import evolves
from pipeline.search.samplers.sampler import Search
from pipeline.search.space import Choice, Interval, Params, Space
from pipeline.search.tiers import freed
from pipeline.search.transfer import Start

START_FROM = "sweep.start_from"  # which tells arms apart where some of them start afresh
RANDOM = Target("pipeline.search.samplers.random.Random")


@dataclass(frozen=True)
class Arm:
    """One combination of the comma lists."""

    crossed: Params  # the values of the lists
    composed: Composed  # without trial parameters
    space: Space

    @cached_property
    def config(self) -> Config:
        return self.composed.config

    @property
    def epochs(self) -> int:
        """The most that one of its trials may have, where no stage says."""
        match self.space.get("train.epochs"):
            case Interval(high=high):
                return int(high)
            case Choice(values=values):
                return int(max(values))
        return self.config.train.epochs

    def describe(self) -> str:
        return ", ".join(f"{key}={to_text(value)}" for key, value in self.crossed.items())


@dataclass(frozen=True)
class Stage:
    name: str
    n_trials: int
    epochs: int | None  # None: train.epochs
    refine: bool  # searches the region that the stage before left; otherwise the whole space anew
    tiers: int | None = None  # keys up to this tier are searched; None: all
    given: tuple[tuple[Params, ...], ...] = ()  # what each arm tries, where no sampler chooses
    generation: int | None = None  # how many trials are asked for before any is told of; None: all
    rungs: tuple[int, ...] | None = None  # epochs at which its trials are compared; None: as halving says
    fills: bool = False  # as many trials as the budget has time for, of which n_trials are the most


@dataclass(frozen=True)
class Plan:
    """What a study is to try, stage by stage."""

    arms: list[Arm]
    stages: list[Stage]
    pins: list[str]  # the overrides that every trial has in common, as typed
    sampler: Target
    single: bool = False  # one trial by itself, `python run.py`
    repeat: Repeat | None = None  # what the one trial repeats
    notes: tuple[str, ...] = ()  # what the user is told of it before it is run
    start: Start | None = None  # what is taken over from another sweep

    @classmethod
    def of_one(cls, composed: Composed, overrides: list[str], repeat: Repeat | None = None) -> "Plan":
        """The plan of one trial."""
        stages = [Stage("run", 1, None, True)]
        return cls([Arm({}, composed, {})], stages, overrides, RANDOM, single=True, repeat=repeat)

    @property
    def config(self) -> Config:
        """Of the first arm: what all arms have in common is there."""
        return self.arms[0].config

    @property
    def spaces(self) -> list[Space]:
        """The whole space of each arm, or what another sweep narrowed it to."""
        spaces = [arm.space for arm in self.arms]
        return self.start.spaces(spaces) if self.start else spaces

    def free(self, stage: Stage) -> list[Space]:
        """What a stage may search of each arm, in its whole range."""
        return [freed(space, arm.config, stage.tiers) for arm, space in zip(self.arms, self.spaces, strict=True)]

    def epochs(self, stage: Stage) -> int:
        """The most that a trial of a stage may have."""
        return stage.epochs or most_epochs(self.arms)

    def rungs(self, stage: Stage) -> list[int]:
        """The epochs at which trials of a stage are compared. Some of its arms may end before the last."""
        if stage.rungs is not None:
            return list(stage.rungs)
        return [] if self.single or stage.given else rungs(self.config.sweep.halving, self.epochs(stage))

    @property
    def first_asked(self) -> int:
        """The place of the first stage whose trials a sampler chooses."""
        return next(i for i, stage in enumerate(self.stages) if not stage.given)

    @property
    def evolves(self) -> bool:
        """Whether each arm is a population, whose trials copy each other."""
        return not self.single and evolves(self.config.sweep)

    def columns(self) -> list[str]:
        """Every crossed or searched key, in order of first appearance."""
        return list(dict.fromkeys(key for arm in self.arms for key in (*arm.crossed, *arm.space)))

    def composed(self, trial: Trial) -> Composed:
        """The config of a trial: its arm's, with its parameters set."""
        arm, epochs = self.arms[trial.arm], self._epochs_of(trial)
        # A replicate has a seed of its own where seeds are crossed, too.
        own = {key: value for key, value in trial.params.items() if arm.crossed.get(key, ...) != value}
        return arm.composed.with_values(own | epochs)

    def overrides(self, trial: Trial) -> list[str]:
        """The overrides with which `python run.py` trains a trial by itself."""
        arm, epochs = self.arms[trial.arm], self._epochs_of(trial)
        kept = [p for p in self.pins if not p.lstrip("+~").startswith(("sweep=", "sweep.", "executor"))]
        aim = arm.config.sweep.metric, arm.config.sweep.direction
        if aim != aim_of(arm.config):
            # What decides the best epoch may come from a sweep file, which `python run.py` does not compose.
            kept += [f"sweep.{key}={getattr(arm.config.sweep, key)}" for key in ("metric", "direction")]
        replaced = ("train.epochs",) * bool(epochs) + ("seed",) * (trial.replicate_of is not None)
        kept = [p for p in kept if p.partition("=")[0] not in replaced]
        # Groups first: optimizer=sgd after optimizer.momentum=0.5 reads as if it undid it.
        values = sorted({**arm.crossed, **trial.params, **epochs}.items(), key=lambda item: "." in item[0])
        values = [(key, value) for key, value in values if key != START_FROM]
        return [*kept, *(f"{key}={to_text(value)}" for key, value in values)]

    def _epochs_of(self, trial: Trial) -> dict[str, int]:
        """What the trial's stage says of its epochs, by key."""
        (epochs,) = (stage.epochs for stage in self.stages if stage.name == trial.stage)
        return {} if epochs is None else {"train.epochs": epochs}


def most_epochs(arms: Sequence[Arm]) -> int:
    return max(arm.epochs for arm in arms)


def listed_arms(arms: Sequence[str]) -> str:
    """In one line, however many there are."""
    return " | ".join(arms if len(arms) < 4 else [*arms[:2], "…", arms[-1]])


def search_of(arms: Sequence[Arm], spaces: Sequence[Space], stage: int, n_trials: int | None) -> Search:
    """What the sampler of a stage, by its place, is to search: arms in the spaces that they have there."""
    seeds, generation = tuple(arm.config.seed for arm in arms), arms[0].config.sweep.generation
    return Search(tuple(spaces), seeds, stage, n_trials, generation)
