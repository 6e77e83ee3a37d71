"""What the runner reads of a config, as frozen dataclasses: workers unpickle them, without Hydra or TensorFlow.

The groups dataset, model, optimizer and schedule are open: a file of conf/ names a callable as `_target_`, and its
other keys are that callable's arguments, but for those that the runner itself reads, which are fields here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

Plain = dict[str, Any]  # as YAML and JSON have it: nested, by key
MISSING = "???"  # OmegaConf's mark of a value that a file of conf/ or the user must give
MAPS = ("heads", "metrics", "scales", "formats")  # from names to targets
OPEN = ("dataset", "model", "optimizer", "schedule", "sweep.sampler", "experiment.figure")  # to a target's arguments


@dataclass(frozen=True)
class SearchRange:
    """A range that stands beside the value it ranges over."""

    tier: int  # 1 to 4: how much the hyperparameter usually matters, 1 the most
    range: str  # in Hydra's sweep grammar


@dataclass(frozen=True)
class Target:
    """A callable that a config names, with the arguments that the config gives it."""

    target: str  # dotted path
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> Mapping[str, object]:
        """As it stands in YAML."""
        return {"_target_": self.target, **self.arguments}


@dataclass(frozen=True)
class OpenGroup(Target):
    """A group of conf/ whose keys are, for the most part, its target's affair."""

    search: Mapping[str, SearchRange] = field(default_factory=dict)

    @classmethod
    def own_keys(cls) -> list[str]:
        """The keys that the runner reads itself, which are no arguments of the target."""
        return [f.name for f in fields(cls) if f.name not in ("target", "arguments", "search")]

    def plain(self) -> Mapping[str, object]:
        own = {key: getattr(self, key) for key in self.own_keys()}
        return {**super().plain(), **{key: value for key, value in own.items() if value is not None}}


@dataclass(frozen=True)
class Dataset(OpenGroup):
    """Its target returns `Splits`."""

    normalize: bool | None = None  # whether models get normalised inputs; None: the file has no such key, they do


@dataclass(frozen=True)
class Model(OpenGroup):
    head: str = MISSING  # a name of the map `heads`
    widths: list[str] | None = None  # arguments that only say how wide layers are; None: the file names none


@dataclass(frozen=True)
class Optimizer(OpenGroup):
    """Its target is a class of keras.optimizers, or one like them."""

    @property
    def learning_rate(self) -> float:
        return float(self.arguments["learning_rate"])


@dataclass(frozen=True)
class Schedule(OpenGroup):
    warmup_epochs: float | None = None  # None: the file has no such key


@dataclass(frozen=True)
class EarlyStopping:
    patience: int = 10


@dataclass(frozen=True)
class Augment:
    flip: bool = False
    shift: int = 0


@dataclass(frozen=True)
class Train:
    batch_size: int = MISSING  # type: ignore[assignment]
    epochs: int = MISSING  # type: ignore[assignment]
    label_smoothing: float = 0.0
    early_stopping: EarlyStopping | None = None
    checkpoint_seconds: float = 30.0
    augment: Augment = field(default_factory=Augment)
    diagnostics: bool = False
    metrics: list[str] = field(default_factory=list)  # recorded beside the head's own, by names of the map `metrics`
    callbacks: list[Target] = field(default_factory=list)  # each makes a pipeline.training.callbacks.Callback
    search: Mapping[str, SearchRange] = field(default_factory=dict)


@dataclass(frozen=True)
class Device:
    name: str = MISSING
    visible: list[int] | None = None  # places among the GPUs; None: all
    precision: str = "float32"


@dataclass(frozen=True)
class StageSettings:
    n_trials: int | None = None  # None: an even share of what sweep.n_trials leaves
    epochs: int | None = None  # None: train.epochs
    refine: bool = True  # false: the whole space anew, not the region that the stage before left
    tiers: int | None = None  # keys up to this tier are searched, the others as the config has them; None: all


@dataclass(frozen=True)
class Halving:
    min_epochs: int | None = None  # None: no halving
    factor: int = 3
    brackets: bool = False  # of one stage several, each with other rungs: Hyperband


@dataclass(frozen=True)
class Population:
    every: int | None = None  # epochs after which the worst copy the best; None: no population
    fraction: float = 0.25  # of the trials, that copy at a time
    step: float = 0.1  # by which a copied value moves, up or down: a share of its range's width on its scale
    resample: float = 0.25  # the probability that it is drawn from the whole range instead


