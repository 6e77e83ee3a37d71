"""Small files as Keras keeps them, in a KERAS_HOME of their own.

Keras itself, which takes seconds to import, unpacks them in the slow tests; in the others a module in its place, which
has the sets of a folder and no network.
"""

import gzip
import io
import os
import pickle
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from pipeline.data.sets import keras_sets
from pipeline.errors import InputError
from tests.conftest import ROOT, here

RNG = np.random.default_rng(0)
LABELS, TEST_LABELS = (np.arange(n, dtype=np.uint8) % 10 for n in (100, 20))


def pixels(n, *shape):
    return RNG.integers(0, 256, (n, *shape), dtype=np.uint8)


# In the place of keras.datasets: loads the sets that lie in a folder, and keeps mnist, as Keras does.
STAND_IN = """
import os, shutil, types
import numpy as np

class config:
    set_image_data_format = print

def load(name):
    source = f"{os.environ['SERVER']}/{name}.npz"
    if os.environ.get("FAILS"):
        raise ValueError(os.environ["FAILS"])
    if not os.path.exists(source):
        raise Exception("URL fetch failure on https://example.org/mnist.npz: None -- no route to host")
    if name == "mnist":
        shutil.copy(source, os.environ["KERAS_HOME"] + "/datasets/mnist.npz")
    with np.load(source) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])

NAMES = ("mnist", "fashion_mnist", "cifar10")
modules = {name: types.SimpleNamespace(load_data=lambda name=name: load(name)) for name in NAMES}
datasets = types.SimpleNamespace(**modules)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of data sets of a Keras that has not downloaded any yet."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "home/datasets").mkdir(parents=True)
    return tmp_path / "home/datasets"


@pytest.fixture
def server(home, tmp_path, monkeypatch):
    """The folder of what a module in the place of Keras downloads."""
    for name in ("server", "stand_in"):
        (tmp_path / name).mkdir()
    (tmp_path / "stand_in/keras.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand_in"))
    monkeypatch.setenv("SERVER", str(tmp_path / "server"))
    return tmp_path / "server"


def keep_mnist(folder, images, test_images, name="mnist.npz"):
    np.savez(folder / name, x_train=images, y_train=LABELS, x_test=test_images, y_test=TEST_LABELS)


def serve_fashion(folder, images, test_images):
    keep_mnist(folder, images, test_images, "fashion_mnist.npz")


def serve_cifar(folder, images, test_images):
    """With labels as columns, as they come from Keras."""
    labels = {"y_train": LABELS[:, None], "y_test": TEST_LABELS[:, None]}
    np.savez(folder / "cifar10.npz", x_train=images, x_test=test_images, **labels)


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.tobytes())


def keep_fashion(folder, images, test_images):
    folder = folder / "fashion-mnist"
    folder.mkdir()
    for name, array in {
        "train-images-idx3-ubyte.gz": images,
        "train-labels-idx1-ubyte.gz": LABELS,
        "t10k-images-idx3-ubyte.gz": test_images,
        "t10k-labels-idx1-ubyte.gz": TEST_LABELS,
    }.items():
        (folder / name).write_bytes(idx(array))


def keep_cifar(folder, name, data):
    """An archive of pickles, as the one of the data set's makers."""
    pickled = pickle.dumps({b"data": data, b"labels": []}, protocol=3)
    with tarfile.open(folder / name, "w:gz") as archive:
        for batch in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            info = tarfile.TarInfo(f"cifar-10-batches-py/{batch}")
            info.size = len(pickled)
            archive.addfile(info, io.BytesIO(pickled))


def check(load, shape, images, test_images):
    splits = load(validation_fraction=0.2, seed=0)
    shape = (*shape, 1)[:3]
    assert splits.input_shape == shape and splits.n_classes == 10
    np.testing.assert_array_equal(splits.test.inputs, test_images.reshape(20, *shape))
    np.testing.assert_array_equal(splits.test.labels, TEST_LABELS)
    both = np.concatenate([splits.train.inputs, splits.validation.inputs])
    labels = np.concatenate([splits.train.labels, splits.validation.labels])
    assert both.dtype == np.uint8 and (len(splits.train), len(splits.validation)) == (80, 20)
    known = {image.tobytes(): label for image, label in zip(images, LABELS)}
    assert [known[image.tobytes()] for image in both] == labels.tolist()
    assert len({image.tobytes() for image in both}) == 100
    assert splits.fingerprint != load(validation_fraction=0.2, seed=1).fingerprint
    return splits


SETS = [
    (keras_sets.mnist, keep_mnist, (28, 28), "9"),
    (keras_sets.fashion_mnist, serve_fashion, (28, 28), "Ankle boot"),
    (keras_sets.cifar10, serve_cifar, (32, 32, 3), "truck"),
]


@pytest.mark.parametrize(("load", "serve", "shape", "some_name"), SETS)
def test_a_set_is_downloaded_once(server, load, serve, shape, some_name):
    images, test_images = pixels(100, *shape), pixels(20, *shape)
    serve(server, images, test_images)
    assert check(load, shape, images, test_images).class_names[9] == some_name
    for file in server.iterdir():
        file.unlink()
    check(load, shape, images, test_images)


@pytest.mark.slow
def test_fashion_mnist_is_read_as_keras_keeps_it(home, monkeypatch):
    images, test_images = pixels(100, 28, 28), pixels(20, 28, 28)
    keep_fashion(home, images, test_images)
    (home.parent / "keras.json").write_text('{"image_data_format": "channels_first"}')
    check(keras_sets.fashion_mnist, (28, 28), images, test_images)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"<html>"])
