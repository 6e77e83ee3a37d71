"""Keys of a sweep that change nothing of it. Typed on the command line they are refused, because whoever types one
expects something of it; a file of conf/sweep/ or an experiment may have them."""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from hydra.core.override_parser.types import Override

from pipeline.errors import InputError
from pipeline.overrides import to_text
from pipeline.schema import leaves
from pipeline.search.plan import Plan, Stage
from pipeline.search.population import evolves
from pipeline.search.tiers import applicable


def check_typed(overrides: Iterable[Override], plan: Plan) -> None:
    """Raises InputError for a key that was typed and can't apply. null and false ask for nothing, and may be."""
    for key, value in _typed(overrides):
        if value not in (None, False) and (why := unused(key, plan)):
            raise InputError(f"{key}={to_text(value)} {why}.")


def _typed(overrides: Iterable[Override]) -> Iterator[tuple[str, Any]]:
    """Keys and values, also of a section that was typed as one: sweep.halving={factor: 2}."""
    for override in overrides:
        if not override.is_sweep_override() and not override.is_delete():
            yield from leaves({override.key_or_group: override.value()})


def unused(key: str, plan: Plan) -> str | None:
    """Why a key of the sweep changes nothing of a plan; None if it does."""
    if any(arm.composed.takes_from(key) for arm in plan.arms):  # such as an argument of somebody's own sampler
        return None
    sweep = plan.config.sweep
    match key.removeprefix("sweep."):
        case "points":
            return "is for grids, sweep=grid: this sweep's sampler does not read it"
        case "keep" | "margin" if not refining(plan):
            return "is for stages that search around the best of the one before, as in sweep=coarse_to_fine"
        case "stop_seeds" if not any(searched_again(plan, *pair) for pair in refining(plan)):
            return "is for stages that search again what the one before did, as in sweep=coarse_to_fine"
        case "finalists" if not sweep.replicates:
            return "is for trials that train again with other seeds: add sweep.replicates=3"
        case "halving.factor" if not sweep.halving or not sweep.halving.min_epochs:
            return "is for halving: add sweep.halving.min_epochs=2"
        case "population.fraction" | "population.step" | "population.resample" if not evolves(sweep):
            return "is for populations: sweep=population"
    if stage := re.fullmatch(r"sweep\.stages\.([^.]+)\.(\w+)", key):
        if sweep.halving and sweep.halving.brackets and stage[2] == "n_trials":
            return "does not apply to brackets, which share out sweep.n_trials: give that instead"
        kept, _ = applicable(sweep.stages, [(arm.space, arm.config) for arm in plan.arms], sweep.max_tier)
        if stage[1] in sweep.stages and stage[1] not in kept:
            return f"does not apply: stage {stage[1]} has nothing more to search with sweep.max_tier={sweep.max_tier}"
    return None


def without_effect(plan: Plan) -> list[str]:
    """Lines about what a sweep is for and does not do with these numbers: that trials stop, copy each other, or are
    learned from."""
    sweep, longest, lines = plan.config.sweep, max(map(plan.epochs, plan.stages)), []
    if sweep.halving and (first := sweep.halving.min_epochs) and not any(map(plan.rungs, plan.stages)):
        lines.append(f"no trial is stopped early: sweep.halving.min_epochs={first}, of {longest} epochs")
    if evolves(sweep) and sweep.population and (sweep.population.every or 0) >= longest:
        lines.append(
            f"no trial copies another one: sweep.population.every={sweep.population.every}, of {longest} epochs"
        )
    asked_at_once = [stage for stage in plan.stages if stage.generation and stage.n_trials <= stage.generation]
    if asked_at_once and len(plan.stages) == 1:
        (stage,) = asked_at_once
        n, size = stage.n_trials, stage.generation
        lines.append(
            f"nothing is learned from any trial: all {n} are asked at once; with sweep.generation below {size}, "
            "or a larger sweep.n_trials, something is"
        )
    return lines


def refining(plan: Plan) -> list[tuple[Stage, Stage]]:
    """The stages that search around the best of another one, each after that one."""
    pairs = itertools.pairwise(plan.stages)
    return [(before, stage) for before, stage in pairs if stage.refine and not before.given]


def searched_again(plan: Plan, before: Stage, stage: Stage) -> bool:
    """Whether a stage searches what the one before did, and no key more: only then do the results of the one before
    say what it may gain."""
    return [*map(set, plan.free(before))] == [*map(set, plan.free(stage))]
