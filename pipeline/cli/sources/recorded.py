"""The data set that a model was trained on, as its description records it."""

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from pipeline.building import built
from pipeline.checks import check
from pipeline.cli.sources import conf
from pipeline.cli.sources.description import Description
from pipeline.cli.views.text import warn
from pipeline.config import Composed, differences
from pipeline.data.sources import make_splits
from pipeline.data.splits import Splits
from pipeline.errors import InputError, one_of


def load(name: str, description: Description, words: Sequence[str] = ()) -> Splits:
    """The data set `name`: as the model's config records it if that is the one it was trained on, with a warning
    if the data has changed; else as conf/dataset says, with seed 0. words: formats of the user's own. Raises InputError
    if there is none."""
    if name not in conf.names():
        raise one_of("dataset", name, conf.names())
    recorded = description.dataset
    if recorded is None or recorded_name(description) != name:
        return conf.chosen([f"dataset={name}", *words])[0]
    own = conf.as_written(name)
    node = {key: _resolved(value) if own.get(key) == value else value for key, value in recorded.items()}
    composed = conf.composed_of(*words)
    composed.dataset = {}  # the default one is not asked for, and may lack values
    config = built({**Composed(composed).record, "dataset": node, "seed": description.part("seed") or 0})
    check(config)
    try:
        splits = make_splits(config)
    except InputError:
        raise
    except Exception as error:  # the recorded values may be of any type
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{description.path}: its recorded data set can't be made ({reason}).") from None
    before = description.attributes.get("data_fingerprint")
    if before is not None and before != splits.fingerprint:
        warn(
            f"the data set {name} is not as it was when {description.path} was trained: "
            f"its fingerprint is {splits.fingerprint}, recorded is {before}."
        )
    return splits


def recorded_name(description: Description) -> str:
    """The file in conf/dataset that a model's data set came from: it names the same target, and of several that do
    its values differ least.

    Raises InputError if there is none. A stranger's config thereby reaches only what the user's own YAML files
    call: anything in `allowed_targets` would be too much, since Keras itself has functions that run code.
    """
    known = f"Known: {', '.join(f'{name}:test' for name in conf.names())}."
    recorded = description.dataset
    if recorded is None:
        raise InputError(f"{description.path}: no data set is recorded in it; say which INPUT to use. {known}")
    target = recorded.get("_target_")
    files = {name: conf.as_written(name) for name in conf.names()}
    distance = {name: len(differences(own, recorded)) for name, own in files.items() if own.get("_target_") == target}
    if not distance:
        raise InputError(
            f"{description.path}: its data set was made by {target}, which no file in conf/dataset names.\n"
            f"Say which INPUT to use. {known}"
        )
    return min(distance, key=distance.__getitem__)


def _resolved(value: Any) -> Any:
    """A value that the user's own YAML has too, with `${oc.env:NAME}` looked up: configs record the variable, not
    its content. From a stranger's model alone it stays as it is, or any secret could be put into a path."""
    return OmegaConf.to_container(OmegaConf.create([value]), resolve=True)[0]  # type: ignore[index]
