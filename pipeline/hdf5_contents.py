"""What lies in an HDF5 file: walked, and read, in bounded memory and without another file's being opened."""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from pipeline import crash
from pipeline.errors import InputError

MOST_LINKS = 16  # one after another: more lead in a circle
LARGEST_CHUNK = 2**28  # bytes, unpacked: HDF5 reads no part of a chunk alone
BLOCK_BYTES = 2**23  # hashed at once: enough to keep reading fast, little enough for any machine


def objects(group: h5py.Group) -> Iterator[tuple[str, h5py.HLObject]]:
    """All groups and datasets within a group, each once, by their names, in the order of these."""
    return ((name, item) for name, item in members(group) if item is not None)


def members(group: h5py.Group) -> Iterator[tuple[str, h5py.HLObject | None]]:
    """The same and, as None, links to other files. Each is opened from the group that it is in: from the first one it
    would take as many steps as it lies deep, and the walk of HDF5 itself does so."""
    seen = {h5py.h5o.get_info(group.id).addr}

    def names(inside: h5py.Group, place: str) -> list[tuple[h5py.Group, bytes, str]]:
        return [(inside, name, place) for name in sorted(inside.id, reverse=True)]

    rest = names(group, "")
    while rest:
        crash.reading()
        inside, name, place = rest.pop()
        kind, text = inside.id.links.get_info(name).type, name.decode("utf-8", "surrogateescape")
        if kind == h5py.h5l.TYPE_HARD:
            item = inside[name]
            if (address := h5py.h5o.get_info(item.id).addr) not in seen:
                seen.add(address)
                yield place + text, item
                rest += names(item, f"{place}{text}/") if isinstance(item, h5py.Group) else []
        elif kind != h5py.h5l.TYPE_SOFT:
            yield place + text, None


def at(group: h5py.Group, path: str) -> h5py.HLObject | None:
    """What a path leads to within the file, soft links followed; None if to nothing. Raises InputError for a link to
    another file, which h5py would follow."""
    item, steps, links = group, path.split("/")[::-1], 0
    while steps:
        step = steps.pop().encode("utf-8", "surrogateescape")
        if step in (b"", b"."):
            continue
        if not isinstance(item, h5py.Group) or not item.id.links.exists(step):
            return None
        kind = item.id.links.get_info(step).type
        if kind == h5py.h5l.TYPE_HARD:
            item = item[step]
        elif kind == h5py.h5l.TYPE_SOFT and (links := links + 1) < MOST_LINKS:
            target = item.id.links.get_val(step).decode("utf-8", "surrogateescape")
            steps += target.split("/")[::-1]
            item = item.file if target.startswith("/") else item
        elif kind == h5py.h5l.TYPE_SOFT:
            return None
        else:
            raise _foreign_link(group.file, f"{item.name.rstrip('/')}/{step.decode('utf-8', 'replace')}"[1:])
    return item


def blocks(dataset: h5py.Dataset) -> Iterator[Any]:
    """What to index a dataset with to have its values in order: whole rows, of whole chunks, of about BLOCK_BYTES.

    Raises InputError for chunks that are too large.
    """
    check_chunks(dataset)
    if not dataset.shape:  # one value, or none
        if dataset.shape is not None:
            crash.reading()
            yield ()
        return
    rows = BLOCK_BYTES // max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    chunk = dataset.chunks[0] if dataset.chunks else 1
    step = max(chunk, rows // chunk * chunk)
    for start in range(0, len(dataset), step):
        crash.reading()
        yield slice(start, start + step)


def _foreign_link(file: h5py.File, name: str) -> InputError:
    return InputError(
        f"{file.filename}: '{name}' is a link to another file, which is not followed; copy the data here."
    )


def is_foreign(item: h5py.HLObject) -> bool:
    """Whether it is a dataset of which the values lie in another file."""
    return isinstance(item, h5py.Dataset) and bool(item.external or item.is_virtual)


def check_own(item: h5py.HLObject) -> None:
    """Raises InputError for a dataset of which the values lie in another file."""
    if is_foreign(item):
        where = f"{item.file.filename}: '{item.name[1:]}'"
        raise InputError(f"{where} keeps its data in another file, which is not read; copy it here.")


def check_chunks(dataset: h5py.Dataset) -> None:
    """Raises InputError for chunks that would fill the memory."""
    size = dataset.id.get_type().get_size() * int(np.prod(dataset.chunks or (0,), dtype=np.int64))
    if size > LARGEST_CHUNK:
        raise InputError(
            f"{dataset.file.filename}: {dataset.name[1:]} is stored in chunks of {size / 2**20:,.0f} MiB, each of "
            f"which has to be in memory as a whole; write it in chunks of up to {LARGEST_CHUNK >> 20} MiB."
        )


def refuse_references(file: h5py.File) -> None:
    """HDF5 can take a dataset's bytes from any file that it names, so a crafted one shows `/etc/passwd` as its
    weights. Raises InputError for external links, external storage and virtual datasets."""
    for name, item in members(file):
        if item is None:
            raise _foreign_link(file, name)
        check_own(item)
