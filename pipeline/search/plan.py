"""From a command line to the plan of a sweep: arms, spaces, stages."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from pipeline import config as configs
from pipeline import limits
from pipeline.errors import InputError
from pipeline.search.ranges import declared, distribution, is_arm, to_text
from pipeline.search.space import Interval, Space
from pipeline.search.stages import GRID_POINTS, grid_points, sizes

Compose = Callable[[list[str]], DictConfig]
NOT_SEARCHED = ("sweep", "executor", "tracking", "hydra", "output_dir", "allowed_targets", "resume", "experiment")


@dataclass(frozen=True)
class Arm:
    """One combination of the comma lists. crossed: their values; config: composed, without trial parameters."""

    crossed: dict[str, Any]
    config: DictConfig
    space: Space

    def describe(self) -> str:
        return ", ".join(f"{key}={to_text(value)}" for key, value in self.crossed.items())


@dataclass(frozen=True)
class Stage:
    name: str
    n_trials: int | None
    epochs: int | None  # None: train.epochs
    refine: bool  # searches the region that the stage before left; otherwise the whole space anew


@dataclass(frozen=True)
class Plan:
    """pins: the overrides that every trial has in common, as typed."""

    arms: list[Arm]
    stages: list[Stage]
    pins: list[str]

    def seeds(self) -> list[int]:
        """What each arm's draws follow from: those of one seed are tried on the same points."""
        return [arm.config.seed for arm in self.arms]

    def columns(self) -> list[str]:
        """Every crossed or searched key, in order of first appearance."""
        return list(dict.fromkeys(key for arm in self.arms for key in (*arm.crossed, *arm.space)))


def make_plan(overrides: list[Override], compose: Compose, arm_values: Callable[[Override], list[Any]]) -> Plan:
    """Sorts overrides into pins, arms and sampled ranges, and composes each arm once.

    compose: a composed config for a list of override lines. arm_values: the values of a comma list or glob.
    Raises InputError for a range over something that can't be searched.
    """
    pins: list[Override] = []
    crossed: list[Override] = []
    sampled: list[Override] = []
    for override in overrides:
        key = override.key_or_group
        if not override.is_sweep_override():
            pins.append(override)
            continue
        if key.split(".")[0] in NOT_SEARCHED or ".search." in key:
            raise InputError(f"{override.input_line}: {key.split('.')[0]} sets up the sweep and can't be searched.")
        if override.is_add() or override.is_force_add() or override.is_delete():
            raise InputError(f"{override.input_line}: a range is for a key that the config has; drop the + or ~.")
        (crossed if is_arm(override) else sampled).append(override)
    for key in {o.key_or_group for o in (*crossed, *sampled)}:
        given = [str(o.input_line) for o in overrides if o.key_or_group == key]
        if len(given) > 1:
            raise InputError(f"{key} is given more than once: {'  '.join(given)}. Keep one.")
    lines = [str(o.input_line) for o in pins]
    space_given = {o.key_or_group: distribution(o) for o in sampled}
    arms = []
    for values in itertools.product(*(arm_values(o) for o in crossed)):
        chosen = dict(zip((o.key_or_group for o in crossed), values, strict=True))
        config = compose([*lines, *(f"{key}={to_text(value)}" for key, value in chosen.items())])
        pinned = {o.key_or_group for o in (*pins, *crossed)}
        arms.append(Arm(chosen, config, _space(config, space_given, pinned)))
    sweep = arms[0].config.sweep
    if not sweep.stages:
        raise InputError("sweep.stages is empty: give at least one stage, as in conf/sweep/random.yaml.")
    staged = [name for name, stage in sweep.stages.items() if stage.epochs is not None]
    said = {o.key_or_group for o in pins}.union(*((*arm.crossed, *arm.space) for arm in arms))
    if staged and "train.epochs" in said:
        raise InputError(
            f"train.epochs does not apply: stage {staged[0]} sets its own, sweep.stages.{staged[0]}.epochs."
        )
    shares = sizes({name: stage.n_trials for name, stage in sweep.stages.items()}, sweep.n_trials)
    if sweep.strategy == "grid" and len(shares) == 1:
        # Counted here, so that a grid too large is refused before anything is written.
        spaces = [arm.space for arm in arms]
        shares = {name: len(grid_points(spaces, n, sweep.points or GRID_POINTS)) for name, n in shares.items()}
    stages = [Stage(name, shares[name], stage.epochs, stage.refine) for name, stage in sweep.stages.items()]
    if any(stage.n_trials is None for stage in stages) and sweep.strategy == "random":
        raise InputError("sweep.n_trials is null: random search needs the number of trials, such as sweep.n_trials=24.")
    refines = any(stage.refine for stage in stages[1:])
    lacks = refines and (sweep.keep is None or sweep.margin is None)
    if len(stages) > 1 and (lacks or sweep.strategy != "random"):
        raise InputError("a sweep of several stages needs sweep.strategy=random, sweep.keep and sweep.margin.")
    return Plan(arms, stages, lines)


