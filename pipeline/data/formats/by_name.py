"""Another table for a model that learned from one: columns are taken by their names, and encoded as they were then."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.encoding import EncodedColumn, Encoding
from pipeline.data.examples import Examples
from pipeline.data.formats.arrow import is_number
from pipeline.data.formats.columns import distinct, kind, listed, numbers, texts
from pipeline.data.rows import InMemory
from pipeline.errors import InputError, first_of, nearest


def as_learned(path: Path, table: Any, encoding: Encoding, labelled: bool, left_out: Collection[str] = ()) -> Examples:
    """The rows of pyarrow's table as inputs of a model, float32; targets are the names of its classes, None where the
    label is missing or the table has none.

    Raises InputError for a column that the table lacks, the label only if `labelled`, and for a value that is missing
    or that training had not. What else the table has is ignored, with a warning unless the user has `left_out` it.
    """
    names = table.column_names
    inputs = [column.name for column in encoding.columns]
    for name in [*inputs, *([encoding.label] if labelled else [])]:
        if name not in names:
            what = "the label of this model" if name == encoding.label else "an input of this model"
            known = f"Columns: {first_of(names)}.{nearest(name, names)}"
            raise InputError(f"{path}: has no column {name!r}, {what}. {known}")
    if not table.num_rows:
        raise InputError(f"{path}: it has a heading but no rows.")
    rows = one_hot([(_as_encoded(path, table[column.name], column), column) for column in encoding.columns])
    targets = None
    if encoding.label in names:
        labels = texts(table[encoding.label])
        targets = np.array(labels, object)
        if labelled and None in labels:
            raise InputError(f"{path}: the label {encoding.label!r} {_no_value(labels.index(None), len(labels))}.")
    extra = [name for name in names if name not in {*inputs, encoding.label, *encoding.dropped, *left_out}]
    warnings = [f"{path}: ignored are {listed(extra)}, which are no inputs of this model."] if extra else []
    return Examples(
        str(path),
        InMemory(rows),
        targets,
        encoding=encoding,
        key="its rows",
        label_key=encoding.label,
        warnings=warnings,
    )


def check_learned(encoding: Encoding, label: str | None, drop: Sequence[str], categorical: Sequence[str]) -> None:
    """Raises InputError for keys that contradict how a model learned the columns of its table."""
    kinds = {column.name: column.kind for column in encoding.columns}
    problem = None
    if label not in (None, encoding.label):
        problem = f"label={label}", f"the label is {encoding.label!r}"
    for name in drop:
        if name in kinds or name == encoding.label:
            problem = f"drop=[{name}]", f"{name!r} is {'its label' if name == encoding.label else 'an input'}"
    for name in categorical:
        if kinds.get(name, "text") != "text":
            problem = f"categorical=[{name}]", f"{name!r} is a number"
    if problem:
        raise InputError(
            f"dataset.{problem[0]}: this model takes the columns as it learned them, {problem[1]}; leave that key out."
        )


def with_numbers(path: Path, table: Any, encoding: Encoding) -> Any:
    """The rows of a table that lack no number and no label: dataset.missing=drop leaves out the others."""
    from pyarrow import compute

    needed = {encoding.label, *(column.name for column in encoding.columns if column.kind != "text")}
    for name in sorted(needed & set(table.column_names)):
        table = table.filter(compute.invert(compute.is_null(table[name], nan_is_null=True)))
    if not table.num_rows:
        raise InputError(f"{path}: every row lacks a number or its label.")
    return table


def one_hot(columns: Sequence[tuple[np.ndarray, EncodedColumn]]) -> np.ndarray:
    """Columns side by side, float32 [n, inputs]: numbers [n] as they are, numbers of categories as one input a
    category, which is 1 in the rows that have it."""
    blocks = [
        values[:, None] == np.arange(len(column.categories)) if column.kind == "text" else values[:, None]
        for values, column in columns
    ]
    return np.concatenate(blocks, axis=1, dtype=np.float32)


def _as_encoded(path: Path, values: Any, column: EncodedColumn) -> np.ndarray:
    """A column as inputs of a model: float32 [n], or of text the numbers of its categories, int32 [n]."""
    if column.kind == "text":
        return _categories(path, values, column)
    holds, n = kind(values.type), len(values)
    problem = ""
    if values.null_count == n:
        problem = _no_value(0, n)
    elif holds == "text" and (row := _strange(values.to_pylist(), column.kind)) is not None:
        problem = _has(values[row].as_py(), row, n)
    elif holds != column.kind and (holds, column.kind) != ("number", "bool"):  # 0 and 1 are as good as true and false
        problem = f"holds {values.type}"
    else:
        exact = numbers(values)
        strange = np.isnan(exact)
        if strange.any():
            problem = _no_value(int(strange.argmax()), n)
        elif column.kind == "bool" and (strange := ~np.isin(exact, (0, 1))).any():
            problem = _has(f"{exact[strange][0]:g}", int(strange.argmax()), n)
    if problem:
        what = "true or false" if column.kind == "bool" else "a number"
        raise InputError(f"{path}: the column {column.name!r} {problem}; this model takes {what} there.")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which whoever predicts refuses
        return exact.astype(np.float32)


def _strange(texts: Sequence[str | None], kind: str) -> int | None:
    """The first row with a text that is no number, nor true or false where those are meant."""
    truths = ("true", "false") if kind == "bool" else ()
    return next((i for i, t in enumerate(texts) if t and not is_number(t) and t.lower() not in truths), None)


def _categories(path: Path, values: Any, column: EncodedColumn) -> np.ndarray:
    written, rows = distinct(values)
    numbered: np.ndarray = np.array(places(written, column.categories), np.int32)[rows]
    if (unknown := numbered < 0).any():
        row, n = int(unknown.argmax()), len(rows)
        text = written[rows[row]]
        problem = _has(text, row, n) if values[row].is_valid else _no_value(row, n)
        raise InputError(
            f"{path}: the column {column.name!r} {problem}; this model knows {listed(column.categories)}."
            f"{nearest(text, column.categories)}"
        )
    return numbered


def places(written: Sequence[str], names: Sequence[str]) -> list[int]:
    """Which of the names each text is, -1 for none: the same text, else the same number or truth written otherwise."""
    exact = {name: i for i, name in enumerate(names)}
    alike: dict[str | float, list[int]] = {}
    for name, i in exact.items():
        alike.setdefault(_meaning(name), []).append(i)
    close = [alike.get(_meaning(text), []) for text in written]
    return [exact.get(text, same[0] if len(same) == 1 else -1) for text, same in zip(written, close)]


def _meaning(text: str) -> str | float:
    return float(text) if is_number(text) else text.lower() if text.lower() in ("true", "false") else text


def _has(text: str, row: int, n: int) -> str:
    return f"has {text[:40]!r} in row {row + 1} of {n}"


def _no_value(row: int, n: int) -> str:
    return f"has no value in row {row + 1} of {n}"
