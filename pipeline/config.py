"""The typed schema of what the runner reads, and what it asks of a composed config.

The groups dataset, model, optimizer and schedule are open: everything in them goes by name to the callable
that their `_target_` names, and its signature is their schema. Reading this module costs no TensorFlow.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.resolvers.oc import env

from pipeline import compatibility
from pipeline.errors import InputError, nearest, one_of
from pipeline.limits import limit
from pipeline.models.heads import HEADS
from pipeline.objective import DIRECTIONS


@dataclass
class EarlyStopping:
    patience: int = 10


@dataclass
class Augment:
    flip: bool = False
    shift: int = 0


@dataclass
class Train:
    batch_size: int = MISSING
    epochs: int = MISSING
    label_smoothing: float = 0.0
    early_stopping: EarlyStopping | None = None
    checkpoint_seconds: float = 30.0
    augment: Augment = field(default_factory=Augment)
    diagnostics: bool = False
    search: dict[str, Any] = field(default_factory=dict)


@dataclass
class Device:
    name: str = MISSING
    visible: list[int] | None = None
    precision: str = "float32"


@dataclass
class Stage:
    n_trials: int | None = None
    epochs: int | None = None
    refine: bool = True  # false: the whole space anew, not the region that the stage before left


@dataclass
class Halving:
    min_epochs: int | None = None  # none: no halving
    factor: int = 3


@dataclass
class Sweep:
    name: str | None = None
    strategy: str = MISSING
    n_trials: int | None = None
    max_tier: int = 2
    metric: str = MISSING
    direction: str = MISSING
    dry_run: bool = False
    points: int | None = None
    keep: float | None = None
    margin: float | None = None
    keep_models: int | None = 5
    halving: Halving | None = field(default_factory=Halving)
    stages: dict[str, Stage] = field(default_factory=dict)


@dataclass
class Executor:
    kind: str = MISSING
    workers: int | None = None
    max_restarts: int = 0
    fuse: str = "auto"
    xla: str = "auto"
    cohort_size: int | None = None


@dataclass
class Tracking:
    kind: str = MISSING
    uri: str | None = None
    experiment: str | None = None
    ui: str | None = None


@dataclass
class Experiment:
    title: str = MISSING
    ranges: dict[str, str] = field(default_factory=dict)
    figure: dict[str, Any] = field(default_factory=dict)


@dataclass
class Config:
    dataset: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    train: Train = field(default_factory=Train)
    device: Device = field(default_factory=Device)
    sweep: Sweep = field(default_factory=Sweep)
    executor: Executor = field(default_factory=Executor)
    tracking: Tracking = field(default_factory=Tracking)
    experiment: Experiment | None = None
    seed: int = 0
    output_dir: str = "outputs"
    resume: str | None = None
    allowed_targets: list[str] = field(default_factory=list)


def register() -> None:
    """Makes the schema known to Hydra under the name that conf/config.yaml starts its defaults with."""
    ConfigStore.instance().store(name="schema", node=Config)


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every value in a plain nested dict; an empty dict counts as a value."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


# What the runner reads itself in groups whose other keys are the target's affair.
REQUIRED = {
    "dataset": ["_target_"],
    "model": ["_target_", "head"],
    "optimizer": ["_target_", "learning_rate"],
    "schedule": ["_target_"],
}


def check(config: dict[str, Any]) -> None:
    """Refuses values outside their limits and targets outside `allowed_targets`, before anything is run.

    A target is imported and called, so a config from a stranger could otherwise run any code there is.
    """
    for group, keys in REQUIRED.items():
        for key in keys:
            if key not in config.get(group, {}):
                raise InputError(f"{group}.{key} is missing: the runner needs it.")
    for key, value in leaves(config):
        if key.split(".")[1:2] != ["search"]:
            limit(key, value)
        if key.endswith("_target_") and not str(value).startswith(tuple(config["allowed_targets"])):
            raise InputError(
                f"{key}={value} is not allowed: it must begin with one of {', '.join(config['allowed_targets'])} "
                "(allowed_targets in conf/config.yaml)."
            )
    _check_metric(config["sweep"]["metric"], config["sweep"]["direction"], config["model"]["head"])
    if (smoothing := config["train"]["label_smoothing"]) and not HEADS[config["model"]["head"]].classifies:
        raise InputError(
            f"train.label_smoothing={smoothing}: with model.head={config['model']['head']} there are no labels to "
            "smooth. Use train.label_smoothing=0."
        )
    name = config["sweep"]["name"]
    if name is not None and not re.fullmatch(r"[\w][\w.\-]*", name):
        raise InputError(f"sweep.name={name!r} names a folder: letters, digits, '_', '-' and '.', no separator.")


def _check_metric(metric: str, direction: str, head: Any) -> None:
    if not isinstance(head, str):  # a list, whose items the limits took
        raise one_of("model.head", head, HEADS)
    allowed = HEADS[head].validation_metrics
    if metric in allowed:
        wanted = DIRECTIONS[metric]
        if direction != wanted:
            raise InputError(f"sweep.metric={metric} is to be {wanted}d: add sweep.direction={wanted}.")
        return
    if any(metric in other.validation_metrics for other in HEADS.values()):
        raise InputError(
            f"sweep.metric={metric}: with model.head={head} there is none. "
            f"Use sweep.metric={allowed[0]} sweep.direction=minimize."
        )
    raise one_of("sweep.metric", metric, allowed)


def plain(config: DictConfig) -> dict[str, Any]:
    """The config with every interpolation resolved. Raises InputError for one that can't be, or a missing value."""
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        if isinstance(error, MissingMandatoryValue):
            raise InputError(f"{error.full_key} is not given: add {error.full_key}=VALUE.") from None
        raise InputError(f"{error.full_key or 'config'}: {str(error).splitlines()[0]}") from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def recorded(config: DictConfig) -> dict[str, Any]:
    """The config for records that others read: resolved, except what comes from the environment, which may be
    a secret and stays as `${oc.env:NAME}`, however it is reached."""
    written = OmegaConf.to_container(config, resolve=False)
    references = re.compile(r"\$\{[\w.\[\]]+\}")
    if not any("${" in references.sub("", str(value)) for _, value in leaves(written)):
        return plain(config)  # no resolver anywhere: nothing to mask, and a new config takes milliseconds a trial
    copy = DictConfig(written)  # untyped: the mask is no number
    OmegaConf.register_new_resolver("oc.env", lambda *words: f"${{oc.env:{','.join(map(str, words))}}}", replace=True)
    try:
        return plain(copy)
    finally:
        OmegaConf.register_new_resolver("oc.env", env, replace=True)


def essential(config: DictConfig) -> dict[str, Any]:
    """What a resumed run or sweep must have in common with its beginning, as in records: all but where and how
    trials run, and what is recorded of them."""
    values = compatibility.current(recorded(config))
    for name in ("executor", "tracking", "output_dir", "allowed_targets", "resume", "experiment"):
        values.pop(name, None)
    values["train"].pop("diagnostics", None)
    values["device"] = {"precision": values["device"]["precision"]}
    return values


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """`key: was A, is B` for every value that differs between two configs."""
    before, after = dict(leaves(old)), dict(leaves(new))
    return [
        f"{key}: was {before.get(key, 'absent')}, is {after.get(key, 'absent')}"
        for key in sorted({*before, *after})
        if before.get(key, ...) != after.get(key, ...)
    ]


def unknown_key(key: str, config: DictConfig) -> InputError:
    """The error for an override of a key that the composed config lacks."""
    names = [name for name, _ in leaves(OmegaConf.to_container(config, resolve=False))]
    groups = [str(name) for name in config]
    return InputError(
        f"{key} is not in the config.{nearest(key, [*groups, *names])}\n"
        f"`python run.py --cfg job` shows every key; `+{key}=...` adds one that the target takes."
    )