def _space(config: DictConfig, given: Space, pinned: set[str]) -> Space:
    """The ranges of an arm: those of its YAML up to max_tier that are not pinned, then those typed."""
    plain = configs.plain(config)
    configs.check(plain)
    space = {k: d for k, d in declared(plain, plain["sweep"]["max_tier"]).items() if k not in pinned}
    space.update(given)
    for key, dist in space.items():
        if isinstance(OmegaConf.select(config, key, default=_ABSENT), DictConfig):
            raise InputError(f"{key} is a group: compare its choices as arms, {key}=a,b, rather than sampling them.")
        if OmegaConf.select(config, key, default=_ABSENT) is _ABSENT:
            raise configs.unknown_key(key, config)
        if key.endswith("_target_"):
            raise InputError(f"{key} can't be searched: it names what is run. Compare files of its group as arms.")
        rule = limits.LIMITS.get(key)
        whole = isinstance(rule, limits.Number) and rule.integer
        if whole and isinstance(dist, Interval) and not dist.integer:
            raise InputError(f"{key}={dist}: it must be {rule}. Write int(interval(low, high)).")
        for end in [dist.low, dist.high] if isinstance(dist, Interval) else dist.values:
            limits.limit(key, end)
    return space


_ABSENT = object()


def trial_config(arm: Arm, params: dict[str, Any], epochs: int | None) -> DictConfig:
    """The arm's config with a trial's parameters set: no need to compose it again."""
    config = arm.config.copy()
    for key, value in params.items():
        if key not in arm.crossed:
            OmegaConf.update(config, key, value, merge=False)
    if epochs is not None:
        OmegaConf.update(config, "train.epochs", epochs)
    return config


def trial_overrides(plan: Plan, arm: Arm, params: dict[str, Any], epochs: int | None) -> list[str]:
    """The overrides with which `python run.py` trains this trial by itself."""
    kept = [p for p in plan.pins if not p.lstrip("+~").startswith(("sweep=", "sweep.", "executor"))]
    if any(p.lstrip("+").startswith(("sweep=", "sweep.metric=", "sweep.direction=")) for p in plan.pins):
        # What decides the best epoch may come from another sweep file than the one `python run.py` composes.
        kept += [f"sweep.{key}={arm.config.sweep[key]}" for key in ("metric", "direction")]
    if epochs is not None:
        kept = [p for p in kept if not p.startswith("train.epochs=")]
    values = {**arm.crossed, **params, **({} if epochs is None else {"train.epochs": epochs})}
    # Groups first: optimizer=sgd after optimizer.momentum=0.5 reads as if it undid it.
    ordered = sorted(values.items(), key=lambda item: "." in item[0])
    return [*kept, *(f"{key}={to_text(value)}" for key, value in ordered)]


def header(plan: Plan, fingerprint: str) -> dict[str, Any]:
    """What must be the same for a sweep to be resumed: the space, every fixed value, the data.

    The number of trials is a total that may grow, and where and how trials run or are recorded may change.
    """
    arms = {}
    for index, arm in enumerate(plan.arms):
        fixed = configs.essential(arm.config)
        sweep = fixed.pop("sweep")
        for group in fixed.values():
            if isinstance(group, dict):
                group.pop("search", None)
        space = {key.replace(".", "/"): str(dist) for key, dist in arm.space.items()}
        arms[arm.describe().replace(".", "/") or str(index)] = {"space": space, "config": fixed}
    last = plan.stages[-1]
    strategy = {k: sweep[k] for k in ("strategy", "points", "keep", "margin", "metric", "direction")}
    if sweep["halving"] and sweep["halving"]["min_epochs"]:
        strategy["halving"] = sweep["halving"]
    return {
        "data": fingerprint,
        "strategy": strategy,
        "stages": {
            s.name: {
                "epochs": s.epochs,
                **({} if s is last else {"n_trials": s.n_trials}),
                **({} if s.refine else {"refine": False}),
            }
            for s in plan.stages
        },
        "arms": arms,
        "order": list(arms),  # a trial knows its arm by its place
    }
