"""What a model.h5 says of itself, and the data set that it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from pipeline import compatibility
from pipeline.building import built
from pipeline.checks import check
from pipeline.cli.sources import conf
from pipeline.cli.views.text import Shape, clean, warn
from pipeline.config import Composed, differences
from pipeline.data.encoding import Encoding, of_model
from pipeline.data.sources import make_splits
from pipeline.data.splits import Splits
from pipeline.errors import InputError


@dataclass(frozen=True)
class Signature:
    """What goes into a model, and what comes out of it."""

    class_names: list[str]  # empty unless it classifies
    input_shape: Shape  # of one example
    dtype: str  # of the inputs


@dataclass(frozen=True)
class Description:
    """A stranger may have written it: what has not the form that is expected counts as absent."""

    path: Path  # of the model
    attributes: Mapping[str, Any]  # of the file, JSON decoded

    def config(self, *keys: str) -> Any:
        """The value under nested keys in the recorded config; None if there is none."""
        node = self.attributes.get("caviar_config")
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    @property
    def signature(self) -> Signature | None:
        names, shape = self.attributes.get("class_names"), self.attributes.get("input_shape")
        if not isinstance(names, list) or not isinstance(shape, list) or not all(isinstance(n, int) for n in shape):
            return None
        try:
            dtype = np.dtype(self.attributes.get("input_dtype", ""))
        except TypeError:
            return None
        return Signature([clean(name) for name in names], tuple(shape), dtype.name) if dtype.kind in "iuf" else None

    @property
    def encoding(self) -> Encoding | None:
        """Of the columns of the table that the model learned from, if it was one."""
        return of_model(self.path, self.attributes)

    @property
    def dataset(self) -> Mapping[str, Any] | None:
        """The data set of the recorded config, under today's names."""
        dataset = compatibility.current(self.config("dataset"))
        return dataset if isinstance(dataset, dict) else None

    def dataset_name(self) -> str:
        """The file in conf/dataset that the data set came from: it names the same target, and of several that do its
        values differ least.

        Raises InputError if there is none. A stranger's config thereby reaches only what the user's own YAML files
        call: anything in `allowed_targets` would be too much, since Keras itself has functions that run code.
        """
        known = f"Known: {', '.join(f'{name}:test' for name in conf.names())}."
        recorded = self.dataset
        if recorded is None:
            raise InputError(f"{self.path}: no data set is recorded in it; say which INPUT to use. {known}")
        target = recorded.get("_target_")
        own = {name: conf.as_written(name) for name in conf.names()}
        distance = {name: len(differences(o, recorded)) for name, o in own.items() if o.get("_target_") == target}
        if not distance:
            raise InputError(
                f"{self.path}: its data set was made by {target}, which no file in conf/dataset names.\n"
                f"Say which INPUT to use. {known}"
            )
        return min(distance, key=distance.__getitem__)

    def load(self, name: str, words: Sequence[str]) -> Splits:
        """The data set `name` of conf/dataset: as it is recorded if that is the one that the model was trained on, with
        a warning if the data has changed; else as its file says, with seed 0. words: formats of the user's own."""
        recorded = self.dataset
        if recorded is None or self.dataset_name() != name:
            return conf.chosen([f"dataset={name}", *words])[0]
        own = conf.as_written(name)
        node = {key: _resolved(value) if own.get(key) == value else value for key, value in recorded.items()}
        composed = conf.composed_of(*words)
        composed.dataset = {}  # the default one is not asked for, and may lack values
        config = built({**Composed(composed).record, "dataset": node, "seed": self.config("seed") or 0})
        check(config)
        try:
            splits = make_splits(config)
        except InputError:
            raise
        except Exception as error:  # the recorded values may be of any type
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{self.path}: its recorded data set can't be made ({reason}).") from None
        before = self.attributes.get("data_fingerprint")
        if before is not None and before != splits.fingerprint:
            warn(
                f"the data set {name} is not as it was when {self.path} was trained: "
                f"its fingerprint is {splits.fingerprint}, recorded is {before}."
            )
        return splits


def _resolved(value: Any) -> Any:
    """A value that the user's own YAML has too, with `${oc.env:NAME}` looked up: configs record the variable, not
    its content. From a stranger's model alone it stays as it is, or any secret could be put into a path."""
    return OmegaConf.to_container(OmegaConf.create([value]), resolve=True)[0]  # type: ignore[index]
