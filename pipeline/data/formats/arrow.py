"""Files of tables as pyarrow's tables, whose columns know their types.

pyarrow reads CSV and Parquet, infers types from whole columns and is there with MLflow. It is imported when a table is
read.
"""

import contextlib
import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.formats.columns import to_utf8
from pipeline.data.formats.written import as_written, without_empty
from pipeline.data.notation import PLAIN, Notation, column_names
from pipeline.errors import InputError, check_file, first_line

DELIMITERS = ",;\t|"


def csv_table(path: Path, notation: Notation = PLAIN, texts: Collection[str] = ()) -> Any:
    """pyarrow's table of a CSV file. An empty field is missing, a quoted empty one is a text. texts: columns that are
    text, whatever is in them.

    Raises InputError for a file that is missing, empty or no CSV, or has a column twice.
    """
    import pyarrow as pa
    from pyarrow import csv as reader

    cells, delimiter = first_cells(path), _delimiter(_first_line(path))
    names = column_names(len(cells)) if notation.heading == "false" else None

    def parsed(use_threads: bool) -> Any:
        return reader.read_csv(
            path,
            reader.ReadOptions(use_threads=use_threads, column_names=names),
            reader.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            reader.ConvertOptions(
                column_types=dict.fromkeys(texts, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                decimal_point=notation.decimal,
            ),
        )

    with _readable(path, "CSV"):
        try:
            table = parsed(use_threads=True)
        except pa.ArrowInvalid:
            table = parsed(use_threads=False)  # then it says in which row
    return as_written(_of_values(path, without_empty(table)), notation, texts)


def first_cells(path: Path) -> list[str]:
    """The first line of a CSV file, cell by cell."""
    line = _first_line(path)
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
                where = f"{path}: line {lines.line_num}"
                if rows and len(row) != len(rows[0]):
                    raise InputError(f"{where} has {len(row)} columns, those before it {len(rows[0])}.")
                for column, cell in enumerate(row, 1):
                    if not is_number(cell):
                        raise InputError(f"{where}, column {column}: {cell[:40]!r} is not a number.")
                rows.append(list(map(float, row)))
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"{path}: can't be read as .csv ({reason}).") from None
    return np.array(rows, np.float64)


def is_parquet(path: Path) -> bool:
    """By its suffix, or how it begins; a folder by the files in it."""
    if path.is_dir():
        return any(path.rglob("*.parquet"))
    if path.suffix.lower() == ".parquet" or not path.is_file():
        return path.suffix.lower() == ".parquet"
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def parquet_table(path: Path, notation: Notation = PLAIN, texts: Collection[str] = ()) -> Any:
    """pyarrow's table of a Parquet file, with the values of columns that are stored as numbers of them; or of a folder
    of such files, whose subfolders may be called COLUMN=VALUE.

    Raises InputError for a file that is missing, empty or no Parquet, or has a column twice, and for files of a folder
    that have different columns.
    """
    from pyarrow import parquet as reader

    if not path.is_dir():
        _check_content(path)
    with _readable(path, "Parquet"):
        # Of a single file pyarrow would take the name of its folder for a partition.
        table = _folder(path) if path.is_dir() else reader.ParquetFile(path).read()
    return as_written(_of_values(path, table), notation, texts)


def _folder(path: Path) -> Any:
    """The files of a folder as one table. pyarrow would take the columns of the first one, and leave out what only
    others have."""
    from pyarrow import parquet as reader

    dataset = reader.ParquetDataset(path)
    first, *rest = dataset.fragments
    columns = set(first.physical_schema.names)
    for file in rest:
        own = set(file.physical_schema.names)
        for names, has, lacks in ((columns - own, first, file), (own - columns, file, first)):
            if names:
                raise InputError(
                    f"{lacks.path}: lacks the column {min(names)!r}, which {has.path} has; files of one table have the "
                    "same columns: write it, or take such files out of the folder."
                )
    return dataset.read()


def _check_content(path: Path) -> None:
    check_file(path)
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty.")


def _first_line(path: Path) -> str:
    """The first line of a text file."""
    _check_content(path)
    try:
        with path.open("rb") as file:
            return file.readline(2**20).decode("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        text = isinstance(error, UnicodeDecodeError) and b"\0" not in error.object
        hint = f"; {to_utf8(path)}" if text else ""
        raise InputError(f"{path}: not a readable CSV file in UTF-8 ({error}){hint}.") from None


def _delimiter(line: str) -> str:
    """What separates most columns in a heading."""
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([line], delimiter=delimiter))))


@contextlib.contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    """While pyarrow reads a file. Raises InputError if it can't."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = first_line(error)
        raise InputError(f"{path}: not a readable {what} file ({reason}). Use another copy.") from None


def _of_values(path: Path, table: Any) -> Any:
    """The table with every column as its values, which may be stored as numbers of them."""
    import pyarrow as pa
    from pyarrow import types

    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: the column {twice[0]!r} stands there more than once; rename one.")
    for i, column in enumerate(table.columns):
        if types.is_binary(column.type) or types.is_large_binary(column.type):  # text, as some programs write it
            with contextlib.suppress(pa.ArrowInvalid):
                table = table.set_column(i, names[i], column.cast(pa.string()))
        if types.is_dictionary(column.type):
            # Lists, say, are neither numbers nor text: told of unless the column is dropped.
            with contextlib.suppress(pa.ArrowException):
                table = table.set_column(i, names[i], column.cast(column.type.value_type))
    return table
