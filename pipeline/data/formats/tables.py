"""Tables in CSV and Parquet files: columns of numbers and categories, one of them the label.

pyarrow reads both, infers types from whole columns and is there with MLflow. It is imported when a table is read.
"""

import csv as lines
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import parts
from pipeline.data.formats.columns import Column, listed, override
from pipeline.data.splits import Splits
from pipeline.errors import InputError, check_file, first_of, nearest

DELIMITERS = ",;\t|"


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
    table = _Table(Path(file), read_csv, label, drop, categorical, missing)
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
    table = _Table(Path(file), read_parquet, label, drop, categorical, missing)
    return table.splits(memory, "parquet", {"validation": validation_fraction, "test": test_fraction}, seed)


def read_csv(path: Path) -> Any:
    """pyarrow's table of a CSV file. An empty field is missing, a quoted empty one is a text.

    Raises InputError for a file that is missing, empty or no CSV, or has a column twice.
    """
    from pyarrow import ArrowInvalid
    from pyarrow import csv as reader

    heading = _heading(_existing(path))
    delimiter = max(DELIMITERS, key=lambda d: len(next(lines.reader([heading], delimiter=d))))

    def parse(side_by_side: bool) -> Any:
        return reader.read_csv(
            path,
            read_options=reader.ReadOptions(use_threads=side_by_side),
            parse_options=reader.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=reader.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False),
        )

    def read() -> Any:
        try:
            return parse(side_by_side=True)
        except ArrowInvalid:
            return parse(side_by_side=False)  # then it says in which row

    return _arrow(path, "CSV", read)


def read_parquet(path: Path) -> Any:
    """pyarrow's table of a Parquet file, with the values of columns that are stored as numbers of them.

    Raises InputError for a file that is missing, empty or no Parquet, or has a column twice.
    """
    from pyarrow import parquet as reader

    _existing(path)
    # A single file: pyarrow would take a folder's name for a partition.
    return _arrow(path, "Parquet", lambda: reader.ParquetFile(path).read())


class _Table:
    """Columns by name, each turned into inputs or the label, with a text that tells how."""

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Any],
        label: str,
        drop: Sequence[str],
        categorical: Sequence[str],
        missing: str,
    ) -> None:
        _check_columns(label, {"drop": drop, "categorical": categorical})
        table = read(path)
        self.path, self.label, self.n = path, label, table.num_rows
        names = table.column_names
        for key, wanted in (("label", [label]), ("drop", drop), ("categorical", categorical)):
            for name in wanted:
                if name not in names:
                    known = f"Columns: {first_of(names)}.{nearest(name, names)}"
                    raise InputError(f"dataset.{key}: {path} has no column {name!r}. {known}")
        if label in drop:
            raise InputError(f"dataset.drop: {label!r} is the label.")
        self._columns = {
            name: Column(path, name, table.column(name), name in categorical, drop)
            for name in names
            if name not in drop
        }
        if len(self._columns) < 2:
            raise InputError(f"{path}: there is no column beside the label {label!r}.")
        if not self.n:
            raise InputError(f"{path}: it has a heading but no rows.")
        if missing == "drop":
            self._drop_incomplete()

    def splits(self, memory: str, source: str, fractions: dict[str, float], seed: int) -> Splits:
        told: dict[str, str] = {}
        features: list[str] = []
        blocks: list[np.ndarray] = []
        for name, column in self._columns.items():
            if name == self.label:
                labels, classes = column.classes()
                told[name] = f"label: {listed(classes)}"
            else:
                values, inputs, told[name] = column.inputs()
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

    def _drop_incomplete(self) -> None:
        """Leaves out the rows that lack a number or the label."""
        kept = np.ones(self.n, bool)
        for name, column in self._columns.items():
            if name == self.label or column.kind != "text":
                kept &= ~column.missing
        if not kept.any():
            raise InputError(f"{self.path}: every row lacks a number or its label; drop a column with dataset.drop.")
        self._columns = {name: column.rows(kept) for name, column in self._columns.items()}
        self.n = int(kept.sum())


def _check_columns(label: Any, lists: dict[str, Any]) -> None:
    """Raises InputError unless `label` is a text and the others are lists of texts: Hydra makes 3 a number, and of
    a text without brackets every letter would be a column."""
    if not isinstance(label, str):
        scalar = isinstance(label, int | float)
        hint = f"; a text in quotes: 'dataset.label={json.dumps(_plain(label))}'" if scalar else ""
        raise InputError(f"dataset.label={_plain(label)} must be text, the name of the column of the classes{hint}.")
    for key, names in lists.items():
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            continue
        given = list(names) if isinstance(names, list | tuple) else [] if names is None else [names]
        raise InputError(
            f"dataset.{key}={_plain(names)} must be a list of columns' names: "
            f"{override(f'dataset.{key}', [_plain(name) for name in given])}."
        )


def _plain(value: Any) -> str:
    """As the user wrote it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _existing(path: Path) -> Path:
    check_file(path)
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


def _arrow(path: Path, what: str, read: Callable[[], Any]) -> Any:
    """What pyarrow reads, with every column as its values."""
    import pyarrow as pa

    try:
        table = read()
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a readable {what} file ({reason}). Use another copy.") from None
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: the column {twice[0]!r} stands there more than once; rename one.")
    return pa.table({name: _decoded(table.column(name)) for name in names})


def _decoded(column: Any) -> Any:
    """A column as its values, if it is stored as numbers of them."""
    import pyarrow as pa
    from pyarrow import types

    if not types.is_dictionary(column.type):
        return column
    try:
        return column.cast(column.type.value_type)
    except pa.ArrowException:  # lists, say, which are neither numbers nor text: told of unless the column is dropped
        return column
