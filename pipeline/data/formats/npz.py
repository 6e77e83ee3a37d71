"""Examples in NumPy's .npz files."""

import contextlib
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.data import attributes, parts
from pipeline.data.examples import Examples
from pipeline.data.formats import naming
from pipeline.data.formats.reader import reader
from pipeline.data.rows import InMemory
from pipeline.data.splits import Splits
from pipeline.data.trainable import check_memory, trainable
from pipeline.errors import InputError, check_file, first_line, first_of, nearest


def npz(
    *,
    file: str,
    inputs: str,
    labels: str,
    validation: parts.Place | None,
    test: parts.Place | None,
    validation_fraction: float,
    test_fraction: float,
    memory: str,
    seed: int,
) -> Splits:
    """Inputs [n, *shape] and labels [n], whole numbers from 0 or text, under two keys of a file.

    validation, test: where a part has a place of its own (another file, other keys); one that has none is split off
    the training part by seed. Arrays of Python objects are not read: that could run any code.
    memory: `always` to hold data that take more than a sixteenth of the memory.
    Raises InputError with the file, the key and what to do for whatever can't be trained on.
    """
    place = {"file": file, "inputs": inputs, "labels": labels}

    def at(place: parts.Place) -> Examples:
        examples = read(Path(place["file"]), inputs=place["inputs"], labels=place["labels"], memory=memory)
        return trainable(replace(examples, class_names=None))  # they would change the fingerprint of earlier versions

    own = parts.located(at, place, {"validation": validation, "test": test})
    return parts.divide(own, {"validation": validation_fraction, "test": test_fraction}, seed)


def in_parts(path: Path) -> dict[str, dict[str, str]]:
    """The pairs of inputs and labels in a file, by their names and shapes."""
    shapes, dtypes = _heads(path)
    pairs = naming.pairs(shapes)
    return naming.ordered({x: {"inputs": x, "labels": y} for x, y in pairs if dtypes[x].kind in "biuf"})


@reader(".npz", parts=in_parts)
def read(
    path: Path,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    key: str | None = None,
    labelled: bool = True,
    survey: bool = False,
    memory: str = "always",
) -> Examples:
    """The arrays under two keys of a file; without them those that have the usual names. key: that of the inputs,
    where no labels are needed."""
    shapes, dtypes = _heads(path)
    if inputs is None and survey:
        objects = [name for name, dtype in dtypes.items() if dtype.hasobject]
        arrays(path, {name: name for name in shapes if name not in objects})  # says of one that can't be read why
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if name not in objects) or "nothing"
        if objects:
            what = f"{first_of(objects)} holds Python objects, not numbers or text; save a plain array"
            raise InputError(f"{path}: {what}. It holds {listed}, but no inputs with labels beside them.")
        raise InputError(f"{path}: no inputs with labels beside them, such as x and y; it holds {listed}.")
    if inputs is None and labelled:
        inputs, labels = naming.labelled(str(path), list(shapes))
    elif inputs is None:
        inputs = naming.unlabelled(path, key, shapes, "arrays")
    if inputs == "x" and inputs not in shapes and (words := naming.keys_for(in_parts(path))):
        raise InputError(
            f"{path}: there is no array {inputs!r} for the inputs. Arrays: {first_of(shapes)}. Give {words}"
        )
    if inputs in shapes:
        check_memory(str(path), math.prod(shapes[inputs]) * dtypes[inputs].itemsize, memory, "npz")
    keys = {"inputs": inputs} | ({} if labels is None else {"labels": labels})
    if "class_names" in dtypes and dtypes["class_names"].kind in "SU":
        keys["class_names"] = "class_names"
    values = arrays(path, keys)
    names = attributes.names(values["class_names"].tolist()) if "class_names" in values else None
    return Examples(
        str(path), InMemory(values["inputs"]), values.get("labels"), names, key=inputs, label_key=labels or "labels"
    )


def arrays(path: Path, keys: dict[str, str]) -> dict[str, np.ndarray]:
    """Arrays of a file by what they are for: `keys` says under which key each lies; text is decoded from UTF-8. Raises
    InputError for a file that is missing or can't be read, or lacks one."""
    with _opened(path) as file:
        values = {}
        for what, key in keys.items():
            if key not in file.files:
                listed = first_of(file.files) or "none"
                raise InputError(
                    f"{path}: there is no array {key!r} for the {what}. Arrays: {listed}.{nearest(key, file.files)}"
                )
            try:
                array = file[key]
            except ValueError as error:
                if "pickle" in str(error):
                    objects = f"{path}: {key} holds Python objects, not numbers or text"
                    raise InputError(f"{objects}; save a plain array.") from None
                raise
            if not isinstance(array, np.ndarray):  # whatever else was zipped comes as bytes
                raise InputError(f"{path}: {key} is no array; numpy.savez writes them.")
            values[what] = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
        return values


def _heads(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, np.dtype]]:
    """The shapes and types of a file's arrays, which are not read for that. Whoever reads one that is none tells of
    it."""
    shapes, dtypes = {}, {}
    with _opened(path) as file:
        for name in file.files:
            if file.zip and f"{name}.npy" in file.zip.namelist():
                with contextlib.suppress(ValueError), file.zip.open(f"{name}.npy") as array:
                    first = np.lib.format.read_magic(array) == (1, 0)
                    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
                    shapes[name], _, dtypes[name] = read(array)
    return shapes, dtypes


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """The file, open. Raises InputError if it is missing, no .npz file, or found to be damaged while it is open."""
    check_file(path)
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip archive of arrays; numpy.savez writes one")
        with np.load(path, allow_pickle=False) as file:
            yield file
    except MemoryError:
        raise InputError(f"{path}: its content does not fit in memory.") from None
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        reason = first_line(error)
        raise InputError(f"{path}: not a readable .npz file ({reason}). Use another copy.") from None
