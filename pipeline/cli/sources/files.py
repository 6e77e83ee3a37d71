"""Numbers from .npy, .csv, .h5 and .npz files."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import h5py
import numpy as np

from pipeline import hdf5
from pipeline.data.attributes import in_parts
from pipeline.data.formats import npz
from pipeline.data.formats.hdf5 import check_whole, kind_of, part_at
from pipeline.data.probe import opened
from pipeline.data.stream.stored import Rows, Stored
from pipeline.errors import InputError, check_file, first_of, nearest, one_of

HDF5 = (".h5", ".hdf5")
LABELLED = (("x", "y"), ("inputs", "labels"))  # the names that inputs and labels may have


def read_inputs(path: Path, key: str | None) -> Rows:
    """The array in a file, numbers of any shape; rows of an HDF5 file stay there. `key` names the dataset, or the part,
    of an HDF5 file that has several."""
    readers: dict[str, Callable[[], Rows]] = {
        ".npy": lambda: np.load(path, allow_pickle=False),
        ".csv": lambda: _csv(path),
        **dict.fromkeys(HDF5, lambda: _dataset(path, key)),
    }
    with readable(path):
        return _numbers(path, readers[path.suffix.lower()]())


def read_labelled(path: Path, key: str | None) -> tuple[Rows, np.ndarray, tuple[str, ...] | None]:
    """Inputs [n, ...] and labels [n, ...] of an .npz or HDF5 file, under one of the pairs of names in LABELLED, and the
    names of the classes if the file has them. `key`: the part of an HDF5 file in which they lie."""
    if path.suffix.lower() not in HDF5:
        x, y = _pair(str(path), npz.names(path))
        found = npz.arrays(path, {"inputs": x, "labels": y})
        return _numbers(path, found["inputs"]), _numbers(path, found["labels"]), None
    with readable(path):
        with opened(path) as file:
            group = file if key is None else file.get(key)
            if not isinstance(group, h5py.Group):
                known = [name for name, item in file.items() if isinstance(item, h5py.Group)]
                raise one_of(f"{path}: part", key, known)
            prefix = "" if key is None else f"{key.strip('/')}/"
            names = [name for name, item in group.items() if isinstance(item, h5py.Dataset)]
            x, y = (prefix + name for name in _pair(f"{path}:{key}" if key else str(path), names))
        part = part_at({"file": str(path), "inputs": x, "labels": y})
    return part.inputs(np.arange(len(part.labels))), _numbers(path, part.labels), part.class_names


def default_part(path: Path) -> str | None:
    """`test` if `python -m pipeline convert` wrote the file; None for any other."""
    if path.suffix.lower() not in HDF5:
        return None
    with readable(path), opened(path) as file:
        return "test" if in_parts(file) else None


def _pair(where: str, names: list[str]) -> tuple[str, str]:
    for x, y in LABELLED:
        if x in names and y in names:
            return x, y
    listed = ", ".join(sorted(names)) or "nothing"
    allowed = " or ".join(f"'{x}' and '{y}'" for x, y in LABELLED)
    raise InputError(f"{where}: holds {listed}; inputs and labels must be called {allowed}.")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what reading a missing or damaged file raises into InputError."""
    check_file(path)
    try:
        yield
    except MemoryError:
        raise InputError(f"{path}: its content does not fit in memory.") from None
    except (OSError, ValueError, EOFError, KeyError, BadZipFile, SyntaxError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: can't be read as {path.suffix} ({reason}).") from None


def _numbers(path: Path, array: Any) -> Any:
    if not isinstance(array, np.ndarray | Stored) or array.dtype.kind not in "biuf":
        kind = getattr(array, "dtype", type(array).__name__)
        raise InputError(f"{path}: holds {kind}, not numbers.")
    return array


def _csv(path: Path) -> np.ndarray:
    """Numbers [lines, columns]. The first line is a header if nothing in it is a number: one stray word in a line
    of numbers is a mistake to report, not a line to drop."""
    rows: list[list[float]] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        for row in lines:
            if not any(cell.strip() for cell in row):
                continue
            if not rows and lines.line_num == 1 and not any(map(_is_number, row)):
                continue
            if rows and len(row) != len(rows[0]):
                raise InputError(
                    f"{path}: line {lines.line_num} has {len(row)} columns, those before it {len(rows[0])}."
                )
            rows.append([_number(path, lines.line_num, i, cell) for i, cell in enumerate(row, 1)])
    return np.array(rows, np.float64)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, column: int, cell: str) -> float:
    if not _is_number(cell):
        raise InputError(f"{path}: line {line}, column {column}: {cell[:40]!r} is not a number.")
    return float(cell)


def _dataset(path: Path, key: str | None) -> Rows:
    with opened(path) as file:
        hdf5.check(path)
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        wanted = key.strip("/") if key is not None else names[0] if len(names) == 1 else None
        of_part = [f"{wanted}/{x}" for x, _ in LABELLED if f"{wanted}/{x}" in names]
        wanted = of_part[0] if of_part else wanted
        if wanted is None or wanted not in names:
            problem = f"has {len(names)} datasets; name one as {path}:KEY" if key is None else f"has no dataset '{key}'"
            raise InputError(f"{path}: {problem}. Datasets: {first_of(names) or 'none'}.{nearest(key or '', names)}")
        found = file[wanted]
        if found.shape is None:
            raise InputError(f"{path}: {wanted} is empty.")
        check_whole(found, path, wanted)
        if found.ndim and found.size and kind_of(found) == "numbers":
            return Stored(path, wanted, np.arange(len(found)))
        return np.asarray(found[()])
