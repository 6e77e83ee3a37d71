"""From a command line to the plan of a sweep."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.override_parser.types import Override

from pipeline import limits
from pipeline.checks import MAPS, check, check_value
from pipeline.config import Composed
from pipeline.errors import InputError
from pipeline.overrides import to_text
from pipeline.schema import StageSettings, Sweep
from pipeline.search import hyperband
from pipeline.search.plan import Arm, Plan, Stage, listed_arms, most_epochs, search_of
from pipeline.search.population import check_population, evolves, kept, smaller
from pipeline.search.population import notes as population_notes
from pipeline.search.ranges import declared, distribution, is_arm
from pipeline.search.samplers.sampler import MOST_TRIALS, blamed, make_sampler
from pipeline.search.space import Interval, Space
from pipeline.search.tiers import applicable, freed

Compose = Callable[[list[str]], Composed]
NOT_SEARCHED = (
    "sweep",
    "executor",
    "tracking",
    "hydra",
    "output_dir",
    "allowed_targets",
    "resume",
    "repeat",
    "experiment",
)


def make_plan(overrides: list[Override], compose: Compose, arm_values: Callable[[Override], list[Any]]) -> Plan:
    """Sorts overrides into pins, arms and sampled ranges, and composes each arm once.

    compose: a composed config for a list of override lines. arm_values: the values of a comma list or glob.
    Raises InputError for a range over something that can't be searched.
    """
    ranges = [override for override in overrides if override.is_sweep_override()]
    for override in ranges:
        group = override.key_or_group.split(".")[0]
        if group in (*NOT_SEARCHED, *MAPS) or ".search." in override.key_or_group:
            raise InputError(f"{override.input_line}: {group} sets up the sweep and can't be searched.")
        if override.is_add() or override.is_force_add() or override.is_delete():
            raise InputError(
                f"{override.input_line}: a range is for a key that the config has. Drop the + or ~, or "
                "add the key to a file of your own conf/ (--config-dir)."
            )
    for key in {override.key_or_group for override in ranges}:
        lines = [str(o.input_line) for o in overrides if o.key_or_group == key]
        if len(lines) > 1:
            raise InputError(f"{key} is given more than once: {'  '.join(lines)}. Keep one.")
    crossed = [override for override in ranges if is_arm(override)]
    sampled = [override for override in ranges if not is_arm(override)]
    pinned = [override for override in overrides if not override.is_sweep_override()]
    pins, keys = [str(o.input_line) for o in pinned], {o.key_or_group for o in (*pinned, *crossed)}
    arms = []
    for values in itertools.product(*(arm_values(o) for o in crossed)):
        chosen = dict(zip((o.key_or_group for o in crossed), values, strict=True))
        composed = compose([*pins, *(f"{key}={to_text(value)}" for key, value in chosen.items())])
        own = [o for o in sampled if composed.kind_of(o.key_or_group) != "nothing"]
        arms.append(Arm(chosen, composed, _space(composed, own, keys)))
    sweep, kept_out = arms[0].config.sweep, list[str]()
    if evolves(sweep):
        typed = [override.key_or_group for override in sampled]
        for i, arm in enumerate(arms):
            space, fixed = kept(arm.space, typed, arm.composed)
            arms[i], kept_out = replace(arm, space=space), kept_out + fixed
    notes = [note for override in sampled if (note := _having(arms, override.key_or_group))]
    if len(aims := {arm.config.sweep.metric: arm for arm in arms}) > 1:
        listed = ", ".join(f"{metric} with {arm.describe()}" for metric, arm in aims.items())
        raise InputError(
            f"sweep.metric=auto: arms aim at different metrics ({listed}). Give one, sweep.metric=val_loss."
        )
    if not sweep.stages:
        raise InputError("sweep.stages is empty: give at least one stage, as in conf/sweep/random.yaml.")
    staged = next((name for name, stage in sweep.stages.items() if stage.epochs is not None), None)
    if staged and "train.epochs" in keys.union(*(arm.space for arm in arms)):
        raise InputError(f"train.epochs does not apply: stage {staged} sets its own, sweep.stages.{staged}.epochs.")
    if evolves(sweep):
        notes += population_notes(arms[0].config, kept_out)
    settings, left_out = applicable(sweep.stages, [(arm.space, arm.config) for arm in arms], sweep.max_tier)
    stages = stages_of(arms, [arm.space for arm in arms], sweep, settings)
    return Plan(arms, stages, pins, sweep.sampler, notes=(*notes, *left_out, *_of_sampler(arms, sweep, stages[0])))


def _having(arms: Sequence[Arm], key: str) -> str | None:
    """Which arms have a key that is searched; None if all do. Raises InputError if none does."""
    having = [arm.describe() for arm in arms if key in arm.space]
    if not having:
        errors = [arm.composed.unknown_key(key) for arm in arms]
        raise next((error for error in errors if "Did you mean" in str(error)), errors[0])
    if len(having) == len(arms):
        return None
    return f"{key} is searched with {listed_arms(having)}; the other arms have no such key"


def stages_of(
    arms: Sequence[Arm], spaces: Sequence[Space], sweep: Sweep, settings: Mapping[str, StageSettings], first: int = 0
) -> list[Stage]:
    """The stages with their numbers of trials, which are counted here, so that a grid too large is refused before
    anything is written. spaces: of each arm; first: the place of the first stage."""
    made = {bracket.name: bracket for bracket in hyperband.of_sweep(sweep, settings, most_epochs(arms))}
    if made:
        (stage,) = settings.values()
        settings = {name: replace(stage, n_trials=b.n_trials, refine=False) for name, b in made.items()}
    n_trials = sizes({name: stage.n_trials for name, stage in settings.items()}, sweep.n_trials)
    endless = {name for name, n in n_trials.items() if n is None and sweep.budget}
    if early := [name for name in list(n_trials)[:-1] if name in endless]:
        raise InputError(
            f"sweep.n_trials=null: the last stage fills the budget; say how many trials the others have, such as "
            f"sweep.stages.{early[0]}.n_trials=24."
        )
    if any(s.refine for s in list(settings.values())[1:]) and (sweep.keep is None or sweep.margin is None):
        raise InputError("a sweep of several stages needs sweep.keep and sweep.margin.")
    stages = []
    for index, (name, stage) in enumerate(settings.items(), start=first):
        free = [freed(space, arm.config, stage.tiers) for arm, space in zip(arms, spaces, strict=True)]
        n = MOST_TRIALS if name in endless else n_trials[name]
        sampler = make_sampler(sweep.sampler, search_of(arms, free, index, n))
        if evolves(sweep):
            check_population(arms[0].config, sampler, len(arms))
        if len(settings) > 1 and not sampler.staged:
            raise InputError(f"a sweep of several stages can't have the sampler {sweep.sampler.target}: use another.")
        with blamed(sweep.sampler):
            total, size = sampler.total(), sampler.generation
        fills = name in endless and total == MOST_TRIALS  # a grid stays the whole grid
        made_of = Stage(name, total, stage.epochs, stage.refine, stage.tiers, generation=size, fills=fills)
        stages.append(replace(made_of, rungs=made[name].rungs) if made else made_of)
    if sweep.replicates and any(stage.fills for stage in stages):
        raise InputError(
            f"sweep.replicates={sweep.replicates}: a budget that trials fill leaves no time for it; say how many "
            "trials there are, such as sweep.n_trials=24."
        )
    return stages


def _of_sampler(arms: Sequence[Arm], sweep: Sweep, stage: Stage) -> Iterator[str]:
    """What the user is told of how trials are chosen. Raises InputError for a generation where there is none."""
    sampler = make_sampler(sweep.sampler, search_of(arms, [arm.space for arm in arms], 0, sweep.n_trials))
    if sweep.generation and sampler.generation is None:
        raise InputError(
            f"sweep.generation={sweep.generation} is for samplers that learn, such as sweep=tpe: "
            f"{sweep.sampler.target} knows all its trials from the start."
        )
    yield from sampler.notes()
    if evolves(sweep):
        free = [freed(arm.space, arm.config, stage.tiers) for arm in arms]
        points = make_sampler(sweep.sampler, search_of(arms, free, 0, stage.n_trials))
        yield from smaller(points, [arm.describe() for arm in arms])
    empty = [arm.describe() for arm in arms if not arm.space]
    if 0 < len(empty) < len(arms) and not sampler.repeats:
        yield f"nothing is searched with {listed_arms(empty)}: each is tried once a stage, the other arms get the rest"


def sizes(stages: Mapping[str, int | None], n_trials: int | None) -> dict[str, int | None]:
    """How many trials each stage has, in total over its arms.

    A stage without a number gets an even share of what `n_trials` leaves, earlier ones the remainder; where
    neither says, the result is None and the sampler says (a grid tries all it has).
    Raises InputError if the numbers don't add up or leave a stage without a trial.
    """
    fixed = sum(n for n in stages.values() if n is not None)
    free = [name for name, n in stages.items() if n is None]
    if n_trials is None:
        return dict(stages)
    left = n_trials - fixed
    if (not free and left) or left < len(free):
        raise InputError(
            f"sweep.n_trials={n_trials} is the total of all stages ({', '.join(stages)}), of which {fixed} are given "
            f"in sweep.stages. It must be {fixed if not free else f'at least {fixed + len(free)}'}."
        )
    share = {name: left // len(free) + (i < left % len(free)) for i, name in enumerate(free)}
    return {name: share.get(name, n) for name, n in stages.items()}


def _space(composed: Composed, typed: Sequence[Override], pinned: set[str]) -> Space:
    """The ranges of an arm: those of its YAML up to max_tier that are not pinned, then those typed."""
    config = composed.config
    check(config)
    space = {k: d for k, d in declared(config, config.sweep.max_tier).items() if k not in pinned}
    space |= {o.key_or_group: distribution(o, config.scales) for o in typed}
    for key, dist in space.items():
        if composed.kind_of(key) == "group":
            raise InputError(f"{key} is a group: compare its choices as arms, {key}=a,b, rather than sampling them.")
        if key.endswith("_target_"):
            raise InputError(f"{key} can't be searched: it names what is run. Compare files of its group as arms.")
        rule = limits.LIMITS.get(key)
        whole = isinstance(rule, limits.Number) and rule.integer
        if whole and isinstance(dist, Interval) and not dist.integer:
            raise InputError(f"{key}={dist}: it must be {rule}. Write int(interval(low, high)).")
        for end in [dist.low, dist.high] if isinstance(dist, Interval) else dist.values:
            check_value(key, end, config.heads)
    return space
