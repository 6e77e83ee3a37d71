"""Which reader a file is for, by the map `formats:` of conf/config.yaml, and how it is called.

A reader is a function `read(path, ...) -> Examples` that says its suffixes. What else it takes, it names:

labelled   whether labels are needed; without, there may be none, and FILE:KEY names the inputs
survey     true for a look at the file: nothing is refused that can be shown
key        what stands behind the colon of FILE:KEY
size, channels, encoding   what the images, or the columns of a table, are to become for a model
memory     `auto` if data too large for every worker are to be refused
and anything else that `dataset=file` is given as dataset.KEY.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from pipeline.data.examples import Examples
from pipeline.data.rows import Rows
from pipeline.errors import InputError, nearest, one_of
from pipeline.targets import locate

AUTO = "auto"  # the format that the suffix says
FOLDER = "/"  # in the place of a suffix
PARQUET = ".parquet"  # files of one table may be many, in a folder
INTERNAL = ("labelled", "survey")  # what commands give a reader, and no user
Parts = Callable[[Path], dict[str, dict[str, str]]]


class Reader(Protocol):
    suffixes: tuple[str, ...]  # in lower case, with their dots; FOLDER if folders are read, too
    parts: Parts | None  # the parts in a file that has several, by their names: what to give the reader for each
    labelled: bool  # whether it ever gives labels

    def __call__(self, path: Path, **keys: Any) -> Examples: ...


def reader(
    *suffixes: str, parts: Parts | None = None, labelled: bool = True
) -> Callable[[Callable[..., Examples]], Reader]:
    """Makes a function a Reader."""

    def mark(read: Callable[..., Examples]) -> Reader:
        for name, value in (("suffixes", suffixes), ("parts", parts), ("labelled", labelled)):
            setattr(read, name, value)
        return cast(Reader, read)

    return mark


def readers(formats: Mapping[str, str]) -> dict[str, Reader]:
    """The functions that a map names, by format."""
    return {name: cast(Reader, locate(target)) for name, target in formats.items()}


def _by_suffix(formats: Mapping[str, str]) -> dict[str, Reader]:
    """The functions that a map names, by the suffixes that they say; of several the last one."""
    return {suffix: read for read in readers(formats).values() for suffix in getattr(read, "suffixes", ())}


def suffixes(formats: Mapping[str, str]) -> tuple[str, ...]:
    """All that the readers of a map say."""
    return tuple(_by_suffix(formats))


def reader_of(path: Path, formats: Mapping[str, str], name: str = AUTO) -> Reader | None:
    """The reader of a format, or of the suffix of a path, the longest that it has; None if there is none.

    Raises InputError for an unknown format.
    """
    if name == AUTO:
        known = _by_suffix(formats)
        if ends := [suffix for suffix in known if suffix != FOLDER and path.name.lower().endswith(suffix)]:
            return known[max(ends, key=len)]
        return _reader_of_folder(path, known) if path.is_dir() else None
    if name not in formats:
        raise one_of("dataset.format", name, [AUTO, *formats])
    return readers(formats)[name]


def _reader_of_folder(path: Path, known: Mapping[str, Reader]) -> Reader | None:
    """That of folders, unless what lies within are Parquet files without anything for that one."""
    folders = known.get(FOLDER)
    within = {file.suffix.lower() for file in path.rglob("*")}
    if PARQUET in within and within.isdisjoint(getattr(folders, "suffixes", ())):
        return known.get(PARQUET, folders)
    return folders


def takes(read: Callable[..., Any], key: str) -> bool:
    parameters = inspect.signature(read).parameters
    return key in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())


def parts_of(read: Reader, path: Path) -> dict[str, dict[str, str]]:
    """The parts in a file by name, with what the reader is to be given for each; empty if it has none."""
    parts: Parts | None = getattr(read, "parts", None)
    return parts(path) if parts else {}


def survey(read: Reader, path: Path, keys: Mapping[str, object]) -> dict[str, Examples]:
    """The parts of a file for a look at it, by name; a file that has none is one, unless the reader finds no inputs."""
    parts = {} if "inputs" in keys else parts_of(read, path)
    offered = {"labelled": False, "survey": True}
    places = parts or {"examples": {}}
    return {name: read_examples(read, path, {**keys, **own}, offered) for name, own in places.items()}


def read_examples(read: Reader, path: Path, keys: Mapping[str, object], offered: Mapping[str, object]) -> Examples:
    """What a reader gives of a file, checked, for anybody may have written it. keys: what the user asks for; offered:
    what it may take.

    Raises InputError for keys that it does not take, and unless it returns Examples with arrays of numbers.
    """
    allowed = [name for name in inspect.signature(read).parameters if name not in ("path", *INTERNAL)]
    for key, value in keys.items():
        if key in INTERNAL or not takes(read, key):
            listed = ", ".join(allowed) or "nothing"
            raise InputError(f"dataset.{key}={value}: the reader of {path} takes {listed}.{nearest(key, allowed)}")
    examples = read(path, **{key: value for key, value in {**offered, **keys}.items() if takes(read, key)})
    where = f"{read.__module__}.{getattr(read, '__name__', 'read')}"
    if not isinstance(examples, Examples):
        raise InputError(f"{where} returns a {type(examples).__name__}; a reader returns Examples.")
    inputs, targets = examples.inputs, examples.targets
    if not isinstance(inputs, Rows) or not isinstance(targets, np.ndarray | None):
        kinds = f"inputs are a {type(inputs).__name__}, targets a {type(targets).__name__}"
        raise InputError(f"{where}: {kinds}; wanted are arrays of NumPy.")
    if inputs.dtype.kind not in "biuf":
        raise InputError(f"{path}: holds {inputs.dtype}, not numbers.")
    return examples
