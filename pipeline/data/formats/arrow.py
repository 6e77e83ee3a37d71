"""Files of tables as pyarrow's tables, whose columns know their types.

pyarrow reads CSV and Parquet, infers types from whole columns and is there with MLflow. It is imported when a table is
read.
"""

import csv
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError, check_file, first_line

DELIMITERS = ",;\t|"


def csv_table(path: Path, texts: Collection[str] = ()) -> Any:
    """pyarrow's table of a CSV file. An empty field is missing, a quoted empty one is a text. texts: columns that are
    text, whatever is in them.

    Raises InputError for a file that is missing, empty or no CSV, or has a column twice.
    """
    import pyarrow as pa
    from pyarrow import csv as reader

    delimiter = _delimiter(_first_line(_existing(path)))
    convert = reader.ConvertOptions(
        strings_can_be_null=True, quoted_strings_can_be_null=False, column_types=dict.fromkeys(texts, pa.string())
    )

    def parse(side_by_side: bool) -> Any:
        return reader.read_csv(
            path,
            read_options=reader.ReadOptions(use_threads=side_by_side),
            parse_options=reader.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=convert,
        )

    def read() -> Any:
        try:
            return parse(side_by_side=True)
        except pa.ArrowInvalid:
            return parse(side_by_side=False)  # then it says in which row

    return _arrow(path, "CSV", read)


def heading(path: Path) -> list[str]:
    """The first line of a CSV file, cell by cell."""
    line = _first_line(_existing(path))
    return next(csv.reader([line], delimiter=_delimiter(line)), [])


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def csv_numbers(path: Path) -> np.ndarray:
    """Numbers [lines, columns]. The first line is a heading if nothing in it is a number: one stray word in a line
    of numbers is a mistake to report, not a line to drop."""
    rows: list[list[float]] = []
    check_file(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            for row in lines:
                if not any(cell.strip() for cell in row):
                    continue
                if not rows and lines.line_num == 1 and not any(map(is_number, row)):
                    continue
                if rows and len(row) != len(rows[0]):
                    counts = f"{len(row)} columns, those before it {len(rows[0])}"
                    raise InputError(f"{path}: line {lines.line_num} has {counts}.")
                rows.append([_number(path, lines.line_num, i, cell) for i, cell in enumerate(row, 1)])
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"{path}: can't be read as .csv ({reason}).") from None
    return np.array(rows, np.float64)


def _number(path: Path, line: int, column: int, cell: str) -> float:
    if not is_number(cell):
        raise InputError(f"{path}: line {line}, column {column}: {cell[:40]!r} is not a number.")
    return float(cell)


def is_parquet(path: Path) -> bool:
    """By its suffix, or how it begins."""
    if path.suffix.lower() == ".parquet" or not path.is_file():
        return path.suffix.lower() == ".parquet"
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def parquet_table(path: Path) -> Any:
    """pyarrow's table of a Parquet file, with the values of columns that are stored as numbers of them.

    Raises InputError for a file that is missing, empty or no Parquet, or has a column twice.
    """
    from pyarrow import parquet as reader

    _existing(path)
    # A single file: pyarrow would take a folder's name for a partition.
    return _arrow(path, "Parquet", lambda: reader.ParquetFile(path).read())


def _existing(path: Path) -> Path:
    check_file(path)
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty.")
    return path


def _first_line(path: Path) -> str:
    """The first line of a text file."""
    try:
        with path.open("rb") as file:
            return file.readline(2**20).decode("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable CSV file in UTF-8 ({error}).") from None


def _delimiter(line: str) -> str:
    """What separates most columns in a heading."""
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([line], delimiter=delimiter))))


def _arrow(path: Path, what: str, read: Callable[[], Any]) -> Any:
    """What pyarrow reads, with every column as its values."""
    import pyarrow as pa

    try:
        table = read()
    except (pa.ArrowException, OSError) as error:
        reason = first_line(error)
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
