"""A Config from a resolved container: what stands in YAML becomes classes here, once."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pipeline.compatibility import GONE
from pipeline.errors import InputError
from pipeline.schema import Config, Dataset, Model, OpenGroup, Optimizer, Schedule, SearchRange, Target, leaves
from pipeline.typed import build

GROUPS: dict[str, type[OpenGroup]] = {
    "dataset": Dataset,
    "model": Model,
    "optimizer": Optimizer,
    "schedule": Schedule,
}
# What the runner needs of a group beside its target.
NEEDED = {"model": ("head",), "optimizer": ("learning_rate",)}


def built(values: Mapping[str, Any]) -> Config:
    """The Config of a resolved container. Raises InputError for a group without what the runner needs of it, and for a
    value of a wrong type."""
    made: dict[str, Any] = {name: _open_group(name, kind, values.get(name) or {}) for name, kind in GROUPS.items()}
    train = values["train"]
    callbacks = [_listed("train.callbacks", node) for node in train.get("callbacks") or []]
    made["train"] = {**train, "search": _search("train", train), "callbacks": callbacks}
    made["sweep"] = {**values["sweep"], "sampler": _sampler(values["sweep"].get("sampler"))}
    tracking = values.get("tracking") or {}
    subscribers = [_listed("tracking.subscribers", node) for node in tracking.get("subscribers") or []]
    made["tracking"] = {**tracking, "subscribers": subscribers}
    if experiment := values.get("experiment"):
        made["experiment"] = {**experiment, "figure": target(experiment.get("figure"))}
    for key, _ in leaves(values):
        if key in GONE:  # added with a +
            raise InputError(f"{key} is not in the config.\n{GONE[key]}")
    return build(Config, {**values, **made}, strict=True)


def target(node: Mapping[str, Any] | None) -> Target | None:
    """What a mapping with `_target_` calls; None for one without."""
    if not node or "_target_" not in node:
        return None
    return Target(str(node["_target_"]), {key: value for key, value in node.items() if key != "_target_"})


def _listed(key: str, node: Any) -> Target:
    if isinstance(node, Mapping) and (named := target(node)):
        return named
    raise InputError(f"{key}: {node} has no _target_; each entry of the list names what it calls.")


def _sampler(node: Mapping[str, Any] | None) -> Target:
    if sampler := target(node):
        return sampler
    raise InputError("sweep.sampler._target_ is missing: a sweep file names its sampler, as conf/sweep/random.yaml.")


def _open_group(name: str, kind: type[OpenGroup], node: Mapping[str, Any]) -> OpenGroup:
    for key in ("_target_", *NEEDED.get(name, ())):
        if key not in node:
            raise InputError(f"{name}.{key} is missing: the runner needs it.")
    own = [f.name for f in fields(kind) if f.name not in ("target", "arguments", "search")]
    given = {key: node[key] for key in own if key in node}
    if given.get("widths") is not None:
        given["widths"] = tuple(given["widths"])
    arguments = {key: value for key, value in node.items() if key not in (*own, "_target_", "search")}
    return kind(str(node["_target_"]), arguments, _search(name, node), **given)


def _search(name: str, node: Mapping[str, Any]) -> dict[str, SearchRange]:
    """The ranges of a group. Raises InputError for one of a key that the group lacks, or without tier or range."""
    ranges = {}
    for key, entry in (node.get("search") or {}).items():
        if not isinstance(entry, Mapping) or set(entry) != {"tier", "range"} or entry["tier"] not in (1, 2, 3, 4):
            raise InputError(f"{name}.search.{key}={entry} must be {{tier: 1, range: '...'}}.")
        if key not in node:
            raise InputError(f"{name}.search.{key}: {name}.{key} is not in the config, so it can't be searched.")
        ranges[key] = SearchRange(entry["tier"], str(entry["range"]))
    return ranges
