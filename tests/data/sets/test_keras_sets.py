"""Small files as Keras keeps them, in a KERAS_HOME of their own, and a Keras that can't download any."""

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
from tests.conftest import ROOT, caviar, here

RNG = np.random.default_rng(0)
LABELS, TEST_LABELS = (np.arange(n, dtype=np.uint8) % 10 for n in (100, 20))


def pixels(n, *shape):
    return RNG.integers(0, 256, (n, *shape), dtype=np.uint8)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The cache of a Keras without a network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras_sets, "_download", lambda name: "no network")
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


def write_mnist(folder, images, test_images):
    np.savez(folder / "mnist.npz", x_train=images, y_train=LABELS, x_test=test_images, y_test=TEST_LABELS)


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.tobytes())


def write_fashion(folder, images, test_images):
    folder = folder / "fashion-mnist"
    folder.mkdir()
    for name, array in {
        "train-images-idx3-ubyte.gz": images,
        "train-labels-idx1-ubyte.gz": LABELS,
        "t10k-images-idx3-ubyte.gz": test_images,
        "t10k-labels-idx1-ubyte.gz": TEST_LABELS,
    }.items():
        (folder / name).write_bytes(idx(array))


def write_cifar(folder, images, test_images, name="cifar-10-batches-py-target_archive", spoil=None):
    """Pickled rows of colour planes, keys and all bytes, as the archive of the data set's makers has them."""
    batches = {f"data_batch_{i}": (images[20 * (i - 1) : 20 * i], LABELS[20 * (i - 1) : 20 * i]) for i in range(1, 6)}
    batches["test_batch"] = (test_images, TEST_LABELS)
    with tarfile.open(folder / name, "w:gz") as archive:
        for batch, (x, y) in {"batches.meta": (images, LABELS), **batches}.items():
            rows = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
            data = pickle.dumps({b"data": spoil or rows, b"labels": y.tolist(), b"batch_label": b"?"}, protocol=3)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{batch}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("load", "write", "shape", "some_name"),
    [
        (keras_sets.mnist, write_mnist, (28, 28), "9"),
        (keras_sets.fashion_mnist, write_fashion, (28, 28), "Ankle boot"),
        (keras_sets.cifar10, write_cifar, (32, 32, 3), "truck"),
    ],
)
def test_a_set_is_read_as_it_is_kept(home, load, write, shape, some_name):
    images, test_images = pixels(100, *shape), pixels(20, *shape)
    write(home, images, test_images)
    splits = load(validation_fraction=0.2, seed=0)
    shape = (*shape, 1)[:3]
    assert splits.input_shape == shape
    assert splits.class_names[9] == some_name and splits.n_classes == 10
    np.testing.assert_array_equal(splits.test.inputs, test_images.reshape(20, *shape))
    np.testing.assert_array_equal(splits.test.labels, TEST_LABELS)
    both = np.concatenate([splits.train.inputs, splits.validation.inputs])
    labels = np.concatenate([splits.train.labels, splits.validation.labels])
    assert both.dtype == np.uint8 and (len(splits.train), len(splits.validation)) == (80, 20)
    known = {image.tobytes(): label for image, label in zip(images, LABELS)}
    assert [known[image.tobytes()] for image in both] == labels.tolist()
    assert len({image.tobytes() for image in both}) == 100
    assert splits.fingerprint != load(validation_fraction=0.2, seed=1).fingerprint


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py.tar.gz"])
def test_an_archive_by_its_own_name_will_do(home, name):
    write_cifar(home, pixels(100, 32, 32, 3), pixels(20, 32, 32, 3), name)
    assert len(keras_sets.cifar10(validation_fraction=0.2, seed=0).test) == 20


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_a_pickle_that_would_run_something_is_refused(home, monkeypatch):
    monkeypatch.chdir(home)
    write_cifar(home, pixels(100, 32, 32, 3), pixels(20, 32, 32, 3), spoil=Harmful())
    with pytest.raises(InputError, match=r"not readable \(it would call posix\.mkdir\)"):
        keras_sets.cifar10(validation_fraction=0.2, seed=0)
    assert not (home / "harmed").exists()


