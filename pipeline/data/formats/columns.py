"""The columns of a table, as their types say: numbers, true or false, categories, or the classes of a label."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.encoding import EncodedColumn
from pipeline.data.notation import PLAIN, Notation, looks_like_number, settings_for
from pipeline.data.precision import loss
from pipeline.errors import InputError

MAX_CATEGORIES = 100  # of a column: more are names or texts, from which one-hot inputs teach little
MISSING = "(missing)"  # the category of a missing text
NO_TEXT = ("null", "true", "false", "inf", "nan")  # to Hydra, unless in quotes


def kind(type_: Any) -> str | None:
    """What a column of pyarrow's type `type_` holds: number, bool or text; None for anything else."""
    from pyarrow import types

    if types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_):
        return "number"
    if types.is_boolean(type_):
        return "bool"
    return "text" if types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_) else None


def numbers(values: Any) -> np.ndarray:
    """A column of numbers or true/false as float64 [n], NaN where one is missing."""
    return np.asarray(values.to_numpy(), np.float64)


def is_numeric(values: Any) -> bool:
    return kind(values.type) in ("number", "bool")


def side_by_side(table: Any, names: Sequence[str]) -> np.ndarray:
    """Columns of numbers or true/false as float64 [n, columns]."""
    return np.stack([numbers(table[name]) for name in names], 1) if names else np.empty((table.num_rows, 0))


def distinct(values: Any) -> tuple[list[str], np.ndarray]:
    """The distinct texts of a column, sorted, and which one each row has, int32 [n]."""
    import pyarrow as pa

    encoded = values.cast(pa.string()).fill_null(MISSING).combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    order = sorted(range(len(texts)), key=texts.__getitem__)
    place = np.empty(len(texts), np.int32)
    place[order] = np.arange(len(texts))
    return [texts[i] for i in order], place[encoded.indices.to_numpy()]


def texts(values: Any) -> list[str | None]:
    """A column of labels as training calls the classes."""

    def text(value: Any) -> str:
        if isinstance(value, float) and value.is_integer():
            return f"{value:.0f}"
        return str(value).lower() if isinstance(value, bool) else str(value)

    return [None if value is None else text(value) for value in values.to_pylist()]


def listed(names: Sequence[str]) -> str:
    """On one line, however many and long."""
    first = [" ".join(name.split()) for name in names[:8]]
    first = [name if len(name) <= 40 else f"{name[:39]}…" for name in first]
    return ", ".join(first) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def to_utf8(path: Path) -> str:
    """What to do with a file of text of which the letters are written in another way than UTF-8."""
    return f"convert it, of Latin-1 for example: iconv -f LATIN1 -t UTF-8 {shlex.quote(str(path))} > utf8.csv"


def override(key: str, names: Sequence[str]) -> str:
    """The word of a command line that gives `key` a list of columns, for the shell and for Hydra."""
    if all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in NO_TEXT for name in names):
        return f"{key}=[{','.join(names)}]"
    return shlex.quote(f"{key}={json.dumps(list(names), ensure_ascii=False)}")


