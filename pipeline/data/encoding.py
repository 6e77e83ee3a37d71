"""How the rows of a table become inputs: what a model keeps of the table it learned from, to read another one alike."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.data.notation import PLAIN, Notation
from pipeline.errors import InputError
from pipeline.typed import build

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
    notation: Notation = PLAIN  # how the table was written

    @property
    def features(self) -> list[str]:
        return [feature for column in self.columns for feature in column.features]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def from_json(record: object) -> Encoding | None:
    """What Encoding.to_json() gave; None if it is something else, for a stranger may have written it."""
    try:
        encoding = build(Encoding, record)
    except (InputError, TypeError):  # a field of another kind, or none
        return None
    return encoding if encoding.columns and all(column.kind in KINDS for column in encoding.columns) else None


def of_model(path: Path, description: Mapping[str, object]) -> Encoding | None:
    """The encoding that a model.h5 describes; None if it learned from something else than a table.

    Earlier versions wrote the names of the inputs, and what a person is told of each column. That says the same,
    unless the name of a column looks like the category of another, for which InputError is raised.
    """
    if (encoding := from_json(description.get("table_encoding"))) is not None:
        return encoding
    attributes = description.get("data_attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    descriptions, features = attributes.get("columns"), attributes.get("features")
    if not isinstance(descriptions, dict) or not isinstance(features, list):
        return None
    columns, label, rest = [], "", list(map(str, features))
    for name, text in descriptions.items():
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
