"""Tables in CSV and Parquet files: columns of numbers and categories, one of them the label.

pyarrow reads both, infers types from whole columns and is there with MLflow. It is imported when a table is read.
"""

import csv as lines
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import parts
from pipeline.data.splits import Splits
from pipeline.errors import InputError, nearest

DELIMITERS = ",;\t|"
MAX_CATEGORIES = 100  # of a column: more are names or texts, from which one-hot inputs teach little
MISSING = "(missing)"  # the category of a missing text


def csv(
    *,
    file: str,
    label: str,
    drop: Sequence[str],
    categorical: Sequence[str],
    missing: str,
    validation_fraction: float,
    test_fraction: float,
    memory: str,
    seed: int,
) -> Splits:
    """A CSV file with a heading; what separates its columns (comma, semicolon, tab or bar) is seen in it.

    label: the column of the classes, text or whole numbers, of which all distinct values are classes; drop: columns
    left out. Numbers and true/false are an input each (float32); a column of text, or one named in `categorical`, is
    an input a category (one-hot). The categories are those of the whole file, so none is new in a later part.
    missing: `error` refuses a number or label that is missing, `drop` leaves such rows out; a missing text is a
    category. memory: `always` to hold data that take more than a sixteenth of the memory.
    The attributes tell the inferred `columns` and the `features`, the name of each input.
    Raises InputError with the column, the row (from 1, the heading not counted) and what to do.
    """
    from pyarrow import csv as reader

    path = _existing(file)
    heading = _heading(path)
    delimiter = max(DELIMITERS, key=lambda d: len(next(lines.reader([heading], delimiter=d))))

    def read() -> Any:
        return reader.read_csv(
            path,
            parse_options=reader.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=reader.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False),
        )

    table = _Table(path, _arrow(path, "CSV", read), label, drop, categorical, missing)
    return table.splits(memory, "csv", {"validation": validation_fraction, "test": test_fraction}, seed)


def parquet(
    *,
    file: str,
    label: str,
    drop: Sequence[str],
    categorical: Sequence[str],
    missing: str,
    validation_fraction: float,
    test_fraction: float,
    memory: str,
    seed: int,
) -> Splits:
    """A Parquet file, whose columns have types; everything else is as with `csv`."""
    from pyarrow import parquet as reader

    path = _existing(file)
    # A single file: pyarrow would take a folder's name for a partition.
    found = _arrow(path, "Parquet", lambda: reader.ParquetFile(path).read())
    table = _Table(path, found, label, drop, categorical, missing)
    return table.splits(memory, "parquet", {"validation": validation_fraction, "test": test_fraction}, seed)


