"""The image sets of keras.datasets, from the files that Keras keeps in its cache.

Importing Keras takes seconds and TensorFlow with it, which the process that checks the data has no use for: another
process downloads a set once, and the files are read here.
"""

import gzip
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import parts
from pipeline.data.formats import npz
from pipeline.data.splits import Splits
from pipeline.errors import InputError

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
CIFAR_ORIGIN = "https://www.cs.toronto.edu/~kriz/"
DIGITS = tuple(map(str, range(10)))
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BLOCK = 2**20
SILENCE_SECONDS = 30  # after which a server that does not answer is given up

# What reading a file raises that is damaged, or something else.
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, LookupError),
    *(tarfile.TarError, pickle.UnpicklingError, zlib.error),
)

Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 [n, height, width, channels], labels [n]


def mnist(*, validation_fraction: float, seed: int) -> Splits:
    """Handwritten digits, 28 x 28 x 1: 60,000 to train and validate with, 10,000 to test."""
    path = _cached("mnist", [Path("mnist.npz")], ORIGIN)[0]

    def read(part: str) -> Arrays:
        try:
            found = npz.arrays(path, {"inputs": f"x_{part}", "labels": f"y_{part}"})
        except InputError as error:
            raise InputError(f"{error}\nDelete it, and it is downloaded again.") from None
        return found["inputs"][..., None], found["labels"]

    return _splits(path, {"train": read("train"), "test": read("test")}, DIGITS, validation_fraction, seed)


def fashion_mnist(*, validation_fraction: float, seed: int) -> Splits:
    """Pictures of clothes, 28 x 28 x 1: 60,000 to train and validate with, 10,000 to test."""
    kinds = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    paths = _cached("fashion_mnist", [Path("fashion-mnist", name) for name in kinds], ORIGIN)
    images, labels, test_images, test_labels = (_read(path, _idx) for path in paths)
    found = {"train": (images[..., None], labels), "test": (test_images[..., None], test_labels)}
    return _splits(paths[0].parent, found, CLOTHES, validation_fraction, seed)


def cifar10(*, validation_fraction: float, seed: int) -> Splits:
    """Photographs, 32 x 32 x 3, of animals and vehicles: 50,000 to train and validate with, 10,000 to test."""
    # As its makers name the archive, and as Keras does, after the folder that it unpacks it to.
    names = ("cifar-10-python.tar.gz", "cifar-10-batches-py-target_archive", "cifar-10-batches-py.tar.gz")
    path = _cached("cifar10", [Path(name) for name in names], CIFAR_ORIGIN, any_of=True)[0]
    return _splits(path, _read(path, _cifar), THINGS, validation_fraction, seed)


def _splits(
    where: Path, found: Mapping[str, Arrays], class_names: tuple[str, ...], validation_fraction: float, seed: int
) -> Splits:
    own = {}
    for name, (images, labels) in found.items():
        if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != images.shape[:1] or not len(labels):
            raise InputError(f"{where}: not as Keras keeps it: images {images.shape}, labels {labels.shape} ({name}).")
        own[name] = parts.Part(str(where), f"{name} images", f"{name} labels", images.__getitem__, labels, class_names)
    return parts.divide(own, {"validation": validation_fraction}, seed)


def folders() -> list[Path]:
    """Where Keras keeps data sets: in KERAS_HOME or ~/.keras; in the temporary folder if it may not write there."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    spare = Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir(), ".keras")
    return [base / "datasets" for base in (home, *(() if os.access(home, os.W_OK) else (spare,)))]


def _cached(name: str, wanted: Sequence[Path], origin: str, any_of: bool = False) -> list[Path]:
    """The files of a set, downloaded unless they are there: all of `wanted`, or with `any_of` one of them."""
    if found := _found(wanted, any_of):
        return found
    reason = _download(name)
    if found := _found(wanted, any_of):
        return found
    missing = [path.name for path in (wanted[:1] if any_of else wanted)]
    place = folders()[0] / wanted[0].parent
    raise InputError(
        f"{name} is not in {place}, and Keras could not download it ({reason}); "
        f"put {' and '.join(', '.join(missing).rsplit(', ', 1))}, from {origin}, into that folder."
    )


def _found(wanted: Sequence[Path], any_of: bool) -> list[Path]:
    for folder in folders():
        there = [folder / path for path in wanted if (folder / path).is_file()]
        if there and (any_of or len(there) == len(wanted)):
            return there
    return []


def _download(name: str) -> str:
    """Lets Keras fetch a set into its cache; why it could not, if it could not."""
    code = (
        f"import socket; socket.setdefaulttimeout({SILENCE_SECONDS})\n"
        f"from keras.datasets import {name}; {name}.load_data()"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    # Its progress is shown on a terminal. -P: a file of the current folder named keras.py is not meant.
    shown = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    child = [sys.executable, "-P", "-c", code]
    done = subprocess.run(child, env=environment, stdout=shown, stderr=subprocess.PIPE, text=True, errors="replace")
    lines = done.stderr.strip().splitlines()
    return lines[-1].rpartition(" -- ")[2] if lines and done.returncode else f"exit status {done.returncode}"


def _read(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not readable ({reason}); delete it, and it is downloaded again.") from None


def _idx(path: Path) -> np.ndarray:
    """A gzipped IDX file of bytes: two zeros, 8 for bytes, the number of dimensions, each as four bytes; the data."""
    with gzip.open(path) as file:
        head = file.read(4)
        if len(head) < 4 or head[:3] != b"\0\0\x08":
            raise ValueError("not an IDX file of bytes")
        shape = np.frombuffer(file.read(4 * head[3]), ">u4").astype(np.int64)
        data = bytearray()
        for block in iter(partial(file.read, BLOCK), b""):
            data += block
            if len(data) > shape.prod():  # whatever gzip has packed there
                break
    return np.frombuffer(data, np.uint8).reshape(shape)


def _cifar(path: Path) -> dict[str, Arrays]:
    """The parts from the archive: five batches and one, each a pickled dictionary of images as rows of red, green and
    blue planes."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name
            if (stream := archive.extractfile(member)) and name.startswith(("data_batch_", "test_batch")):
                batch = _Arrays(stream, encoding="bytes").load()
                images = np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                found[name] = (images, np.asarray(batch[b"labels"]))
    images, labels = zip(*(found[f"data_batch_{i}"] for i in range(1, 6)))
    return {"train": (np.concatenate(images), np.concatenate(labels)), "test": found["test_batch"]}


class _Arrays(pickle.Unpickler):
    """Reads pickles of arrays and plain values; one that would call anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        renamed = module.replace("numpy.core", "numpy._core")  # by NumPy 2
        if (renamed, name) not in _REBUILD_ARRAYS:
            raise pickle.UnpicklingError(f"it would call {module}.{name}")
        return super().find_class(renamed, name)


_REBUILD_ARRAYS = {("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
