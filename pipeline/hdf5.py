"""HDF5 files that are whole or absent, and that know when a byte of them has changed."""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline import crash
from pipeline.errors import InputError, check_file, first_line
from pipeline.hdf5_contents import blocks, is_foreign, members, objects, refuse_references
from pipeline.jsonl import beside, blaming, commit

DIGEST = "caviar_sha256"
INTACT, CHANGED, UNSEALED = "intact", "changed", "unsealed"


def digest(file: h5py.File) -> str:
    """sha256 over every dataset and attribute, in name order. A flipped bit in an uncompressed dataset loads
    silently otherwise. Read by blocks: a file may be larger than the memory."""
    total = hashlib.sha256()

    def add_attributes(item: h5py.HLObject) -> None:
        for key in sorted(item.attrs):
            if key != DIGEST:
                total.update(f"{item.name}@{key}={np.asarray(item.attrs[key]).tolist()!r}".encode())

    add_attributes(file)
    for name, item in objects(file):
        if isinstance(item, h5py.Dataset):
            total.update(f"{name}:{item.dtype}{item.shape or (1,)}".encode())
            for block in blocks(item):
                values = np.asarray(item[block])
                if values.dtype.hasobject:  # texts and lists of any length: the array holds addresses of them only
                    total.update("".join(f"{np.asarray(value).tolist()!r}," for value in values.flat).encode())
                else:
                    total.update(np.ascontiguousarray(values).data.cast("B") if values.size else b"")
        add_attributes(item)
    return total.hexdigest()


class Sink(io.FileIO):
    """A file for h5py to write to. HDF5 crashes the process once a write of its own has failed, so one that fails, for
    the disk is full, is kept from it: `check`, or leaving the block, raises it as the OSError that it is."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        n = len(rest)
        while rest and not self.failure:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.failure = error
        return n

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def check(self) -> None:
        if self.failure:
            raise self.failure from None

    def __exit__(self, *error: object) -> None:
        self.close()
        self.check()


def write(path: Path, fill: Callable[[Path], None]) -> None:
    """Replaces `path` by what `fill` writes, sealed with a digest.

    `fill` gets a temporary path beside it; a crash at any point leaves the old file or the new one.
    """
    # The suffix stays .h5: Keras chooses its format by it.
    temporary = beside(path, ".h5")
    try:
        with blaming(path):
            fill(temporary)
            with h5py.File(temporary, "r") as file:
                seal = digest(file)
            with Sink(temporary, "r+b") as sink, h5py.File(sink, "r+") as file:
                file.attrs[DIGEST] = seal
            commit(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def checksum(file: h5py.File) -> str:
    """INTACT, CHANGED since write(), or UNSEALED: not written by it."""
    sealed = file.attrs.get(DIGEST)
    if sealed is None:
        for key in file.attrs:  # nobody watches Keras when it reads them
            with contextlib.suppress(OSError, TypeError, ValueError):
                file.attrs[key]
        return UNSEALED
    foreign = any(item is None or is_foreign(item) for _, item in members(file))
    return CHANGED if foreign or sealed != digest(file) else INTACT


@contextlib.contextmanager
def opened(path: Path, *, references: bool = False) -> Iterator[h5py.File]:
    """`path`, open for reading. Raises InputError if it is missing, not HDF5, or turns out to be unreadable while it is
    open; and if it refers to other files, unless it may have such `references`, to be met by at() and check_own()."""
    check_file(path)
    try:
        with crash.watched(path), h5py.File(path, "r") as file:
            if not references:
                refuse_references(file)
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, BlockingIOError) or "already open for write" in str(error):
            raise InputError(f"{path}: another program has it open for writing; wait for it, or end it.") from None
        reason = first_line(error)
        raise InputError(f"{path}: not a readable HDF5 file ({reason}). Use another copy.") from None


def changed(path: Path) -> str:
    return f"{path}: its content has changed since it was written (checksum mismatch). Use another copy."


def check(path: Path) -> None:
    """Raises InputError if `path` is not to be opened, or not as it was written."""
    with opened(path) as file:
        state = checksum(file)
    if state == CHANGED:
        raise InputError(changed(path))
