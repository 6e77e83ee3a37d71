"""Which trials of a stage train together: those whose configs differ only in what is data to a graph."""

import copy
import functools
import json
import math
from collections.abc import Sequence
from typing import Any

from pipeline import config as configs
from pipeline.search.plan import Plan
from pipeline.search.stages import points_of
from pipeline.workers import devices

# A cohort smaller than this is not split for the sake of another worker: compiling costs more than it saves.
SMALLEST_SHARE = 32
# Past this a cohort's state leaves the processor's cache and its cost a trial no longer falls.
COHORT_SIZE = 64

# Settings that differ freely within a cohort: they are numbers by trial, or nothing of the graph at all.
_FREE_GROUPS = ("schedule", "sweep", "executor", "tracking")
_FREE = ("seed", "output_dir", "resume", "allowed_targets", "train.label_smoothing", "train.early_stopping",
    "train.diagnostics")  # fmt: skip


def cohort_key(config: dict[str, Any]) -> str:
    """Equal for configs of one graph. Numbers of the optimizer and fractional ones of the model are data; so are the
    widths that the model's `widths` names. A worker looks at the layers themselves and splits what differs after all.
    """
    widths = config["model"].get("widths") or []
    structural: dict[str, Any] = {}
    for key, value in configs.leaves(config):
        group, _, name = key.partition(".")
        if group in _FREE_GROUPS or name.startswith("search") or key.startswith(_FREE):
            continue
        if group == "optimizer" and not isinstance(value, str):
            continue
        if group == "model" and isinstance(value, float):
            structural[key] = bool(value)  # none at all is another graph
        elif group == "model" and name in widths:
            structural[key] = len(value) if isinstance(value, list) else "one"
        else:
            structural[key] = value
    return json.dumps(structural, sort_keys=True)


def width(config: dict[str, Any]) -> float:
    """How large the trial's model is beside others of its cohort."""
    total = 1.0
    for name in config["model"].get("widths") or []:
        value = config["model"].get(name)
        total *= math.prod(value) if isinstance(value, list) else value or 1
    return total


def of_first_stage(plan: Plan, workers: int, executor: dict[str, Any]) -> list[tuple[list[int], dict[str, Any]]]:
    """The cohorts of a sweep's first stage before anything is asked: trials of each, and the config of its widest."""
    arms = [configs.plain(arm.config) for arm in plan.arms]
    sweep, stage = arms[0]["sweep"], plan.stages[0]
    spaces = [arm.space for arm in plan.arms]
    plain = []
    for arm, params in points_of(spaces, sweep, stage.n_trials, plan.seeds(), 0):
        config = copy.deepcopy(arms[arm])  # whole: any of its groups may have a searched key
        for key, value in params.items():
            *path, last = key.split(".")
            functools.reduce(dict.__getitem__, path, config)[last] = value
        config["train"]["epochs"] = stage.epochs or config["train"]["epochs"]
        plain.append(config)
    found = cohorts(plain, workers, executor)
    return [(cohort, max((plain[place] for place in cohort), key=width)) for cohort in found]


def settings(config: dict[str, Any], n_cohorts: int) -> dict[str, Any]:
    """What a worker reads of a cohort's job besides its trials: how it may train, and in how much memory.

    n_cohorts: of the stage; the fewer, the more workers are free for trials that train one by one.
    """
    executor, device = config["executor"], config["device"]["name"]
    workers = devices.workers_of(config)
    return {
        **{key: executor[key] for key in ("fuse", "xla", "cohort_size")},
        "memory": devices.memory(device, workers),
        "spread": max(1, workers // max(1, n_cohorts)),
    }


def cohorts(plain: Sequence[dict[str, Any]], workers: int, executor: dict[str, Any]) -> list[list[int]]:
    """Places in `plain`, the configs of a stage's trials, cohort by cohort, the largest first. executor: its config.

    A pure function of the stage's trials, not of which are still missing: a resumed trial trains as it began. Large
    cohorts are split into shares for the workers, with the widths of a share close to each other, for a cohort
    costs what its widest trial costs.
    """
    if executor["fuse"] == "never":
        return [[place] for place in range(len(plain))]
    groups: dict[str, list[int]] = {}
    for place, config in enumerate(plain):
        groups.setdefault(cohort_key(config), []).append(place)
    most = executor["cohort_size"] or COHORT_SIZE
    result = []
    for group in groups.values():
        shares = max(1, min(round(workers * len(group) / len(plain)), len(group) // SMALLEST_SHARE))
        shares = max(shares, math.ceil(len(group) / most))
        ordered = sorted(group, key=lambda place: (width(plain[place]), place))
        size = math.ceil(len(group) / shares)
        result += [sorted(ordered[i : i + size]) for i in range(0, len(ordered), size)]
    return sorted(result, key=lambda cohort: (-len(cohort), cohort))
