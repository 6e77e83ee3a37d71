"""What a model.h5 says of itself. A stranger may have written it: what has not the form that is expected counts as
absent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import compatibility
from pipeline.cli.views.text import Shape, clean
from pipeline.data.encoding import Encoding, of_model
from pipeline.saving import model_attributes


@dataclass(frozen=True)
class Signature:
    """What goes into a model, and what comes out of it."""

    class_names: list[str]  # empty unless it classifies
    input_shape: Shape  # of one example
    dtype: str  # of the inputs


@dataclass(frozen=True)
class Description:
    path: Path
    attributes: Mapping[str, Any]  # of the file, JSON decoded

    @classmethod
    def of(cls, path: Path) -> "Description":
        return cls(path, model_attributes(path))

    def part(self, *keys: str) -> Any:
        """The value in the recorded config under nested keys; None if there is none."""
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
    def dataset(self) -> Mapping[str, Any] | None:
        """The data set that the model was trained on, as the recorded config has it."""
        dataset = compatibility.current(self.part("dataset"))
        return dataset if isinstance(dataset, dict) else None

    @property
    def encoding(self) -> Encoding | None:
        """Of the columns of the table that it learned from, if it was one."""
        return of_model(self.path, self.attributes)
