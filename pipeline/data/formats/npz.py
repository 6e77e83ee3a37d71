"""Examples in NumPy's .npz files."""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.data import parts
from pipeline.data.splits import Splits
from pipeline.data.stream.stored import as_read
from pipeline.errors import InputError, check_file, first_of, nearest


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
    own = parts.located(partial(_part, memory=memory), place, {"validation": validation, "test": test})
    return parts.divide(own, {"validation": validation_fraction, "test": test_fraction}, seed)


def names(path: Path) -> list[str]:
    """The keys of a file. Raises InputError for one that is missing or can't be read."""
    with _opened(path) as file:
        return list(file.files)


def arrays(path: Path, keys: dict[str, str]) -> dict[str, np.ndarray]:
    """Arrays of a file by what they are for: `keys` says under which key each lies; text is decoded from UTF-8. Raises
    InputError for a file that is missing or can't be read, or lacks one."""
    with _opened(path) as file:
        found = {}
        for what, key in keys.items():
            if key not in file.files:
                listed = first_of(file.files) or "none"
                raise InputError(
                    f"{path}: there is no array {key!r} for the {what}. Arrays: {listed}.{nearest(key, file.files)}"
                )
            try:
                array = file[key]
            except ValueError as error:
                if "pickle" not in str(error):
                    raise
                raise InputError(
                    f"{path}: {key} holds Python objects, not numbers or text; save a plain array."
                ) from None
            if not isinstance(array, np.ndarray):  # whatever else was zipped comes as bytes
                raise InputError(f"{path}: {key} is no array; numpy.savez writes them.")
            found[what] = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
        return found


def _part(place: parts.Place, memory: str) -> parts.Part:
    path, key, label_key = Path(str(place["file"])), str(place["inputs"]), str(place["labels"])
    parts.check_memory(str(path), _size(path, key), memory, "npz")
    found = arrays(path, {"inputs": key, "labels": label_key})
    inputs, labels = found["inputs"], found["labels"]
    other = None if inputs.dtype.kind in "biuf" else "text" if inputs.dtype.kind in "SU" else str(inputs.dtype)
    n = parts.check_pair(str(path), (key, inputs.shape, other), (label_key, labels.shape))
    whole = inputs.dtype.kind != "f"
    with np.errstate(over="ignore"):  # what float32 can't hold is found as not finite
        inputs = inputs.astype(as_read(inputs.dtype), copy=False)
    parts.check_finite(str(path), key, inputs)
    return parts.Part(str(path), key, label_key, inputs.__getitem__, labels.reshape(n), whole=whole)


def _size(path: Path, key: str) -> int:
    """Bytes of an array once it is read, 0 if there is none."""
    with _opened(path) as file:
        infos = {info.filename: info.file_size for info in file.zip.infolist()} if file.zip else {}
    return infos.get(f"{key}.npy", 0)


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
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a readable .npz file ({reason}). Use another copy.") from None
