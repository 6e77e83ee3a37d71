import numpy as np
import pytest

from pipeline.data.formats.npz import npz
from pipeline.errors import InputError
from tests.conftest import TINY, here

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4, 2))
Y = np.arange(60) % 3
OTHER = {"inputs": "z", "labels": "t"}
NOWHERE = {"file": None, "inputs": None, "labels": None}


def load(folder, arrays, **changes):
    np.savez(folder / "some.npz", **arrays)
    given = {"file": str(folder / "some.npz"), "inputs": "x", "labels": "y", "validation": NOWHERE, "test": NOWHERE}
    given |= {"validation_fraction": 0.1, "test_fraction": 0.2, "memory": "auto", "seed": 0}
    return npz(**given | changes)


def test_parts_are_split_off_by_seed(tmp_path):
    splits = load(tmp_path, {"x": X, "y": Y})
    assert [len(part) for part in splits.parts.values()] == [42, 6, 12]
    assert splits.class_names == ("0", "1", "2")
    found = np.concatenate([part.inputs for part in splits.parts.values()])
    labels = np.concatenate([part.labels for part in splits.parts.values()])
    order = np.argsort(X[:, 0, 0])
    mine = np.argsort(found[:, 0, 0])
    np.testing.assert_array_equal(found[mine], X[order].astype(np.float32))
    np.testing.assert_array_equal(labels[mine], Y[order])
    assert splits.fingerprint == load(tmp_path, {"x": X, "y": Y}).fingerprint
    assert splits.fingerprint != load(tmp_path, {"x": X, "y": Y}, seed=1).fingerprint


def test_no_place_is_as_good_as_an_empty_one(tmp_path):
    found = load(tmp_path, {"x": X, "y": Y}, validation=None, test=None)
    assert found.fingerprint == load(tmp_path, {"x": X, "y": Y}).fingerprint


def test_a_part_with_keys_of_its_own_is_that_part(tmp_path):
    arrays = {"x_train": X[:40], "y_train": Y[:40], "x_test": X[40:], "y_test": Y[40:]}
    test = {"file": None, "inputs": "x_test", "labels": "y_test"}
    splits = load(tmp_path, arrays, inputs="x_train", labels="y_train", test=test)
    np.testing.assert_array_equal(splits.test.inputs, X[40:].astype(np.float32))
    np.testing.assert_array_equal(splits.test.labels, Y[40:])
    assert (len(splits.train), len(splits.validation)) == (36, 4)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array(["no", "yes"])[Y % 2], ("no", "yes")),
        (np.array([b"no", "é".encode()])[Y % 2], ("no", "é")),
        (Y.astype(float), ("0", "1", "2")),
        (Y[:, None].astype(">u2"), ("0", "1", "2")),
        (Y % 2 == 0, ("0", "1")),
    ],
)
def test_labels(tmp_path, labels, names):
    splits = load(tmp_path, {"x": X, "y": labels})
    assert splits.class_names == names
    assert splits.train.labels.dtype == np.int32


@pytest.mark.parametrize(
    ("stored", "held"),
    [("uint8", "uint8"), ("bool", "uint8"), (">i2", "int16"), ("int64", "float32"), ("float64", "float32")],
)
def test_small_numbers_stay_as_they_are(tmp_path, stored, held):
    assert load(tmp_path, {"x": (X > 0).astype(stored), "y": Y}).train.inputs.dtype == held


BROKEN = X.copy()
BROKEN[7, 2, 1] = np.nan
TOO_LARGE = X.copy()
TOO_LARGE[9] = 1e300


