"""Whether HDF5 comes back from reading what a file says of itself.

Text of any length lies in a heap of the file, and HDF5 1.14 follows a damaged one round and round: one in 250 files
with a flipped bit, and no error to catch. On a damaged list of chunks it crashes. So another process reads them first.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py

from pipeline import hdf5
from pipeline.data.checked import once
from pipeline.errors import InputError

SECONDS = 60  # for one object, or one text, from however slow a disk; a file may have a million objects
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
UNOPENED = 3  # the status of a probe to which HDF5 did not even open the file

_READ = """
import contextlib, os, sys, h5py
unopened, path, *texts = sys.argv[1:]
def goes_on():
    os.write(1, b"\\n")
def found(name):
    names.append(name)
    goes_on()
def read(item):
    for name in item.attrs:
        goes_on()
        with contextlib.suppress(Exception):
            item.attrs[name]
    if isinstance(item, h5py.Dataset) and item.chunks:
        item.id.get_num_chunks()
try:
    file = h5py.File(path, "r")
except Exception:
    sys.exit(int(unopened))
names = ["/"]
with contextlib.suppress(Exception):
    file.visit(found)
for name in names:
    goes_on()
    with contextlib.suppress(Exception):
        read(file[name])
for name in texts:
    goes_on()
    with contextlib.suppress(Exception):
        file[name][()]
"""


class Unopened(OSError):
    """HDF5 could not open the file when it was probed."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """hdf5.opened() of a file from anywhere: probed first, once for each state of the file."""
    if path.is_file():
        with contextlib.suppress(Unopened):  # hdf5.opened() says why, if it can't either
            once(path, "probe", lambda: probe(path))
    with hdf5.opened(path) as file:
        yield file


def probe(path: Path, *texts: str) -> None:
    """Reads the attributes and lists of chunks of all that is in a file, and the text under some keys. Raises
    InputError if that hangs or crashes, or never came to it, and Unopened; what else raises an error is left to
    whoever reads it."""
    # -P: else a file h5py.py in the current folder, of whoever made the data, would be run.
    line = [sys.executable, "-P", "-c", _READ, str(UNOPENED), str(path), *texts]
    try:
        child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        raise InputError(f"{path}: the process that reads its structure first can't start ({error}).") from None
    with child:
        try:
            said = _heard(child)
        except TimeoutError:
            raise InputError(
                f"{path}: HDF5 reads its structure without end; it is damaged. Use another copy."
            ) from None
        finally:
            child.kill()
    if child.returncode == UNOPENED:
        raise Unopened(str(path))
    if -child.returncode in CRASHES:
        raise InputError(f"{path}: HDF5 crashes on its structure; it is damaged. Use another copy.")
    if child.returncode:
        last = said.decode(errors="replace").strip().splitlines() or [f"it ended with status {child.returncode}"]
        raise InputError(f"{path}: the process that reads its structure first can't ({last[-1]}).")


def _heard(child: subprocess.Popen[bytes]) -> bytes:
    """The last of what a probe printed until it ended. Raises TimeoutError if it is silent for SECONDS: it prints an
    empty line for every object."""
    assert child.stdout
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while selector.select(SECONDS):
            if not (more := os.read(child.stdout.fileno(), 2**16)):
                child.wait()
                return said
            said = (said + more)[-2000:]
    raise TimeoutError
