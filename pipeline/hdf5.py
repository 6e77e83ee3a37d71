"""HDF5 files that are whole or absent, and that know when a byte of them has changed."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from pipeline.errors import InputError
from pipeline.jsonl import commit

DIGEST = "caviar_sha256"


def digest(file: h5py.File) -> str:
    """sha256 over every dataset and attribute, in name order. A flipped bit in an uncompressed dataset loads
    silently otherwise."""
    total = hashlib.sha256()

    def add_attributes(item: h5py.HLObject) -> None:
        for key in sorted(item.attrs):
            if key != DIGEST:
                total.update(f"{item.name}@{key}={np.asarray(item.attrs[key]).tolist()!r}".encode())

    def add(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            array = np.ascontiguousarray(item[()])
            total.update(f"{name}:{array.dtype}{array.shape}".encode())
            total.update(array.tobytes())
        add_attributes(item)

    add_attributes(file)
    file.visititems(add)
    return total.hexdigest()


def write(path: Path, fill: Callable[[Path], None]) -> None:
    """Replaces `path` by what `fill` writes, sealed with a digest.

    `fill` gets a temporary path beside it; a crash at any point leaves the old file or the new one.
    """
    # The suffix stays .h5: Keras chooses its format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.h5")
    try:
        fill(temporary)
        with h5py.File(temporary, "r+") as file:
            file.attrs[DIGEST] = digest(file)
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        commit(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check(path: Path) -> None:
    """Raises InputError if `path` is missing, not HDF5, or not as it was written."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        with h5py.File(path, "r") as file:
            sealed = file.attrs.get(DIGEST)
            intact = sealed is None or sealed == digest(file)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not a readable HDF5 file ({str(error).splitlines()[0]}).") from None
    if not intact:
        raise InputError(f"{path}: its content has changed since it was written (checksum mismatch). Use another copy.")