@dataclass(frozen=True)
class Sweep:
    name: str | None = None  # None: the time
    sampler: Target = Target(MISSING)  # makes a pipeline.search.samplers.sampler.Sampler
    n_trials: int | None = None  # None: what the sampler has, or what the budget has time for
    budget: str | None = None  # seconds of all starts together, as 90s, 10min or 1h; None: no limit
    max_parameters: int | None = None  # models with more are left out; None: no limit
    max_tier: int = 2
    start_from: str | None = None  # another sweep, by its name or folder
    start_from_control: bool = False  # whether each arm is also searched without it
    metric: str = "auto"  # resolved where the config is: what the head aims at
    direction: str = "auto"  # resolved likewise: maximize or minimize, which the metric says
    dry_run: bool = False
    points: int | None = None
    keep: float | None = None  # the best fraction of a stage's trials, whose box is the next stage's space
    margin: float | None = None  # the box is widened by this fraction of its width on each side
    stop_seeds: int | None = (
        None  # seeds that say what is chance: a stage that may gain no more is left out; None: never
    )
    replicates: int | None = None  # seeds with which the finalists are trained again; None: the best result wins
    finalists: int = 5  # the best trials that are replicated
    keep_models: int | None = 5  # None: model.h5 is written for all
    halving: Halving | None = field(default_factory=Halving)
    population: Population | None = field(default_factory=Population)
    stages: dict[str, StageSettings] = field(default_factory=dict)
    generation: int | None = None  # how many trials a sampler that learns asks for at once; None: its default


@dataclass(frozen=True)
class ExecutorSettings:
    kind: str = MISSING
    workers: int | None = None  # None: one a core, or one a GPU
    max_restarts: int = 0
    fuse: str = "auto"
    xla: str = "auto"
    cohort_size: int | None = None


@dataclass(frozen=True)
class Tracking:
    kind: str = MISSING
    uri: str | None = None
    experiment: str | None = None
    ui: str | None = None
    subscribers: list[Target] = field(default_factory=list)  # each makes a pipeline.tracking.subscriber.Subscriber


@dataclass(frozen=True)
class Experiment:
    title: str = MISSING
    rule: str | None = None  # what is measured of each seed, in words; None: nothing is drawn that seeds could vary
    above: float = 0.0  # the claim shows if the 95 % interval of that, over `seeds`, lies above this
    seeds: list[int] = field(default_factory=list)  # that find whether it shows
    confirm_seeds: list[int] = field(default_factory=list)  # that confirm it: others, looked at once
    ranges: dict[str, str] = field(default_factory=dict)  # beside `seed`
    figure: Target | None = None

    @property
    def searched(self) -> dict[str, str]:
        """What an experiment's sweep searches, as on the command line."""
        seeds = ",".join(map(str, (*self.seeds, *self.confirm_seeds)))
        return {"seed": seeds, **self.ranges} if seeds else self.ranges


@dataclass(frozen=True)
class Config:
    """A whole config, resolved and checked: what is trained, how, where, and how it is recorded."""

    dataset: Dataset
    model: Model
    optimizer: Optimizer
    schedule: Schedule
    train: Train = field(default_factory=Train)
    device: Device = field(default_factory=Device)
    sweep: Sweep = field(default_factory=Sweep)
    executor: ExecutorSettings = field(default_factory=ExecutorSettings)
    tracking: Tracking = field(default_factory=Tracking)
    experiment: Experiment | None = None
    seed: int = 0
    output_dir: str = "outputs"
    resume: str | None = None
    repeat: str | None = None
    allowed_targets: list[str] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)  # name -> target, as in the maps that follow
    metrics: dict[str, str] = field(default_factory=dict)
    scales: dict[str, str] = field(default_factory=dict)  # names that tag() knows -> where their Scale stands
    formats: dict[str, str] = field(default_factory=dict)  # name -> the reader of such files

    def plain(self) -> Mapping[str, Any]:
        """As it stands in YAML, without the ranges."""
        return {f.name: self.plain_group(f.name) for f in fields(self)}

    def plain_group(self, name: str) -> Any:
        return _plain(getattr(self, name))


def changed(config: Config, values: Mapping[str, Any]) -> Config:
    """The config with other values of keys that stand in its groups, by full key."""
    for key, value in values.items():
        group, *path = key.split(".")
        section = getattr(config, group)
        if isinstance(section, OpenGroup) and path[0] not in section.own_keys():
            section = replace(section, arguments=_nested(section.arguments, path, value))
        else:
            section = replace(section, **{path[0]: value})
        config = replace(config, **{group: section})
    return config


def _nested(node: Mapping[str, Any], path: list[str], value: Any) -> Mapping[str, Any]:
    return {**node, path[0]: _nested(node[path[0]], path[1:], value) if path[1:] else value}


def own_keys(group: str) -> list[str]:
    """The keys of a group of conf/ that the runner reads itself."""
    kinds: Mapping[str, type[OpenGroup]]
    kinds = {"dataset": Dataset, "model": Model, "optimizer": Optimizer, "schedule": Schedule}
    return kinds[group].own_keys() if group in kinds else []


def _plain(value: Any) -> Any:
    if isinstance(value, Target):
        return _plain(value.plain())
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name != "search"}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every value in nested mappings; an empty mapping counts as a value."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value
