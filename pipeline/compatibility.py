"""What earlier versions wrote, as this one reads it: the one place that knows of both."""

from collections.abc import Collection, Mapping
from typing import Any

from pipeline.schema import Plain

# How targets began at first -> how they begin now.
_MOVED = {
    f"pipeline.data.{module}.": f"pipeline.data.{folder}.{module}."
    for folder, modules in {
        "sets": ("digits", "planar", "quadratic", "signs", "keras_sets"),
        "formats": ("hdf5", "npz", "tables", "images"),
    }.items()
    for module in modules
}
_FIRST = {now: first for first, now in _MOVED.items()}
# A sampler as `sweep.strategy` named it.
_SAMPLERS = {"random": "pipeline.search.samplers.random.Random", "grid": "pipeline.search.samplers.grid.Grid"}
# A key that the config no longer has -> what to write in its place.
GONE = {"sweep.strategy": "A file of conf/sweep says how a sweep draws: sweep=grid, sweep=random."}
# Keys that came later, by group -> the value that a config without one has.
ADDED: Mapping[str, Mapping[str, object]] = {
    "train": {"metrics": []},
    "heads": {
        "softmax": "pipeline.heads.softmax.Softmax",
        "sigmoid": "pipeline.heads.sigmoid.Sigmoid",
        "cost": "pipeline.heads.cost.Cost",
    },
    "metrics": {"loss": "pipeline.heads.metrics.Loss", "accuracy": "pipeline.heads.metrics.Accuracy"},
}
# Keys of data sets that came later: only the files of some have them.
_ADDED_TO_SOME: Mapping[str, Mapping[str, object]] = {
    "dataset": {
        "heading": "auto",
        "decimal": ".",
        "thousands": None,
        "missing_values": [],
        "bits": None,
        "normalize": True,
    }
}


def current(record: Any) -> Any:
    """A record of any version, with the names and keys that targets and samplers have now."""
    if not isinstance(record, dict):
        return record
    record = _renamed({key: current(value) for key, value in record.items()}, _MOVED)
    if {"strategy", "points", "metric", "direction"} <= record.keys():  # a config's `sweep`, or a ledger's
        name = record.pop("strategy")
        points = {"points": record["points"]} if name == "grid" else {}
        record["sampler"] = {"_target_": _SAMPLERS[name], **points}
    return record


def original(record: Any) -> Any:
    """A record with the names that targets had at first: what a hash of it was made of then."""
    if not isinstance(record, dict):
        return record
    return _renamed({key: original(value) for key, value in record.items()}, _FIRST)


def _renamed(record: Plain, beginnings: Mapping[str, str]) -> Plain:
    target = record.get("_target_")
    for before, after in beginnings.items():
        if isinstance(target, str) and target.startswith(before):
            return {**record, "_target_": after + target.removeprefix(before)}
    return record


def completed(config: Any) -> Mapping[str, Any]:
    """A whole config of any version, with all keys that there are now."""
    added = {group: {**keys, **config.get(group, {})} for group, keys in ADDED.items()}
    return {key: current(value) for key, value in {**config, **added}.items()}


def with_entries(header: Mapping[str, Any], now: Mapping[str, Any], idle: Collection[str] = ()) -> Mapping[str, Any]:
    """A study's header of any version, as this one has it. Earlier ones had all heads and metrics in their configs, of
    which those count that the same arm uses `now`, and did not say what a scale was, nor how large a generation.
    idle: keys of the strategy that change nothing, whatever they were."""
    arms = {}
    for name, arm in header.get("arms", {}).items():
        if "scales" not in arm and (used := now["arms"].get(name)):
            config, maps = dict(arm["config"]), {}
            for kind in ("heads", "metrics"):
                entries = {**ADDED[kind], **config.pop(kind, {})}
                maps[kind] = {key: entries[key] for key in used[kind] if key in entries}
            arm = {**arm, "config": config, **maps, "scales": used["scales"]}
        arms[name] = arm
    strategy = header.get("strategy", {})
    if "generation" in now.get("strategy", {}):
        strategy = {"generation": now["strategy"]["generation"], **strategy}
    strategy = {**strategy, **{key: now["strategy"][key] for key in idle if key in strategy}}
    return {**header, "strategy": strategy, "arms": arms}


def reduced(config: Mapping[str, Any]) -> Plain:
    """A config, or some of its groups, without the keys that came later and have the value that they had before: two
    versions then compare, and what is hashed of one that uses nothing new is what it was."""
    result = dict(config)
    for group, keys in {**ADDED, **_ADDED_TO_SOME}.items():
        if group in config:
            result[group] = {k: v for k, v in config[group].items() if k not in keys or v != keys[k]}
            if not result[group]:
                del result[group]
    return result
