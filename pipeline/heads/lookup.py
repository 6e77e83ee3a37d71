"""From a config to its head and metrics, by the maps `heads` and `metrics` of conf/config.yaml."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import InputError, one_of
from pipeline.events import NOT_METRICS
from pipeline.heads.head import Head
from pipeline.heads.metric import Metric
from pipeline.keras_import import absent
from pipeline.schema import Config, Plain
from pipeline.targets import locate, problem

KINDS: dict[str, type[Any]] = {"heads": Head, "metrics": Metric}
HEAVY = ("tensorflow", "keras")
TAKEN = NOT_METRICS | {"probe_loss"}  # which diagnostics record
METRIC_NAME = re.compile(r"\w{1,200}")  # which every tracking store takes, `best_` before it and all
NAMES_ALLOWED = "a name is letters, digits and '_' (at most 200)"


def head_of(config: Config) -> Head:
    """The head that a config names, with the metrics of its epochs. Raises InputError if there is none such."""
    return make_head(
        config.model.head,
        heads=config.heads,
        metrics=config.metrics,
        asked=config.train.metrics,
        objective=config.sweep.metric,
    )


def make_head(
    name: Any,
    *,
    heads: Mapping[str, str],
    metrics: Mapping[str, str],
    asked: Sequence[str] = (),
    objective: str = "val_loss",
) -> Head:
    """The head `name` of the map `heads`. Its metrics, of the map `metrics`: the loss, its own, those `asked` for by
    name, and the one whose value on the validation split, `objective`, is the sweep's aim."""
    if not isinstance(name, str) or name not in heads:
        raise one_of("model.head", name, heads)
    bare: Head = _entry("heads", name, heads)
    own = ("loss", *bare.own_metrics)
    if missing := [key for key in own if key not in metrics]:
        raise InputError(f"metrics.{missing[0]} is missing: model.head={name} records it.")
    recorded = {key: _metric(key, metrics) for key in own}
    for key in asked:
        if key not in metrics:
            raise one_of("train.metrics", key, metrics)
        recorded[key] = _metric(key, metrics)
        if not recorded[key].suits(bare):
            raise InputError(f"train.metrics={key}: with model.head={name} there is none. Leave it out.")
    aim = objective.removeprefix("val_")
    if aim == objective or aim not in metrics:
        suiting = [key for key in metrics if key not in own and _metric(key, metrics).suits(bare)]
        raise one_of("sweep.metric", objective, [f"val_{key}" for key in (*own, *suiting)])
    recorded[aim] = _metric(aim, metrics)
    if not recorded[aim].suits(bare):
        raise InputError(f"sweep.metric={objective}: with model.head={name} there is none. Use sweep.metric=val_loss.")
    return replace(bare, metrics=tuple(recorded.values()))


def aim_of(config: Config) -> tuple[str, str]:
    """The metric and the direction that sweep.metric=auto stands for."""
    maps = {"heads": config.heads, "metrics": config.metrics, "allowed_targets": config.allowed_targets}
    plain: Plain = {"sweep": {"metric": "auto", "direction": "auto"}, "model": {"head": config.model.head}, **maps}
    resolve_aim(plain)
    return plain["sweep"]["metric"], plain["sweep"]["direction"]


def resolve_aim(config: dict[str, Any]) -> None:
    """Writes what a sweep aims at into a plain config where that is `auto`: the head's own metric, or its loss; the
    metric's direction. Raises InputError where no metric follows.

    A config whose head or metrics lie outside `allowed_targets` stays as it is: nothing of it may be imported, and
    it is refused when it is checked.
    """
    sweep, model = config.get("sweep") or {}, config.get("model") or {}
    if "auto" not in (sweep.get("metric"), sweep.get("direction")) or "head" not in model:
        return
    name, maps = model["head"], {kind: config[kind] for kind in KINDS}
    targets, allowed = [*maps["heads"].values(), *maps["metrics"].values()], tuple(config["allowed_targets"])
    if not all(str(target).startswith(allowed) for target in targets):
        return
    if sweep["metric"] == "auto":
        own = make_head(name, **maps).own_metrics
        sweep["metric"] = f"val_{own[0]}" if own else "val_loss"
    if sweep["direction"] == "auto":
        metrics = make_head(name, **maps, objective=sweep["metric"]).metrics
        sweep["direction"] = next(m.direction for m in metrics if f"val_{m.name}" == sweep["metric"])


def _metric(name: str, metrics: Mapping[str, str]) -> Metric:
    if not METRIC_NAME.fullmatch(name) or name in TAKEN or name.startswith("val_"):
        raise InputError(f"metrics.{name}: {NAMES_ALLOWED}, not val_..., nor {', '.join(sorted(TAKEN))}.")
    metric: Metric = _entry("metrics", name, metrics)
    if getattr(metric, "direction", None) not in ("maximize", "minimize") or not hasattr(metric, "axis"):
        raise InputError(f"metrics.{name}={metrics[name]}: it needs a direction, maximize or minimize, and an axis.")
    return metric


def _entry(group: str, name: str, entries: Mapping[str, str]) -> Any:
    """What the entry `name` of a map makes."""
    key, target, kind = f"{group}.{name}", entries[name], KINDS[group]
    with absent(HEAVY) as hidden:  # in the parent; a worker has them
        try:
            made = locate(target, key)
        except InputError as error:
            if (heavy := str(getattr(error.__context__, "name", "")).split(".")[0]) in hidden:
                raise InputError(
                    f"{key}={target} imports {heavy}: import it inside the functions that need it, for the process "
                    "that reads the config starts without."
                ) from None
            raise
    if not (isinstance(made, type) and issubclass(made, kind)):
        raise InputError(f"{key}={target} is not derived from {kind.__module__}.{kind.__name__}.")
    try:
        return made(name)
    except Exception as error:  # such as a TypeError: a method is missing
        raise InputError(f"{key}={target}: {problem(error)}.") from None
