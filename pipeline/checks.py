"""What is asked of a whole config before anything is run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import InputError, one_of
from pipeline.heads.lookup import head_of
from pipeline.limits import limit
from pipeline.schema import MAPS, Config, Experiment, leaves
from pipeline.signatures import check_arguments
from pipeline.targets import locate


def naming(overrides: Sequence[str]) -> list[str]:
    """Those that say what names mean and whose code may run: without them other commands don't know the names."""
    keys = {word: word.lstrip("+~").split("=")[0] for word in overrides if "=" in word}
    return [word for word, key in keys.items() if key.split(".")[0] in ("allowed_targets", *MAPS)]


def check(config: Config) -> None:
    """Refuses values outside their limits and targets outside `allowed_targets`.

    A target is imported and called, so a config from a stranger could otherwise run any code there is.
    """
    plain = config.plain()
    for key, value in leaves(plain):
        check_value(key, value, config.heads)
    for key, target in (*_targets(plain), *((f"{kind}.{n}", t) for kind in MAPS for n, t in plain[kind].items())):
        own_scale = key.startswith("scales.") and target.startswith("pipeline.search.scales.")
        if not own_scale and not target.startswith(tuple(config.allowed_targets)):
            raise InputError(
                f"{key}={target} is not allowed: it must begin with one of {', '.join(config.allowed_targets)} "
                "(allowed_targets in conf/config.yaml)."
            )
    head, metric = head_of(config), config.sweep.metric
    (direction,) = (m.direction for m in head.metrics if f"val_{m.name}" == metric)
    if config.sweep.direction != direction:
        given = config.sweep.direction
        raise InputError(f"sweep.direction={given}: {metric} is to be {direction}d. Leave sweep.direction out.")
    if (smoothing := config.train.label_smoothing) and not head.classifies:
        raise InputError(
            f"train.label_smoothing={smoothing}: with model.head={head.name} there are no labels to smooth. "
            "Use train.label_smoothing=0."
        )
    name = config.sweep.name
    if name is not None and not re.fullmatch(r"[\w][\w.\-]*", name):
        raise InputError(f"sweep.name={name!r} names a folder: letters, digits, '_', '-' and '.', no separator.")


def check_values(config: Config, values: Mapping[str, Any]) -> None:
    """check() of a config that differs in these values alone from one that was checked, which takes a tenth."""
    plain = all(value is None or isinstance(value, int | float | str) for value in values.values())
    if not plain or {"model.head", "train.label_smoothing"} & values.keys():
        check(config)
    for key, value in values.items():
        check_value(key, value, config.heads)


def check_targets(config: Config) -> None:
    """Refuses a key that what it is given to does not take, and the lack of one that it needs."""
    for name in ("dataset", "model", "optimizer", "schedule"):
        check_arguments(name, getattr(config, name))
    for key, targets in (
        ("train.callbacks", config.train.callbacks),
        ("tracking.subscribers", config.tracking.subscribers),
    ):
        for target in targets:
            check_arguments(key, target)


def check_experiment(experiment: Experiment) -> None:
    """Refuses an experiment whose figure nobody could draw, before the hours that it would draw, and one whose seeds
    would confirm what they found themselves, or nothing."""
    if experiment.confirm_seeds and not experiment.seeds:
        raise InputError(
            f"experiment.seeds=[]: experiment.confirm_seeds={experiment.confirm_seeds} confirm what those find. Give "
            "some, or experiment.confirm_seeds=[]."
        )
    if twice := [seed for seed in experiment.confirm_seeds if seed in experiment.seeds]:
        raise InputError(
            f"experiment.confirm_seeds={experiment.confirm_seeds}: {twice[0]} is in experiment.seeds, too. Other seeds "
            "must confirm what those find."
        )
    figure = experiment.figure
    if figure is None:
        raise InputError("experiment.figure._target_ is missing: the function that draws what the sweep shows.")
    locate(figure.target)
    check_arguments("experiment.figure", figure)


def _targets(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every `_target_` in a config, however deep, with its key."""
    entries = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for name, value in entries:
        if name == "_target_":
            yield f"{key}{name}", str(value)
        else:
            yield from _targets(value, f"{key}{name}.")


def check_value(key: str, value: Any, heads: Mapping[str, str]) -> None:
    """Refuses a value outside its limits, and a head that is not in the config's map."""
    limit(key, value)
    if key == "model.head" and (not isinstance(value, str) or value not in heads):
        raise one_of(key, value, heads)
