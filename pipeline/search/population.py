"""What a sweep of populations may be like: which hyperparameters can change while a model trains."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline import limits
from pipeline.config import Composed
from pipeline.errors import InputError
from pipeline.schema import Config, Sweep, leaves
from pipeline.search.samplers.sampler import Sampler
from pipeline.search.space import Distribution, Interval, Space

# Numbers that only count before the first step, which nobody goes back to.
_INITIAL = ("optimizer.initial_accumulator_value",)


def evolves(sweep: Sweep) -> bool:
    """Whether a sweep trains populations."""
    return sweep.population is not None and sweep.population.every is not None


def changeable(key: str, dist: Distribution, config: Config) -> bool:
    """Whether a hyperparameter may change while a model trains: it is a number to the optimizer, the schedule, the loss
    or a layer, and decides nothing of which layers there are, how wide they are, or which data they get."""
    group, _, name = key.partition(".")
    values = (dist.low, dist.high) if isinstance(dist, Interval) else dist.values
    if group == "model":
        return name not in (config.model.widths or ()) and not _whole(dist, values)
    if group == "optimizer":
        return key not in _INITIAL and not any(isinstance(value, str | list) for value in values)
    return group == "schedule" or key == "train.label_smoothing"


def _whole(dist: Distribution, values: Sequence[Any]) -> bool:
    """Whether a range is of no fractional numbers: of layers, widths, names. 0 among fractions is one."""
    if isinstance(dist, Interval):
        return dist.integer
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) < len(values) or not any(isinstance(value, float) for value in numbers)


def kept(space: Space, typed: Sequence[str], composed: Composed) -> tuple[Space, list[str]]:
    """The part of an arm's space that a population searches, and the keys that stay as the config has them, of ranges
    that nobody typed. Raises InputError for one that was `typed`, and for a key from which another one follows: that
    would stay as it was."""
    config = composed.config
    fixed = [key for key, dist in space.items() if not changeable(key, dist, config)]
    if asked := next((key for key in fixed if key in typed), None):
        raise InputError(
            f"{asked}={space[asked]}: the trials of a population copy each other's weights, and can't differ in it.\n"
            f"Pin it, {asked}=VALUE, or compare values as arms, each a population: {asked}=A,B."
        )
    searched = {key: dist for key, dist in space.items() if key not in fixed}
    before = dict(leaves(config.plain()))
    for key, dist in searched.items():
        value = next(v for v in (dist.at(0.0), dist.at(0.999), None) if v != before[key])
        after = dict(leaves(composed.with_values({key: value}).config.plain()))
        if follows := [name for name in after if before.get(name) != after[name] and name != key]:
            raise InputError(f"{follows[0]} follows from {key}, which changes while a population trains: pin one.")
    return searched, fixed


def check_population(config: Config, sampler: Sampler, arms: int) -> None:
    """Raises InputError for a sweep whose arms can't each be one population."""
    sweep, executor, n_trials = config.sweep, config.executor, sampler.total()
    largest = math.ceil(n_trials / arms)
    problem = None
    if len(sweep.stages) > 1:
        problem = "a population has one stage; drop the others from sweep.stages"
    elif sweep.halving and sweep.halving.min_epochs:
        problem = "its trials can't be halved, too; add sweep.halving.min_epochs=null"
    elif sampler.generation is not None:
        problem = f"a population begins all at once, and {sweep.sampler.target} waits for results; use another sampler"
    elif sweep.start_from:
        problem = "a population begins at points that are drawn; drop sweep.start_from"
    elif sweep.replicates:
        problem = "a trial has followed a schedule, which other seeds would not; drop sweep.replicates"
    elif sweep.n_trials is None and sweep.budget:
        problem = f"a population is whole from its beginning; sweep.budget={sweep.budget} also needs sweep.n_trials"
    elif n_trials < 2 * arms:
        problem = f"a population has at least 2 trials; sweep.n_trials={n_trials} must be at least {2 * arms}"
    elif executor.fuse == "never":
        problem = "a population is one computation; drop executor.fuse=never"
    elif executor.cohort_size and executor.cohort_size < largest:
        problem = f"a population is one computation; executor.cohort_size must be at least its {largest} trials"
    elif config.device.name in limits.MULTI_DEVICE:
        problem = f"a population is one computation; device={config.device.name} splits each model instead"
    if problem:
        raise InputError(f"sweep.population.every={sweep.population and sweep.population.every}: {problem}.")


def smaller(sampler: Sampler, arms: Sequence[str]) -> list[str]:
    """What the user is told of arms, by their descriptions, whose spaces have too few different points for their share
    of the trials. Raises InputError for one of which no population can be made."""
    n_trials = sampler.total()
    sizes, lines = Counter(point.arm for point in sampler.ask(n_trials)), []
    for i, arm in enumerate(arms):
        if sizes[i] < 2:
            of = f" with {arm}" if arm else ""
            raise InputError(
                f"a population has at least 2 different trials, and there is only {sizes[i]}{of}: search a range or "
                "more values, or give a larger sweep.max_tier."
            )
        if len(arms) > 1 and sizes[i] < n_trials // len(arms):
            lines.append(f"a population of {sizes[i]} trials with {arm}: its space has no more that differ")
    return lines


def notes(config: Config, fixed: Sequence[str]) -> list[str]:
    """What the user is told of a sweep of populations. fixed: keys with ranges in conf/ that they can't search."""
    lines = []
    if fixed:
        which = ", ".join(dict.fromkeys(fixed))
        lines.append(f"not searched in a population, whose trials copy each other's weights: {which}")
    if config.train.early_stopping:
        lines.append("train.early_stopping does not apply to a population: who falls behind copies another one")
    return lines