@dataclass(frozen=True)
class Column:
    """A column to train on. Both `inputs` and `classes` raise InputError with the column, the row and what to do."""

    path: Path
    name: str
    values: Any  # pyarrow's, which know their type
    categorical: Sequence[str]  # columns of which numbers are categories
    dropped: Sequence[str]  # columns that the user leaves out already
    notation: Notation = PLAIN  # of the table

    @cached_property
    def kind(self) -> str:
        """number, bool or text. Raises InputError for a column of anything else."""
        if known := kind(self.values.type):
            return "text" if self.name in self.categorical else known
        from pyarrow import types

        type_ = self.values.type
        what = "is empty" if types.is_null(type_) else f"holds {type_}, neither numbers nor text"
        change = ""
        if types.is_binary(type_):
            what = "holds bytes that are no UTF-8 text"
            change = f" {to_utf8(self.path)}; or" if self.path.suffix.lower() not in (".parquet", ".pq") else ""
        raise InputError(f"{self.path}: the column {self.name!r} {what};{change} leave it out with {self._without}.")

    @property
    def missing(self) -> np.ndarray:
        """Which rows lack a value, bool [n]."""
        return np.asarray(self.values.is_null(nan_is_null=True))

    def rows(self, kept: np.ndarray) -> "Column":
        return replace(self, values=self.values.filter(kept))

    def inputs(self) -> tuple[np.ndarray, EncodedColumn, str]:
        """Its values, which inputs it becomes, and what a person is told of it. The values are float32 [n] for one
        input, or the numbers of categories, int32 [n]."""
        where = f"{self.path}: the column {self.name!r}"
        if self.kind == "text":
            categories, rows = distinct(self.values)
            self._check_categories(categories, rows)
            if len(categories) > MAX_CATEGORIES:
                raise InputError(
                    f"{where} has {len(categories):,} different texts, at most {MAX_CATEGORIES} are taken as "
                    f"categories; leave it out with {self._without}."
                )
            return rows, EncodedColumn(self.name, "text", tuple(categories)), f"category: {listed(categories)}"
        values = numbers(self.values)
        with np.errstate(over="ignore"):
            small = values.astype(np.float32)
        if (missing := np.isnan(values)).any():
            raise InputError(
                f"{where} has no number in {_row(missing)}; fill it in, or leave out such rows (dataset.missing=drop) "
                f"or the column ({self._without})."
            )
        if (large := ~np.isfinite(small)).any():
            raise InputError(
                f"{where} has {values[large][0]:g} in {_row(large)}, which no float32 holds; rescale the column or "
                f"leave it out ({self._without})."
            )
        if lost := loss(np.asarray(self.values.to_numpy())[:, None]):
            raise InputError(
                f"{where} {lost}; subtract {lost.low:.15g} from it in the file, or leave it out ({self._without})."
            )
        text = "true or false" if self.kind == "bool" else f"number: {values.min():.6g} to {values.max():.6g}"
        return small, EncodedColumn(self.name, self.kind), text

    def _check_categories(self, categories: Sequence[str], rows: np.ndarray) -> None:
        """Raises InputError if most values are numbers: those are categories only if the user says so, or if all are
        codes of digits that the file declares to be text."""
        known = ~self.missing
        number = np.array([looks_like_number(text) for text in categories], bool)[rows] & known
        codes = all(text.isdigit() for text in categories if text != MISSING)
        if self.name in self.categorical or codes or 2 * number.sum() <= known.sum():
            return
        plain = np.array([self.notation.is_number(text) for text in categories], bool)[rows]
        odd = known & ~(number & plain)
        row = int(odd.argmax())
        cell = categories[rows[row]]
        if not odd.any():
            problem, change = "but kept as text", "store them as numbers"
        elif number[row]:
            settings = [settings_for(text, self.notation) for text in categories if looks_like_number(text)]
            change = next((words for words in settings if "decimal" in words), settings_for(cell, self.notation))
            problem, change = (
                f"but not written as such: {cell!r} in {_row(odd)}",
                f"give {change}" if change else "write plain ones",
            )
        else:
            missing = override("dataset.missing_values", [*self.notation.missing_values, cell])
            problem = f"{cell[:40]!r} in {_row(odd)} is not"
            change = f"correct it, or take it as missing with {missing}"
        if len(categories) <= MAX_CATEGORIES:
            change += (
                f", or take all as categories with {override('dataset.categorical', [*self.categorical, self.name])}"
            )
        share = f"{number.sum():,} of {known.sum():,} values are numbers"
        raise InputError(f"{self.path}: the column {self.name!r}: {share}, {problem}; {change}.")

    def classes(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Labels as numbers int32 [n], and their names: the distinct values in their order."""
        where = f"{self.path}: the label {self.name!r}"
        if (missing := self.missing).any():
            raise InputError(
                f"{where} is missing in {_row(missing)}; fill it in, or leave such rows out with dataset.missing=drop."
            )
        if self.kind == "number":
            values = numbers(self.values)
            if (broken := values != np.floor(values)).any():
                raise InputError(
                    f"{where} is {values[broken][0]:g} in row {int(broken.argmax()) + 1}; "
                    "classes are whole numbers or text, a quantity can't be predicted."
                )
            labels, rows = np.unique(values, return_inverse=True)
            return rows.astype(np.int32), tuple(f"{label:.0f}" for label in labels)
        classes, rows = distinct(self.values)
        return rows, tuple(classes)

    @property
    def _without(self) -> str:
        """What to add to the command to leave out this column, too."""
        return override("dataset.drop", [*self.dropped, self.name])


def _row(bad: np.ndarray) -> str:
    """The first of the bad rows, bool [n]."""
    return f"row {int(bad.argmax()) + 1} of {len(bad)}"
