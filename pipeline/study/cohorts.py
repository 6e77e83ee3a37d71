"""Which trials of a stage train together: those whose configs differ only in what is data to a graph."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import fields

from pipeline.records import Conditions, Trial
from pipeline.schema import Config, ExecutorSettings, leaves
from pipeline.search.plan import Plan
from pipeline.study.sampling import Sampling
from pipeline.workers import devices

# A cohort smaller than this is not split for the sake of another worker: compiling costs more than it saves.
SMALLEST_SHARE = 32
# Past this a cohort's state leaves the processor's cache and its cost a trial no longer falls.
COHORT_SIZE = 64

# Settings that differ freely within a cohort: they are numbers by trial, or nothing of the graph at all.
_FREE_GROUPS = ("schedule", "sweep", "executor", "tracking", "scales")
_FREE = ("seed", "output_dir", "resume", "repeat", "allowed_targets", "train.label_smoothing", "train.early_stopping",
    "train.diagnostics", "train.callbacks")  # fmt: skip


def cohort_key(config: Config) -> str:
    """Equal for configs of one graph. Numbers of the optimizer and fractional ones of the model are data; so are the
    widths that the model's `widths` names. A worker looks at the layers themselves and splits what differs after all.
    """
    return _Keys().of(config)


class _Keys:
    """The keys of configs one after the other: trials of an arm share most groups, which are looked at once."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[object, str]] = {}  # of the config before: a group, and what it adds

    def of(self, config: Config) -> str:
        parts = []
        for field in fields(config):
            if field.name in _FREE_GROUPS:
                continue
            group, (known, part) = getattr(config, field.name), self._last.get(field.name, (None, ""))
            if group is not known or not part:
                plain, widths = config.plain_group(field.name), config.model.widths or ()
                part = json.dumps(_structural(leaves({field.name: plain}), widths), sort_keys=True)
                self._last[field.name] = group, part
            parts.append(part)
        return "".join(parts)


def _structural(values: Iterable[tuple[str, object]], widths: Sequence[str]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in values:
        group, _, name = key.partition(".")
        if key.startswith(_FREE) or (group == "optimizer" and not isinstance(value, str)):
            continue
        if group == "model" and isinstance(value, float):
            result[key] = bool(value)  # none at all is another graph
        elif group == "model" and name in widths:
            result[key] = len(value) if isinstance(value, list) else "one"
        else:
            result[key] = value
    return result


def width(config: Config) -> float:
    """How large the trial's model is beside others of its cohort."""
    total = 1.0
    for value in map(config.model.arguments.get, config.model.widths or ()):
        total *= math.prod(value) if isinstance(value, list) else value or 1
    return total


def of_first_stage(plan: Plan, executor: ExecutorSettings, most: int | None = None) -> list[tuple[list[int], Config]]:
    """The cohorts of a sweep's first generation before it is asked: trials of each, and the config of its widest.
    most: trials that are looked at; None: all."""
    index = plan.first_asked
    trials = Sampling(plan, index, plan.free(plan.stages[index])).first(most)
    configs = [plan.composed(trial).config for trial in trials]
    groups = populations(trials) if plan.evolves else cohorts(configs, devices.workers_of(plan.config), executor)
    return [(cohort, max((configs[place] for place in cohort), key=width)) for cohort in groups]


def populations(trials: Sequence[Trial]) -> list[list[int]]:
    """Places in `trials`, arm by arm: whoever copies each other trains together, however many workers there are."""
    arms = dict.fromkeys(trial.arm for trial in trials)
    return [[place for place, trial in enumerate(trials) if trial.arm == arm] for arm in arms]


def conditions(config: Config) -> Conditions:
    """How the cohorts of a stage may train, and in how much memory."""
    executor = config.executor
    return Conditions(executor.fuse, executor.xla, executor.cohort_size, devices.memory_of(config))


def cohorts(configs: Iterable[Config], workers: int, executor: ExecutorSettings) -> list[list[int]]:
    """Places in `configs`, those of a stage's trials, cohort by cohort, the largest first.

    A pure function of the stage's trials, not of which are still missing: a resumed trial trains as it began. Large
    cohorts are split into shares for the workers, with the widths of a share close to each other, for a cohort
    costs what its widest trial costs.
    """
    groups: dict[str, list[int]] = {}
    widths, keys = [], _Keys()
    for place, config in enumerate(configs):  # of ten thousand trials only what is asked of them here is kept
        groups.setdefault(keys.of(config), []).append(place)
        widths.append(width(config))
    if executor.fuse == "never":
        return [[place] for place in range(len(widths))]
    most = executor.cohort_size or COHORT_SIZE
    result = []
    for group in groups.values():
        shares = max(1, min(round(workers * len(group) / len(widths)), len(group) // SMALLEST_SHARE))
        shares = max(shares, math.ceil(len(group) / most))
        ordered = sorted(group, key=lambda place: (widths[place], place))
        size = math.ceil(len(group) / shares)
        result += [sorted(ordered[i : i + size]) for i in range(0, len(ordered), size)]
    return sorted(result, key=lambda cohort: (-len(cohort), cohort))