class _Table:
    """Columns by name, each turned into inputs or the label, with a text that tells how."""

    def __init__(
        self, path: Path, table: Any, label: str, drop: Sequence[str], categorical: Sequence[str], missing: str
    ) -> None:
        self.path, self.label, self.dropped, self.n = path, label, list(drop), table.num_rows
        names = table.column_names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"{path}: the column {twice[0]!r} stands there more than once.")
        for key, wanted in (("label", [label]), ("drop", drop), ("categorical", categorical)):
            for name in wanted:
                if name not in names:
                    listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
                    raise InputError(
                        f"dataset.{key}: {path} has no column {name!r}. Columns: {listed}.{nearest(name, names)}"
                    )
        if label in drop:
            raise InputError(f"dataset.drop: {label!r} is the label.")
        self._columns = {name: _decoded(table.column(name)) for name in names if name not in drop}
        if len(self._columns) < 2:
            raise InputError(f"{path}: there is no column beside the label {label!r}.")
        if not self.n:
            raise InputError(f"{path}: it has a heading but no rows.")
        self._categorical = set(categorical)
        if missing == "drop":
            self._drop_incomplete()

    def splits(self, memory: str, source: str, fractions: dict[str, float], seed: int) -> Splits:
        told: dict[str, str] = {}
        features: list[str] = []
        blocks: list[np.ndarray] = []
        for name, column in self._columns.items():
            if name == self.label:
                labels, classes = self._classes(column)
                told[name] = f"label: {_listed(classes)}"
            else:
                values, inputs, told[name] = self._inputs(name, column)
                features += inputs
                blocks.append(values)
        parts.check_memory(str(self.path), 4 * self.n * len(features), memory, source)
        table = np.empty((self.n, len(features)), np.float32)
        at = 0
        for values in blocks:
            block = values[:, None] if values.dtype == np.float32 else values[:, None] == np.arange(values.max() + 1)
            table[:, at : at + block.shape[1]] = block
            at += block.shape[1]
        attributes = {"columns": told, "features": features}
        part = parts.Part(str(self.path), "its rows", self.label, table.__getitem__, labels, classes, attributes)
        return parts.divide({"train": part}, fractions, seed)

    def _inputs(self, name: str, column: Any) -> tuple[np.ndarray, list[str], str]:
        """A column's values, the names of the inputs that it becomes, and what a person is told of it. The values are
        float32 [n] for one input, or the numbers of categories, int32 [n]."""
        kind = self._kind(name, column)
        if kind == "text":
            return self._one_of(name, column)
        values = column.to_numpy().astype(np.float64)
        with np.errstate(over="ignore"):
            small = values.astype(np.float32)
        if (missing := np.isnan(values)).any():
            raise InputError(
                f"{self.path}: the column {name!r} has no number in row {int(missing.argmax()) + 1} of {self.n}; fill "
                f"it in, or leave out such rows (dataset.missing=drop) or the column ({self._without(name)})."
            )
        if (large := ~np.isfinite(small)).any():
            raise InputError(
                f"{self.path}: the column {name!r} has {values[large][0]:g} in row {int(large.argmax()) + 1} of "
                f"{self.n}, which no float32 holds; rescale the column or leave it out ({self._without(name)})."
            )
        told = "true or false" if kind == "bool" else f"number: {values.min():.6g} to {values.max():.6g}"
        return small, [name], told

    def _one_of(self, name: str, column: Any) -> tuple[np.ndarray, list[str], str]:
        categories, numbers = _distinct(column)
        if len(categories) > MAX_CATEGORIES:
            raise InputError(
                f"{self.path}: the column {name!r} has {len(categories):,} different texts, at most {MAX_CATEGORIES} "
                f"are taken as categories; leave it out with {self._without(name)}."
            )
        told = f"category: {_listed(categories)}"
        return numbers, [f"{name}={category}" for category in categories], told

    def _classes(self, column: Any) -> tuple[np.ndarray, tuple[str, ...]]:
        """The labels as numbers int32 [n], and their names: the distinct values in their order."""
        kind, name = self._kind(self.label, column), self.label
        values = column.to_numpy()
        missing = np.asarray(column.is_null(nan_is_null=True))
        if missing.any():
            raise InputError(
                f"{self.path}: the label {name!r} is missing in row {int(missing.argmax()) + 1} of {self.n}; fill it "
                "in, or leave such rows out with dataset.missing=drop."
            )
        if kind == "number":
            values = values.astype(np.float64)
            if (broken := values != np.floor(values)).any():
                raise InputError(
                    f"{self.path}: the label {name!r} is {values[broken][0]:g} in row {int(broken.argmax()) + 1}; "
                    "classes are whole numbers or text, a quantity can't be predicted."
                )
            found, numbers = np.unique(values, return_inverse=True)
            return numbers.astype(np.int32), tuple(f"{value:.0f}" for value in found)
        classes, numbers = _distinct(column)
        return numbers, tuple(classes)

    def _kind(self, name: str, column: Any) -> str:
        """number, bool or text. Raises InputError for a column of anything else."""
        from pyarrow import types

        type_ = column.type
        if types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_):
            return "text" if name in self._categorical else "number"
        if types.is_boolean(type_):
            return "text" if name in self._categorical else "bool"
        if types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_):
            return "text"
        what = "is empty" if types.is_null(type_) else f"holds {type_}, neither numbers nor text"
        if types.is_binary(type_):
            what = "holds bytes that are no UTF-8 text"
        raise InputError(f"{self.path}: the column {name!r} {what}; leave it out with {self._without(name)}.")

    def _without(self, name: str) -> str:
        """What to add to the command to leave out a column, too."""
        names = [*self.dropped, name]
        if all(re.fullmatch(r"\w+", n) for n in names):
            return f"dataset.drop=[{','.join(names)}]"
        return f"'dataset.drop={json.dumps(names, ensure_ascii=False)}'"

    def _drop_incomplete(self) -> None:
        """Leaves out the rows that lack a number or the label."""
        kept = np.ones(self.n, bool)
        for name, column in self._columns.items():
            if name == self.label or self._kind(name, column) != "text":
                kept &= ~np.asarray(column.is_null(nan_is_null=True))
        if not kept.any():
            raise InputError(f"{self.path}: every row lacks a number or its label; drop a column with dataset.drop.")
        self._columns = {name: column.filter(kept) for name, column in self._columns.items()}
        self.n = int(kept.sum())


def _decoded(column: Any) -> Any:
    """A column as its values, if it is stored as numbers of them."""
    from pyarrow import types

    return column.cast(column.type.value_type) if types.is_dictionary(column.type) else column


def _distinct(column: Any) -> tuple[list[str], np.ndarray]:
    """The distinct texts of a column, sorted, and which one each row has, int32 [n]."""
    import pyarrow as pa

    encoded = column.cast(pa.string()).fill_null(MISSING).combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    order = sorted(range(len(found)), key=found.__getitem__)
    place = np.empty(len(found), np.int32)
    place[order] = np.arange(len(found))
    return [found[i] for i in order], place[encoded.indices.to_numpy()]


def _listed(names: Sequence[str]) -> str:
    """On one line, however many and long."""
    shown = [" ".join(name.split()) for name in names[:8]]
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in shown]
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def _existing(file: str) -> Path:
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty.")
    return path


def _heading(path: Path) -> str:
    """The first line of a text file."""
    try:
        with path.open("rb") as file:
            return file.readline(2**20).decode("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable CSV file in UTF-8 ({error}).") from None


def _arrow(path: Path, what: str, read: Any) -> Any:
    """What pyarrow reads."""
    import pyarrow as pa

    try:
        return read()
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a readable {what} file ({reason}).") from None
