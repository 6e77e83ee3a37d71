"""Tables in CSV and Parquet files: columns of numbers and categories, one of them the label."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import parts
from pipeline.data.encoding import Encoding
from pipeline.data.examples import Examples
from pipeline.data.formats.arrow import csv_numbers, csv_table, first_cells, is_number, is_parquet, parquet_table
from pipeline.data.formats.by_name import as_learned, check_learned, one_hot, with_numbers
from pipeline.data.formats.columns import Column, is_numeric, listed, override, side_by_side
from pipeline.data.formats.naming import LABEL_COLUMNS, label_column
from pipeline.data.formats.reader import reader
from pipeline.data.formats.summary import table_summary
from pipeline.data.formats.written import LEFT_OUT, check_heading, index_columns
from pipeline.data.notation import PLAIN, Notation
from pipeline.data.rows import InMemory
from pipeline.data.splits import Splits
from pipeline.data.trainable import check_memory, trainable
from pipeline.errors import InputError, first_of, nearest


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
    heading: str | bool = "auto",
    decimal: str = ".",
    thousands: str | None = None,
    missing_values: Sequence[str | float] = (),
) -> Splits:
    """A CSV file with a heading; what separates its columns (comma, semicolon, tab or bar) is seen in it. Or a Parquet
    file, whose columns have types.

    label: the column of the classes, text or whole numbers, of which all distinct values are classes; drop: columns
    left out. Numbers and true/false are an input each (float32); a column of text, or one named in `categorical`, is
    an input a category (one-hot). The categories are those of the whole file, so none is new in a later part.
    missing: `error` refuses a number or label that is missing, `drop` leaves such rows out; a missing text is a
    category. heading: whether the first line names the columns; `auto` refuses one that looks like an example, without
    one they are called column_1, column_2, ... decimal, thousands: the signs in numbers; missing_values: what means
    missing beside the empty field. memory: `always` to hold data that take more than a sixteenth of the memory.
    The attributes tell the inferred `columns` and the `features`, the name of each input.
    Raises InputError with the column, the row (from 1, the heading not counted) and what to do.
    """
    _check_label(label)
    written = {"heading": heading, "decimal": decimal, "thousands": thousands, "missing_values": missing_values}
    keys = {"label": label, "drop": drop, "categorical": categorical, "missing": missing, "memory": memory}
    examples = read(Path(file), **keys, **written)
    fractions = {"validation": validation_fraction, "test": test_fraction}
    return parts.divide({"train": trainable(examples)}, fractions, seed)


parquet = csv  # which of them a file is, is seen in it


@reader(".csv", ".parquet")
def read(
    path: Path,
    *,
    label: str | None = None,
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    missing: str = "error",
    heading: str | bool = "auto",
    decimal: str = ".",
    thousands: str | None = None,
    missing_values: Sequence[str | float] = (),
    encoding: Encoding | None = None,
    labelled: bool = True,
    survey: bool = False,
    memory: str = "always",
) -> Examples:
    """The rows of a table. For a model that learned from one, as its `encoding` says; without that, and where no labels
    are needed, as numbers alone; else as training encodes them, with the label, or the column that is called so."""
    notation = Notation.of(heading, decimal, thousands, missing_values)
    binary = is_parquet(path)
    load = parquet_table if binary else csv_table
    if survey:
        return table_summary(path, load(path, notation), label)
    if encoding is not None:
        check_learned(encoding, label, drop, categorical)
        table = _texts_kept(path, binary, encoding, notation)
        if missing == "drop" and labelled:
            table = with_numbers(path, table, encoding)
        return as_learned(path, table, encoding, labelled, drop)
    if label is None and not labelled:
        plain = not binary and notation == PLAIN
        return Examples(str(path), InMemory(csv_numbers(path) if plain else _numbers(path, load(path, notation))))
    if label is not None:
        _check_label(label)
    _check_list("drop", drop)
    _check_list("categorical", categorical)
    cells = first_cells(path) if not binary and notation.heading == "auto" else []
    try:
        table = load(path, notation, categorical)
    except InputError:  # the numbers of an example may be twice the same, and as names one too many
        check_heading(path, cells, None, label)
        raise
    label = label if label is not None else label_column(table.column_names)
    if cells:
        check_heading(path, cells, table, label)
    if label is None:
        known = first_of(table.column_names)
        raise InputError(f"{path}: which column holds the labels? dataset.label=NAME. Columns: {known}.")
    indexes = index_columns(table, (label, *drop, *categorical))
    columns = _columns(path, table, label, [*drop, *indexes], categorical, notation)
    if missing == "drop":
        columns = _complete(path, columns, label)
    encoding = Encoding((), label, (*drop, *indexes), notation)
    left_out = {name: f"{LEFT_OUT}{what}" for name, what in indexes.items()}
    return _encoded(path, columns, encoding, left_out, memory, "parquet" if binary else "csv")


def _texts_kept(path: Path, binary: bool, encoding: Encoding, given: Notation) -> Any:
    """The table with the texts that a model knows as they stand there: of 007 alone pyarrow makes a number. It is
    written as the table in training was, unless the user says how."""
    notation = encoding.notation if given == PLAIN else given
    texts = [encoding.label, *(column.name for column in encoding.columns if column.kind == "text")]
    if binary:
        return parquet_table(path, notation, texts)
    cells = first_cells(path)
    names = [column.name for column in encoding.columns]
    if notation.heading != "false" and all(map(is_number, cells)) and not set(names) <= set(cells):
        raise InputError(f"{path}: has no heading; this model takes columns by their names: {listed(names)}.")
    return csv_table(path, notation, texts)


def _numbers(path: Path, table: Any) -> np.ndarray:
    """The columns of a table as inputs in their order, but for one that is called as labels are."""
    left_out = index_columns(table, ())
    names = [name for name in table.column_names if name.lower() not in LABEL_COLUMNS and name not in left_out]
    for name in names:
        if not is_numeric(table[name]):
            raise InputError(f"{path}: the column {name!r} holds {table[name].type}, not numbers.")
    return side_by_side(table, names)


def _columns(
    path: Path, table: Any, label: str, drop: Sequence[str], categorical: Sequence[str], notation: Notation
) -> dict[str, Column]:
    """The label and the inputs by name. Raises InputError for a name that is no column's, and without inputs."""
    names = table.column_names
    for key, columns in (("label", [label]), ("drop", drop), ("categorical", categorical)):
        for name in columns:
            if name not in names:
                known = f"Columns: {first_of(names)}.{nearest(name, names)}"
                raise InputError(f"dataset.{key}: {path} has no column {name!r}. {known}")
    if label in drop:
        raise InputError(f"dataset.drop: {label!r} is the label.")
    kept = [name for name in names if name not in drop]
    if len(kept) < 2:
        raise InputError(f"{path}: there is no column beside the label {label!r}.")
    if not table.num_rows:
        raise InputError(f"{path}: it has a heading but no rows.")
    return {name: Column(path, name, table.column(name), categorical, drop, notation) for name in kept}