@pytest.mark.parametrize(
    ("load", "write", "file"),
    [
        (keras_sets.mnist, write_mnist, "mnist.npz"),
        (keras_sets.fashion_mnist, write_fashion, "fashion-mnist/t10k-images-idx3-ubyte.gz"),
        (keras_sets.cifar10, write_cifar, "cifar-10-batches-py-target_archive"),
    ],
)
@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"<html>"])
def test_a_damaged_file_is_named(home, load, write, file, damage):
    shape = (32, 32, 3) if load is keras_sets.cifar10 else (28, 28)
    write(home, pixels(100, *shape), pixels(20, *shape))
    (home / file).write_bytes(damage((home / file).read_bytes()))
    with pytest.raises(InputError) as raised:
        load(validation_fraction=0.2, seed=0)
    assert str(raised.value).startswith(f"{home / file}: not ")
    assert "readable" in str(raised.value) and "elete it, and it is downloaded again." in str(raised.value)


def test_images_of_another_kind_are_refused(home):
    write_mnist(home, pixels(100, 28, 28).astype(float), pixels(20, 28, 28))
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
def test_without_a_network_one_is_told_where_the_file_goes(home, load, where, files):
    with pytest.raises(InputError) as raised:
        load(validation_fraction=0.2, seed=0)
    said = str(raised.value)
    assert said.startswith(f"{load.__name__} is not in {home / where}, and Keras could not download it (no network); ")
    assert files in said and said.endswith(", into that folder.") and len(said.splitlines()) == 1


# In the place of keras.datasets: what downloads, fails, or would do so with a name that the caller does not mean.
FAKE = """
import os, numpy as np
def load_data():
    if os.environ.get("FAIL"):
        raise Exception("URL fetch failure on https://example.org/mnist.npz: None -- no route to host")
    n = np.arange(40, dtype=np.uint8)
    x = np.zeros((40, 28, 28), np.uint8)
    np.savez(os.environ["KERAS_HOME"] + "/datasets/mnist.npz", x_train=x, y_train=n % 10, x_test=x, y_test=n % 10)
"""


@pytest.mark.parametrize("fails", [False, True])
def test_keras_downloads_in_a_process_of_its_own(tmp_path, monkeypatch, fails):
    fake = tmp_path / "fake/keras/datasets"
    fake.mkdir(parents=True)
    for name in ("../__init__.py", "__init__.py"):
        (fake / name).touch()
    (fake / "mnist.py").write_text(FAKE)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "keras.py").write_text("raise SystemExit('a file of the current folder is not Keras')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if fails:
        monkeypatch.setenv("FAIL", "1")
        with pytest.raises(InputError, match=r"could not download it \(no route to host\)"):
            keras_sets.mnist(validation_fraction=0.5, seed=0)
    else:
        assert len(keras_sets.mnist(validation_fraction=0.5, seed=0).test) == 40


def test_reading_a_set_imports_no_keras(home):
    write_mnist(home, pixels(100, 28, 28), pixels(20, 28, 28))
    code = (
        "import sys; from pipeline.data.sets.keras_sets import mnist; mnist(validation_fraction=0.2, seed=0)\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_run(home, tmp_path):
    write_mnist(home, pixels(100, 28, 28), pixels(20, 28, 28))
    tiny = ("model.hidden_units=8", "train.epochs=1", "tracking=none", "executor=inline")
    result = here("dataset=mnist", *tiny, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("data: 90 + 10 + 20 examples (train, validation, test) of 28 x 28 x 1 uint8")


@pytest.mark.slow
def test_a_run_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nothing listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    result = caviar("dataset=cifar10", cwd=tmp_path)
    assert result.returncode == 2
    (said,) = result.stderr.strip().splitlines()
    assert said.startswith(f"cifar10 is not in {tmp_path / 'home/datasets'}, and Keras could not download it (")
    assert "; put cifar-10-python.tar.gz, from https://" in said
    assert not (tmp_path / "outputs").exists()