@pytest.mark.parametrize(
    ("arrays", "changes", "message"),
    [
        ({"x": X}, {}, "there is no array 'y' for the labels. Arrays: x."),
        (
            {"images": X, "y": Y},
            {"inputs": "image"},
            "no array 'image' for the inputs. Arrays: images, y. Did you",
        ),
        ({"x": X, "y": Y[:50]}, {}, "y has the shape (50,), but x has 60 rows; wanted are 60 labels (a label a row)."),
        ({"x": X, "y": np.eye(3)[Y]}, {}, "wanted are 60 labels (one-hot labels: store the number of the class"),
        ({"x": X[:, 0, 0], "y": Y}, {}, "inputs are [n, ...], a row an example: store one number a row as (60, 1)."),
        ({"x": X[:0], "y": Y[:0]}, {}, "x is empty."),
        ({"x": np.array(3), "y": Y}, {}, "x is a single value, no rows."),
        ({"x": np.array([["a"]] * 60), "y": Y}, {}, "x holds text, not numbers; name the key of the inputs."),
        ({"x": X * 1j, "y": Y}, {}, "x holds complex128, not numbers"),
        ({"x": BROKEN, "y": Y}, {}, "x has values that are not finite as float32, first in row 7; remove or replace"),
        ({"x": TOO_LARGE, "y": Y}, {}, "x has values that are not finite as float32, first in row 9"),
        ({"x": X, "y": Y + 0.5}, {}, "y has labels that are not whole numbers; number the classes from 0."),
        ({"x": X, "y": Y - 1}, {}, "y has the label -1; number the classes from 0."),
        ({"x": X, "y": Y + 1}, {}, "y has labels up to 3, but none is 0; number the classes from 0 without gaps."),
        ({"x": X, "y": Y * 0}, {}, "y has one class only, 0; wanted are at least two."),
        ({"x": X, "y": np.array([None] * 60)}, {}, "y holds Python objects, not numbers or text; save a plain array."),
        ({"x": X, "y": Y.astype("M8[s]")}, {}, "y holds datetime64[s]; labels are whole numbers from 0, or text."),
        ({"x": X, "y": np.arange(60)}, {}, "y: dataset.validation_fraction=0.1 and dataset.test_fraction=0.2 of 60"),
        (
            {"x": X, "y": Y, "z": X[:, :3]},
            {"test": {"inputs": "z"}},
            "z (test) has examples of (3, 2), those to train on are (4, 2); give them the same shape.",
        ),
        ({"x": X, "y": Y, "z": X, "t": Y + 1}, {"test": OTHER}, "y: the class '3' has 0 examples; it needs"),
        (
            {"x": X, "y": np.array(["a", "b"])[Y % 2], "z": X, "t": Y},
            {"test": OTHER},
            "t holds numbers, but the labels",
        ),
        ({"x": X, "y": Y, "z": (9 * X).astype(int)}, {"test": {"inputs": "z"}}, "z (test) holds whole numbers, but th"),
        ({"x": X, "y": Y, "t": Y}, {"test": {"labels": "t"}}, "x is to be the test part and the training part; name"),
        ({"x": X, "y": Y}, {"test": "t.npz"}, "dataset.test=t.npz: the place of a part is a file and its keys; write"),
        (
            {"x": X, "y": np.array(["a", "b"])[Y % 2], "z": X, "t": np.array(["a", "c"])[Y % 2]},
            {"test": OTHER},
            "t has the label 'c', which is none of the classes a, b.",
        ),
        ({"x": X, "y": Y}, {"memory": "never"}, "dataset.memory=never: dataset=npz is held in memory"),
    ],
)
def test_what_can_not_be_trained_on_is_refused(tmp_path, arrays, changes, message):
    with pytest.raises(InputError) as raised:
        load(tmp_path, arrays, **changes)
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 2


def damaged(path):
    np.savez_compressed(path, x=X, y=Y)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda path: None, "there is no such file."),
        (lambda path: b"", "not a readable .npz file (it is no zip archive"),
        (lambda path: b"x,y\n1,2\n", "not a readable .npz file (it is no zip archive"),
        (damaged, "not a readable .npz file ("),
        (lambda path: damaged(path)[:300], "not a readable .npz file ("),
    ],
    ids=["missing", "empty", "text", "damaged", "cut off"],
)
def test_a_file_that_is_none(tmp_path, content, message):
    path = tmp_path / "bad.npz"
    if (data := content(path)) is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as raised:
        load(tmp_path, {}, file=str(path))
    assert str(raised.value).startswith(f"{path}: {message}")


def test_data_too_large_for_every_worker_is_refused_unless_asked_for(tmp_path, machine):
    machine(16 * (X.nbytes - 1))
    with pytest.raises(InputError, match=r"more than a sixteenth of the memory.*\n.*python -m pipeline convert"):
        load(tmp_path, {"x": X, "y": Y})
    assert len(load(tmp_path, {"x": X, "y": Y}, memory="always").train) == 42


def test_a_run(tmp_path):
    np.savez(tmp_path / "some.npz", x=X, y=Y)
    line = [*TINY[1:], "dataset=npz", "dataset.file=some.npz", "tracking=none", "executor=inline"]
    result = here(*line, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("data: 48 + 6 + 6 examples (train, validation, test) of 4 x 2 float32, 3 classes")
