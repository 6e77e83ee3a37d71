"""What is written in a table as its notation says: which texts are numbers, which values are missing, what an index is.

pyarrow is imported when a table is read.
"""

import contextlib
import json
import math
import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.data.formats.columns import is_numeric, kind, listed
from pipeline.data.notation import PLAIN, Notation, column_names
from pipeline.errors import InputError

LEFT_OUT = "left out: "  # begins what is said of a column that is no input

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # what pandas calls an index without a name, in Parquet
_NOTHING = ("na", "n/a", "nan", "none", "null")  # what an example may lack
_NAMELESS = re.compile(r"(Unnamed: 0)?")  # and the first column of a CSV file whose heading is empty


def as_written(table: Any, notation: Notation, texts: Collection[str] = ()) -> Any:
    """pyarrow's table with null for what means missing, and float64 for columns of text in which all else are numbers.
    texts: columns that stay text."""
    if notation == PLAIN:
        return table
    for i, name in enumerate(table.column_names):
        column = _without_missing(table[name], notation)
        if name not in texts and kind(column.type) == "text":
            column = _as_numbers(column, notation, changed=column is not table[name])
        table = table.set_column(i, name, column)
    return table


def _without_missing(values: Any, notation: Notation) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    if kind(values.type) == "text":
        meant: Any = pa.array(notation.missing_values, pa.string())
        trimmed = compute.utf8_trim_whitespace(values.cast(pa.string()))
    elif kind(values.type) == "number":
        meant = pa.array(notation.missing_numbers, pa.float64())
        trimmed = values.cast(pa.float64(), safe=False)
    else:
        return values
    hits = compute.is_in(trimmed, value_set=meant)
    return compute.if_else(hits, pa.scalar(None, values.type), values) if compute.any(hits).as_py() else values


def _as_numbers(values: Any, notation: Notation, *, changed: bool) -> Any:
    """A column of texts as float64 if all are numbers; text that needs nothing for that was meant as text."""
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.utf8_trim_whitespace(values.cast(pa.string()))

    def all_match(one: Notation) -> bool:
        return bool(compute.all(compute.match_substring_regex(texts, one.number)).as_py())

    if values.null_count == len(values) or not all_match(notation) or (not changed and all_match(PLAIN)):
        return values
    if notation.thousands:
        texts = compute.replace_substring(texts, notation.thousands, "")
    return compute.replace_substring(texts, notation.decimal, ".").cast(pa.float64())


def check_heading(path: Path, cells: Sequence[str], table: Any | None, label: str | None) -> None:
    """Raises InputError if the first line of a CSV file is an example: it has numbers that count nothing, or the name
    of the label is one of its classes; but for a line that has a word above a column of numbers. cells: the first
    line; table: pyarrow's, of what stands below it, None if it can't be read so."""
    numbers = [float(cell) for cell in cells if PLAIN.is_number(cell)]
    example, whole = bool(numbers) and not _counting(numbers), all(number.is_integer() for number in numbers)
    if table is not None and (whole and len(set(numbers)) == len(numbers)):
        words = [name for name in table.column_names if name[:1].isalpha() and name.lower() not in _NOTHING]
        if any(is_numeric(table[name]) for name in words):
            return
        if label in table.column_names and kind(table[label].type) == "text":
            example |= label in table[label].unique().to_pylist()
    if example:
        raise _no_heading(path, cells)


def _no_heading(path: Path, cells: Sequence[str]) -> InputError:
    names = column_names(len(cells))
    return InputError(
        f"{path}: its first line, {listed(cells)}, looks like an example, not like the names of the columns.\n"
        f"dataset.heading=false takes it as one and calls the columns {names[0]} to {names[-1]} (dataset.label="
        f"{names[-1]}, say); dataset.heading=true takes it as names."
    )


def _counting(numbers: Sequence[float]) -> bool:
    """Whether numbers are names of columns, as places, years or wavelengths are: in equal steps, or many ascending."""
    steps = [b - a for a, b in pairwise(numbers)]
    if any(step <= 0 for step in steps):
        return False
    equal = all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)
    places = numbers[0] in (0, 1) and all(step == 1 for step in steps)
    return places or (len(numbers) > 2 and equal) or len(numbers) > 5


def index_columns(table: Any, used: Collection[str]) -> dict[str, str]:
    """Columns that number the rows, as pandas stores them, and what they are; but for those that are `used`."""
    import pyarrow as pa

    indexes: Any = []
    with contextlib.suppress(LookupError, TypeError, ValueError):  # anybody may have written it
        indexes = list(json.loads((table.schema.metadata or {})[b"pandas"])["index_columns"])
    named = {name for name in indexes if isinstance(name, str) and _PANDAS_INDEX.fullmatch(name)}
    columns = {name: "the index that pandas stored" for name in table.column_names if name in named}
    first = table.column_names[0] if table.num_columns else None
    if first is not None and _NAMELESS.fullmatch(first) and pa.types.is_integer(table[first].type):
        values = table[first]
        if not values.null_count and len(values.unique()) == len(values):
            columns[first] = "it has no name and numbers the rows"
    return {name: what for name, what in columns.items() if name not in used}


def without_empty(table: Any) -> Any:
    """A table without columns that have neither a name nor a value: separators at the ends of lines make them."""
    empty = [not n.strip() and is_empty(c) for n, c in zip(table.column_names, table.columns)]
    return table.select([i for i, nothing in enumerate(empty) if not nothing]) if any(empty) else table


def is_empty(values: Any) -> bool:
    return bool(values.null_count == len(values))
