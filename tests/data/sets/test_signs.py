"""The course's hand signs, in small files of exactly that layout."""

import h5py
import numpy as np
import pytest

from pipeline.data.sets.signs import signs
from pipeline.errors import InputError
from tests.conftest import here

N_TRAIN, N_TEST, CLASSES = 120, 24, 6
TRAIN_KEYS, TEST_KEYS = ("train_set_x", "train_set_y"), ("test_set_x", "test_set_y")


def write(path, n, keys, n_named=CLASSES):
    rng = np.random.default_rng(n)
    labels = np.arange(n) % CLASSES
    images = rng.integers(0, 40, (n, 64, 64, 3), np.uint8) + (36 * labels).astype(np.uint8)[:, None, None, None]
    with h5py.File(path, "w") as file:
        file[keys[0]], file[keys[1]] = images, labels
        file["list_classes"] = np.arange(n_named)
    return path


@pytest.fixture
def files(tmp_path):
    train, test = tmp_path / "train_signs.h5", tmp_path / "test_signs.h5"
    return {"train_file": str(write(train, N_TRAIN, TRAIN_KEYS)), "test_file": str(write(test, N_TEST, TEST_KEYS))}


def load(files, memory="auto", seed=0, **changes):
    return signs(**{**files, **changes}, validation_fraction=0.1, memory=memory, seed=seed)


@pytest.mark.parametrize("memory", ["auto", "always", "never"])
def test_the_test_file_is_the_test_part_and_validation_is_split_off_by_seed(files, memory):
    splits = load(files, memory)
    assert [len(split) for split in splits.parts.values()] == [108, 12, 24]
    assert (splits.input_shape, splits.train.inputs.dtype) == ((64, 64, 3), np.uint8)
    assert splits.class_names == tuple("012345")
    with h5py.File(files["test_file"]) as file:
        np.testing.assert_array_equal(splits.test.inputs[:], file["test_set_x"][()])
        np.testing.assert_array_equal(splits.test.labels, file["test_set_y"][()])
    assert np.bincount(splits.validation.labels).tolist() == [2] * CLASSES
    other = load(files, memory, seed=1)
    assert other.fingerprint != splits.fingerprint == load(files, memory).fingerprint
    np.testing.assert_array_equal(other.test.labels, splits.test.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: {"train_file": str(folder / "no.h5")},
            "no.h5: there is no such file; say where it is: dataset.train_file=PATH.",
        ),
        (
            lambda folder: {"test_file": str(folder / "train_signs.h5")},
            "there is no dataset 'test_set_x' for the inputs; name one of these: list_classes, train_set_x, train_",
        ),
        (
            lambda folder: {"train_file": str(write(folder / "t.h5", 12, TRAIN_KEYS, n_named=4))},
            "t.h5: train_set_y has the label 5; the 4 classes have the numbers 0 to 3",
        ),
    ],
)
def test_files_of_another_layout(files, tmp_path, change, message):
    with pytest.raises(InputError) as raised:
        load(files, **change(tmp_path))
    assert message in str(raised.value)


def test_a_model_trains_on_them(files, tmp_path):
    where = [f"dataset.{key}={path}" for key, path in files.items()]
    line = ["dataset=signs", *where, "model=softmax_regression", "train.epochs=2", "tracking=none", "executor=inline"]
    done = here(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "108 + 12 + 24 examples (train, validation, test) of 64 x 64 x 3 uint8, 6 classes" in done.stdout
