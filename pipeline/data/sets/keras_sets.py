"""The image sets of keras.datasets, as .npz files.

Importing Keras takes seconds and TensorFlow with it, which the process that checks the data has no use for: another
process lets Keras download a set and unpack it into the user's cache, once. Keras itself keeps mnist as such a file.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import cache
from pipeline.data import parts
from pipeline.data.examples import Examples
from pipeline.data.formats import npz
from pipeline.data.rows import InMemory
from pipeline.data.splits import Splits
from pipeline.errors import InputError

GOOGLE, TORONTO = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/", "https://www.cs.toronto.edu/~kriz/"
FASHION = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
CIFAR = ("cifar-10-python.tar.gz", "cifar-10-batches-py.tar.gz")  # as its makers call the archive, as Keras once did
SILENCE_SECONDS = 30  # after which a server that does not answer is given up

_UNPACK = f"""
import os, pathlib, socket, sys, tempfile
socket.setdefaulttimeout({SILENCE_SECONDS})
import keras, numpy
keras.config.set_image_data_format("channels_last")
(x_train, y_train), (x_test, y_test) = getattr(keras.datasets, sys.argv[1]).load_data()
for path in map(pathlib.Path, sys.argv[2:]):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        numpy.savez(folder + "/whole.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
        os.replace(folder + "/whole.npz", path)
"""


@dataclass(frozen=True)
class _KerasSet:
    name: str  # in keras.datasets
    class_names: tuple[str, ...]
    origin: str  # where its files are
    files: tuple[str, ...]  # as they are called there
    kept: tuple[str, ...]  # as Keras calls them in its folder of data sets


_MNIST = _KerasSet("mnist", tuple(map(str, range(10))), GOOGLE, ("mnist.npz",), ("mnist.npz",))
_FASHION_MNIST = _KerasSet(
    "fashion_mnist",
    (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    *(GOOGLE, FASHION, tuple(f"fashion-mnist/{file}" for file in FASHION)),
)
_CIFAR10 = _KerasSet(
    "cifar10",
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    *(TORONTO, CIFAR[:1], ("cifar-10-batches-py-target_archive",)),
)


def mnist(*, validation_fraction: float, seed: int) -> Splits:
    """Handwritten digits, 28 x 28 x 1: 60,000 to train and validate with, 10,000 to test."""
    return _splits(_MNIST, validation_fraction, seed)


def fashion_mnist(*, validation_fraction: float, seed: int) -> Splits:
    """Pictures of clothes, 28 x 28 x 1: 60,000 to train and validate with, 10,000 to test."""
    return _splits(_FASHION_MNIST, validation_fraction, seed)


def cifar10(*, validation_fraction: float, seed: int) -> Splits:
    """Photographs, 32 x 32 x 3, of animals and vehicles: 50,000 to train and validate with, 10,000 to test."""
    for folder in folders():
        archive = folder / _CIFAR10.kept[0]
        for file in CIFAR:
            if (folder / file).is_file() and not archive.exists():
                archive.symlink_to(folder / file)
    return _splits(_CIFAR10, validation_fraction, seed)


def _splits(keras_set: _KerasSet, validation_fraction: float, seed: int) -> Splits:
    path, own = _npz(keras_set), {}
    for part in ("train", "test"):
        try:
            arrays = npz.arrays(path, {"images": f"x_{part}", "labels": f"y_{part}"})
        except InputError as error:
            raise InputError(f"{error}\nDelete it, and it is downloaded again.") from None
        images, labels = arrays["images"], arrays["labels"].reshape(-1)
        images = images[..., None] if images.ndim == 3 else images
        if images.dtype != np.uint8 or images.ndim != 4 or len(labels) != len(images) or not len(labels):
            raise InputError(f"{path}: not as Keras keeps it: images {images.shape}, labels {labels.shape} ({part}).")
        key, label_key = f"{part} images", f"{part} labels"
        own[part] = Examples(str(path), InMemory(images), labels, keras_set.class_names, key=key, label_key=label_key)
    return parts.divide(own, {"validation": validation_fraction}, seed)


def folders() -> list[Path]:
    """Where Keras keeps data sets: in KERAS_HOME or ~/.keras; in the temporary folder if it may not write there."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    spare = Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir(), ".keras")
    return [base / "datasets" for base in (home, *(() if os.access(home, os.W_OK) else (spare,)))]


def _npz(keras_set: _KerasSet) -> Path:
    """The .npz file of a set, made unless it is there."""
    unpacked = None if keras_set.kept[0].endswith(".npz") else cache.file(f"{keras_set.name}.npz")

    def existing() -> Path | None:
        places = [unpacked] if unpacked else [folder / keras_set.kept[0] for folder in folders()]
        return next(filter(Path.is_file, places), None)

    if path := existing():
        return path
    reason = _download(keras_set.name, unpacked)
    if path := existing():
        return path
    for folder in folders():
        kept = [folder / file for file in keras_set.kept]
        if all(map(Path.is_file, kept)):
            where = kept[0] if len(kept) == 1 else kept[0].parent
            raise InputError(f"{where}: not readable ({reason}); delete it, and it is downloaded again.")
    place = (folders()[0] / keras_set.kept[0]).parent
    files = " and ".join(", ".join(keras_set.files).rsplit(", ", 1))
    raise InputError(
        f"{keras_set.name} is not in {place}, and Keras could not download it ({reason}); "
        f"put {files}, from {keras_set.origin}, into that folder."
    )


def _download(name: str, unpacked: Path | None) -> str:
    """Lets Keras fetch a set into its cache, and unpack it to a file; why it could not, if it could not."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    # Its progress is shown on a terminal. -P: a file of the current folder named keras.py is not meant.
    progress = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    child = [sys.executable, "-P", "-c", _UNPACK, name, *([str(unpacked)] if unpacked else [])]
    done = subprocess.run(child, env=environment, stdout=progress, stderr=subprocess.PIPE, text=True, errors="replace")
    lines = done.stderr.strip().splitlines()
    return lines[-1].rpartition(" -- ")[2] if lines and done.returncode else f"exit status {done.returncode}"
