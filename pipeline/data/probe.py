"""Whether HDF5 comes back from reading what a file says of itself.

Text of any length lies in a heap of the file, and HDF5 1.14 follows a damaged one round and round: one in 250 files
with a flipped bit, and no error to catch. On a damaged list of chunks it crashes. So another process reads them first.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py

from pipeline import hdf5
from pipeline.data.checked import once
from pipeline.errors import InputError

SECONDS = 60  # for some kilobytes, from however slow a disk

_READ = """
import contextlib, sys, h5py
path, *texts = sys.argv[1:]
def read(item):
    for name in item.attrs:
        with contextlib.suppress(Exception):
            item.attrs[name]
    if isinstance(item, h5py.Dataset) and item.chunks:
        item.id.get_num_chunks()
with contextlib.suppress(Exception), h5py.File(path, "r") as file:
    names = ["/"]
    with contextlib.suppress(Exception):
        file.visit(names.append)
    for name in names:
        with contextlib.suppress(Exception):
            read(file[name])
    for name in texts:
        with contextlib.suppress(Exception):
            file[name][()]
"""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """hdf5.opened() of a file from anywhere: probed first, once for each state of the file."""
    if path.is_file():
        once(path, "probe", lambda: probe(path))
    with hdf5.opened(path) as file:
        yield file


def probe(path: Path, *texts: str) -> None:
    """Reads the attributes and lists of chunks of all that is in a file, and the text under some keys. Raises
    InputError if that hangs or crashes, or never came to it; what raises an error is left to whoever reads it."""
    try:  # -P: else a file h5py.py in the current folder, of whoever made the data, would be run
        done = subprocess.run(
            [sys.executable, "-P", "-c", _READ, str(path), *texts], capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{path}: HDF5 reads its structure without end; it is damaged. Use another copy.") from None
    if done.returncode < 0:
        raise InputError(f"{path}: HDF5 crashes on its structure; it is damaged. Use another copy.")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"{path}: the process that reads its structure first can't ({said[-1]}).")