def test_a_damaged_file_is_named(home, damage):
    keep_mnist(home, pixels(100, 28, 28), pixels(20, 28, 28))
    (home / "mnist.npz").write_bytes(damage((home / "mnist.npz").read_bytes()))
    with pytest.raises(InputError) as raised:
        keras_sets.mnist(validation_fraction=0.2, seed=0)
    assert str(raised.value).startswith(f"{home / 'mnist.npz'}: not a readable .npz file")
    assert str(raised.value).endswith("Delete it, and it is downloaded again.")


@pytest.mark.parametrize(
    ("load", "kept", "named"),
    [
        (keras_sets.fashion_mnist, [f"fashion-mnist/{name}" for name in keras_sets.FASHION], "fashion-mnist"),
        (keras_sets.cifar10, ["cifar-10-batches-py-target_archive"], "cifar-10-batches-py-target_archive"),
        (keras_sets.cifar10, ["cifar-10-python.tar.gz"], "cifar-10-batches-py-target_archive"),
    ],
)
def test_what_keras_can_not_unpack_is_named(home, server, monkeypatch, load, kept, named):
    monkeypatch.setenv("FAILS", "Compressed file ended\nValueError: before its end")
    for name in kept:
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).touch()
    with pytest.raises(InputError) as raised:
        load(validation_fraction=0.2, seed=0)
    reason = "ValueError: before its end"
    assert str(raised.value) == f"{home / named}: not readable ({reason}); delete it, and it is downloaded again."


@pytest.mark.slow
def test_files_that_are_no_gzip_are_one_line(home):
    keep_fashion(home, pixels(100, 28, 28), pixels(20, 28, 28))
    (home / "fashion-mnist/t10k-images-idx3-ubyte.gz").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"^\S+/fashion-mnist: not readable \(.*Not a gzipped file.*; delete it, and"):
        keras_sets.fashion_mnist(validation_fraction=0.2, seed=0)


def test_images_of_another_kind_are_refused(home):
    keep_mnist(home, pixels(100, 28, 28).astype(float), pixels(20, 28, 28))
    with pytest.raises(InputError, match="not as Keras keeps it"):
        keras_sets.mnist(validation_fraction=0.2, seed=0)


@pytest.mark.parametrize(
    ("load", "where", "files"),
    [
        (keras_sets.mnist, "", "mnist.npz, from https://storage.googleapis.com/tensorflow/tf-keras-datasets/,"),
        (keras_sets.fashion_mnist, "fashion-mnist", "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-"),
        (keras_sets.cifar10, "", "cifar-10-python.tar.gz, from https://www.cs.toronto.edu/~kriz/,"),
    ],
)
def test_without_a_network_one_is_told_where_the_file_goes(home, server, load, where, files):
    with pytest.raises(InputError) as raised:
        load(validation_fraction=0.2, seed=0)
    said = str(raised.value)
    reason = "no route to host"
    assert said.startswith(f"{load.__name__} is not in {home / where}, and Keras could not download it ({reason}); ")
    assert files in said and said.endswith(", into that folder.") and len(said.splitlines()) == 1


def test_a_file_of_the_current_folder_is_not_keras(server, tmp_path, monkeypatch):
    (tmp_path / "keras.py").write_text("raise SystemExit('a file of the current folder is not Keras')")
    monkeypatch.chdir(tmp_path)
    keep_mnist(server, pixels(100, 28, 28), pixels(20, 28, 28))
    assert len(keras_sets.mnist(validation_fraction=0.5, seed=0).test) == 20


def test_a_cache_that_can_not_be_made_is_one_line(server, tmp_path):
    serve_cifar(server, pixels(100, 32, 32, 3), pixels(20, 32, 32, 3))
    (tmp_path / "cache").touch()
    with pytest.raises(InputError, match=r"^cifar10 is not in .*could not download it \(.*\[Errno \d+\]"):
        keras_sets.cifar10(validation_fraction=0.2, seed=0)


def test_reading_a_set_imports_no_keras(home):
    keep_mnist(home, pixels(100, 28, 28), pixels(20, 28, 28))
    code = (
        "import sys; from pipeline.data.sets.keras_sets import mnist; mnist(validation_fraction=0.2, seed=0)\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_run(home, tmp_path):
    keep_mnist(home, pixels(100, 28, 28), pixels(20, 28, 28))
    tiny = ("model.hidden_units=8", "train.epochs=1", "tracking=none", "executor=inline")
    result = here("dataset=mnist", *tiny, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("data: 90 + 10 + 20 examples (train, validation, test) of 28 x 28 x 1 uint8")


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.mark.slow
def test_a_run_without_a_network(home, tmp_path, monkeypatch):
    """Nor is an archive read that is not the one of the data set's makers."""
    keep_cifar(home, "cifar-10-batches-py-target_archive", Harmful())
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nothing listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    result = here("dataset=cifar10", "executor=inline", cwd=tmp_path)
    assert result.returncode == 2
    (said,) = result.stderr.strip().splitlines()
    assert said.startswith(f"cifar10 is not in {home}, and Keras could not download it (")
    assert "; put cifar-10-python.tar.gz, from https://" in said
    assert not (tmp_path / "outputs").exists() and not (tmp_path / "harmed").exists()
