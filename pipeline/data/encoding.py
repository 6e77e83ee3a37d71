"""How the rows of a table become inputs: what a model keeps of the table it learned from, to read another one alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError

KINDS = ("number", "bool", "text")


@dataclass(frozen=True)
class EncodedColumn:
    """One column of a table as inputs of a model."""

    name: str
    kind: str  # number, bool (0 and 1), or text: one input a category, which is 1 in the rows that have it
    categories: tuple[str, ...] = ()  # of text, in the order of their inputs

    @property
    def features(self) -> list[str]:
        """The names of its inputs."""
        return [f"{self.name}={category}" for category in self.categories] if self.kind == "text" else [self.name]


@dataclass(frozen=True)
class Encoding:
    """The columns that are inputs, in their order; another table has them by these names, in any order."""

    columns: tuple[EncodedColumn, ...]
    label: str  # the column of the classes
    dropped: tuple[str, ...] = ()  # columns that training left out

    @property
    def features(self) -> list[str]:
        return [feature for column in self.columns for feature in column.features]

    def to_json(self) -> dict[str, Any]:
        columns = [{"name": c.name, "kind": c.kind, "categories": list(c.categories)} for c in self.columns]
        return {"columns": columns, "label": self.label, "dropped": list(self.dropped)}


def from_json(record: Any) -> Encoding | None:
    """What Encoding.to_json() gave; None if it is something else, for a stranger may have written it."""
    try:
        columns = [EncodedColumn(c["name"], c["kind"], tuple(c["categories"])) for c in record["columns"]]
        encoding = Encoding(tuple(columns), record["label"], tuple(record["dropped"]))
    except (KeyError, TypeError):
        return None
    texts = [encoding.label, *encoding.dropped, *(t for c in columns for t in (c.name, *c.categories))]
    known = all(isinstance(text, str) for text in texts) and all(c.kind in KINDS for c in columns)
    return encoding if known and columns else None


def of_model(path: Path, description: Mapping[str, Any]) -> Encoding | None:
    """The encoding that a model.h5 describes; None if it learned from something else than a table.

    Earlier versions wrote the names of the inputs, and what a person is told of each column. That says the same,
    unless the name of a column looks like the category of another, for which InputError is raised.
    """
    if (encoding := from_json(description.get("table_encoding"))) is not None:
        return encoding
    attributes = description.get("data_attributes")
    if not isinstance(attributes, dict):
        return None
    told, features = attributes.get("columns"), attributes.get("features")
    if not isinstance(told, dict) or not isinstance(features, list) or not all(isinstance(f, str) for f in features):
        return None
    columns, label, rest = [], "", list(features)
    for name, text in told.items():
        kind = str(text).partition(":")[0]
        if kind == "label":
            label = name
        elif kind == "category":
            n = next((i for i, feature in enumerate(rest) if not feature.startswith(f"{name}=")), len(rest))
            columns.append(EncodedColumn(name, "text", tuple(f.removeprefix(f"{name}=") for f in rest[:n])))
            del rest[:n]
        else:
            columns.append(EncodedColumn(name, "bool" if kind == "true or false" else "number"))
            del rest[:1]
    if not columns or not label:
        return None
    encoding = Encoding(tuple(columns), label)
    if encoding.features != features or not all(c.categories for c in columns if c.kind == "text"):
        raise InputError(f"{path}: an earlier version wrote it, and its columns can't be told apart; train it again.")
    return encoding
