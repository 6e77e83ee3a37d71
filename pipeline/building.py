"""A Config from a resolved container: what stands in YAML becomes classes here, once."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, get_type_hints

from pipeline.compatibility import GONE
from pipeline.errors import InputError
from pipeline.schema import Config, OpenGroup, SearchRange, Target, leaves
from pipeline.typed import Readers, build

# What the runner needs of a group beside its target.
SEARCHED = ("dataset", "model", "optimizer", "schedule", "train")  # groups with ranges beside their values
NEEDED = {"model": ("head",), "optimizer": ("learning_rate",)}


def built(values: Mapping[str, Any]) -> Config:
    """The Config of a resolved container. Raises InputError for a group without what the runner needs of it, for a
    range of a key that its group lacks, and for a value of a wrong type."""
    for key, _ in leaves(values):
        if key in GONE:  # added with a +
            raise InputError(f"{key} is not in the config.\n{GONE[key]}")
    if not target(values["sweep"].get("sampler")):
        raise InputError(
            "sweep.sampler._target_ is missing: a sweep file names its sampler, as conf/sweep/random.yaml."
        )
    config = build(Config, values, strict=True, readers=_readers())
    _check_ranges(config, values, SEARCHED)
    return config


def rebuilt(config: Config, values: Mapping[str, Any], groups: Collection[str]) -> Config:
    """The same as built(values), where they differ in `groups` alone from those that `config` was built of: as trials
    do from their arm, of which there may be ten thousand."""
    kinds = get_type_hints(Config)
    new = {key: build(kinds[key], values[key], key, strict=True, readers=_readers()) for key in groups}
    config = replace(config, **new)
    _check_ranges(config, values, groups)
    return config


def _readers() -> Readers:
    return {OpenGroup: _open_group, Target: _target, SearchRange: _search_range}


def _check_ranges(config: Config, values: Mapping[str, Any], groups: Collection[str]) -> None:
    for name in SEARCHED:
        for key in getattr(config, name).search if name in groups else ():
            if key not in values[name]:
                raise InputError(f"{name}.search.{key}: {name}.{key} is not in the config, so it can't be searched.")


def target(node: Mapping[str, Any] | None) -> Target | None:
    """What a mapping with `_target_` calls; None for one without."""
    if not node or "_target_" not in node:
        return None
    return Target(str(node["_target_"]), {key: value for key, value in node.items() if key != "_target_"})


def _target(kind: type[Target], node: Any, key: str) -> Target | None:
    if isinstance(node, Mapping) and (named := target(node)):
        return named
    if key == "experiment.figure":  # which a single run does without
        return None
    raise InputError(f"{key}: {node} has no _target_; each entry of the list names what it calls.")


def _open_group(kind: type[OpenGroup], node: Mapping[str, Any] | None, name: str) -> OpenGroup:
    node = node or {}
    for key in ("_target_", *NEEDED.get(name, ())):
        if key not in node:
            raise InputError(f"{name}.{key} is missing: the runner needs it.")
    own = {key: node[key] for key in kind.own_keys() if key in node}
    if not isinstance(own.get("normalize", False), bool):
        del own["normalize"]  # a data set's own argument of this name
    if own.get("widths") is not None:
        own["widths"] = build(list[str], own["widths"], f"{name}.widths")
    arguments = {key: value for key, value in node.items() if key not in (*own, "_target_", "search")}
    ranges = node.get("search") or {}
    search = {key: _search_range(SearchRange, entry, f"{name}.search.{key}") for key, entry in ranges.items()}
    return kind(str(node["_target_"]), arguments, search, **own)


def _search_range(kind: type[SearchRange], entry: Any, key: str) -> SearchRange:
    if not isinstance(entry, Mapping) or set(entry) != {"tier", "range"} or entry["tier"] not in (1, 2, 3, 4):
        raise InputError(f"{key}={entry} must be {{tier: 1, range: '...'}}.")
    return kind(entry["tier"], str(entry["range"]))
