"""Whether HDF5 comes back from reading what a file says of itself.

Text of any length lies in a heap of the file, and HDF5 1.14 follows a damaged one round and round: one in 250 files
with a flipped bit, and no error to catch. So it is read by a process of its own first.
"""

import subprocess
import sys
from pathlib import Path

from pipeline.errors import InputError

SECONDS = 60  # for some kilobytes, from however slow a disk

_READ = """
import contextlib, sys, h5py
path, *keys = sys.argv[1:]
with contextlib.suppress(Exception), h5py.File(path, "r") as file:
    for key in keys:
        for name in file[key].attrs:
            with contextlib.suppress(Exception):
                file[key].attrs[name]
        with contextlib.suppress(Exception):
            if h5py.check_string_dtype(file[key].dtype):
                file[key][()]
"""


def probe(path: Path, *keys: str) -> None:
    """Reads the attributes of what lies under `keys`, and the text there. Raises InputError if that hangs or crashes,
    or never came to it; what raises an error is left to whoever reads it."""
    try:  # -P: else a file h5py.py in the current folder, of whoever made the data, would be run
        done = subprocess.run(
            [sys.executable, "-P", "-c", _READ, str(path), *keys], capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{path}: HDF5 reads its attributes without end; it is damaged. Use another copy.") from None
    if done.returncode < 0:
        raise InputError(f"{path}: HDF5 crashes on its attributes; it is damaged. Use another copy.")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"{path}: the process that reads its attributes first can't ({said[-1]}).")