def _encoded(
    path: Path, columns: dict[str, Column], encoding: Encoding, left_out: dict[str, str], memory: str, source: str
) -> Examples:
    """The columns as inputs and the label, with a text for each that tells how. encoding: all but its columns."""
    descriptions, label = dict(left_out), encoding.label
    inputs = []
    for name, column in columns.items():
        if name == label:
            rows, classes = column.classes()
            descriptions[name] = f"label: {listed(classes)}"
        else:
            values, encoded, descriptions[name] = column.inputs()
            inputs.append((values, encoded))
    encoding = replace(encoding, columns=tuple(encoded for _, encoded in inputs))
    check_memory(str(path), 4 * len(rows) * len(encoding.features), memory, source)
    return Examples(
        str(path),
        InMemory(one_hot(inputs)),
        np.array(classes, object)[rows],
        classes,
        encoding,
        attributes={"columns": descriptions, "features": encoding.features},
        key="its rows",
        label_key=label,
    )


def _complete(path: Path, columns: dict[str, Column], label: str) -> dict[str, Column]:
    """The columns without the rows that lack a number or the label."""
    kept = np.logical_and.reduce([~c.missing for c in columns.values() if c.name == label or c.kind != "text"])
    if not kept.any():
        raise InputError(f"{path}: every row lacks a number or its label; drop a column with dataset.drop.")
    return {name: column.rows(kept) for name, column in columns.items()}


def _check_label(label: Any) -> None:
    """Raises InputError unless `label` is a text: Hydra makes 3 a number."""
    if not isinstance(label, str):
        scalar = isinstance(label, int | float)
        hint = f"; a text in quotes: 'dataset.label={json.dumps(_plain(label))}'" if scalar else ""
        raise InputError(f"dataset.label={_plain(label)} must be text, the name of the column of the classes{hint}.")


def _check_list(key: str, names: Any) -> None:
    """Raises InputError unless it is a list of texts: of a text without brackets every letter would be a column."""
    listing = isinstance(names, list | tuple)
    if not listing or not all(isinstance(name, str) for name in names):
        meant = list(map(_plain, names if listing else [] if names is None else [names]))
        hint = override(f"dataset.{key}", meant)
        raise InputError(f"dataset.{key}={_plain(names)} must be a list of columns' names: {hint}.")


def _plain(value: Any) -> str:
    """As the user wrote it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
