"""What a reader gives of a file: examples that lie together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.data.encoding import Encoding
from pipeline.data.rows import Rows, as_rows
from pipeline.errors import InputError


@dataclass(frozen=True)
class Examples:
    """Inputs with targets beside them, if the file has any. A reader of your own needs the first three fields."""

    where: str  # the file or folder, for messages
    inputs: Rows  # numbers [n, *shape], as the file has them; may be given as an array
    targets: np.ndarray | None = None  # [n], numbers of classes or their names
    class_names: tuple[str, ...] | None = None  # of the classes 0, 1, ..., where the file says them
    encoding: Encoding | None = None  # of a table: which columns the inputs are
    names: Sequence[str] = ()  # of the examples, where they have any: files of images
    attributes: Mapping[str, Any] = field(default_factory=dict)  # what else the file says of itself
    key: str = "inputs"  # what the inputs are called in the file, for messages
    label_key: str = "labels"  # the same of the targets
    dtype: str = ""  # of the inputs in the file, if they are read as another
    storage: str = ""  # how the file keeps them, for a person
    columns: Sequence[Mapping[str, Any]] = ()  # of a table, for a person: name, type, values, missing
    warnings: Sequence[str] = ()  # what the user should know of how the file was understood
    digest: str | None = None  # stands for all inputs, once each was looked at

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", as_rows(self.inputs))

    def __len__(self) -> int:
        return len(self.inputs)

    def labels(self) -> np.ndarray:
        """The targets. Raises InputError if there are none."""
        if self.targets is None:
            raise InputError(f"{self.where}: it has no labels.")
        return self.targets
