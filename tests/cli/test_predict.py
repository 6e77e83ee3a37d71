"""`python -m pipeline predict`: every form of INPUT, and every wrong one."""

import csv
import json

import numpy as np
import pytest

from pipeline.data.sets.planar import blobs
from tests.cli.conftest import POINTS, write, wrong


@pytest.fixture(scope="session")
def splits():
    """blobs as conf/dataset has it, seed 0: what the model was trained on."""
    return blobs(n_classes=3, examples_per_class=300, spread=0.25, validation_fraction=0.2, test_fraction=0.2, seed=0)


def predictions(run, *arguments):
    done = run("predict", *arguments, "--json")
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)["predictions"]


FORMS = {
    "batch.npy": POINTS,
    "double.npy": POINTS.astype(np.float64),
    "axis.npy": POINTS[:, :, None],
    "plain.csv": "1,0\n-0.5,0.866\n-0.5,-0.866\n",
    "header.csv": "\ufeffx,y\r\n1, 0\r\n-0.5,0.866\r\n\r\n-5e-1,-0.866\r\n",
    "one.h5": {"deep/points": POINTS},
    "two.h5:points": {"points": POINTS, "other": np.zeros(4)},
}


@pytest.mark.parametrize("name", FORMS)
def test_files(run, model, tmp_path, name):
    write(tmp_path / name.partition(":")[0], FORMS[name])
    found = predictions(run, model, tmp_path / name)
    wanted = predictions(run, model, write(tmp_path / "wanted.npy", POINTS))
    assert [row["example"] for row in found] == [0, 1, 2]
    np.testing.assert_allclose([row["probabilities"] for row in found], [row["probabilities"] for row in wanted])
    assert all(row["probability"] == max(row["probabilities"]) and "true" not in row for row in found)


@pytest.mark.parametrize(("name", "content"), [("one.npy", POINTS[0]), ("one.csv", "1,0\n")])
def test_single_example(run, model, tmp_path, name, content):
    (row,) = predictions(run, model, write(tmp_path / name, content))
    (wanted,) = predictions(run, model, write(tmp_path / "wanted.npy", POINTS[:1]))
    np.testing.assert_allclose(row["probabilities"], wanted["probabilities"], rtol=1e-5)


@pytest.mark.parametrize(
    ("part", "split", "chosen"),
    [
        ("blobs:test[17]", "test", [17]),
        ("blobs:test[-1]", "test", [179]),
        ("blobs:validation[3:6]", "validation", [3, 4, 5]),
        ("blobs:train[538:]", "train", [538, 539]),
        ("blobs:test[:-178]", "test", [0, 1]),
        ("blobs:test", "test", list(range(180))),
    ],
)
def test_parts_of_a_data_set(run, model, tmp_path, splits, part, split, chosen):
    found = predictions(run, model, part)
    inputs, labels = getattr(splits, split).inputs[chosen], getattr(splits, split).labels[chosen]
    assert [row["example"] for row in found] == chosen
    assert [row["true"] for row in found] == [f"class {label}" for label in labels]
    wanted = predictions(run, model, write(tmp_path / "wanted.npy", inputs))
    np.testing.assert_allclose([r["probabilities"] for r in found], [r["probabilities"] for r in wanted], rtol=1e-5)


def test_the_split_is_the_recorded_one(run, altered):
    """A model trained with another seed and noise is asked about its own examples."""
    own = blobs(n_classes=3, examples_per_class=50, spread=0.1, validation_fraction=0.2, test_fraction=0.2, seed=7)
    dataset = {"_target_": "pipeline.data.sets.planar.blobs", "n_classes": 3, "examples_per_class": 50, "spread": 0.1}
    dataset |= {"validation_fraction": 0.2, "test_fraction": 0.2}
    path = altered(caviar_config=json.dumps({"dataset": dataset, "seed": 7}), data_fingerprint=own.fingerprint)
    assert [row["true"] for row in predictions(run, path, "blobs:test")] == [f"class {c}" for c in own.test.labels]


def test_model_of_plain_keras(run, tmp_path):
    """A file that Caviar did not write, with one sigmoid: the labels 0 and 1 stand for names."""
    import keras

    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid")])
    net.set_weights([np.array([[1.0], [0.0]]), np.zeros(1)])
    net.save(tmp_path / "net.h5")
    found = predictions(run, tmp_path / "net.h5", write(tmp_path / "points.npy", np.array([[-1.0, 5.0], [2.0, 5.0]])))
    assert [row["class"] for row in found] == ["0", "1"]
    np.testing.assert_allclose([row["probabilities"][1] for row in found], 1 / (1 + np.exp([1, -2])), rtol=1e-6)
    layers = json.loads(run("inspect", tmp_path / "net.h5", "--json").out)["layers"]
    assert [(layer["class"], layer["parameters"]) for layer in layers] == [("InputLayer", 0), ("Dense", 3)]


def test_lines(run, model):
    done = run("predict", model, "blobs:test[8:11]")
    lines = done.out.splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["8", "9", "10"]
    assert all(line.count("class") == 4 and "(then class" in line and "true class" in line for line in lines)
    assert "then" not in run("predict", model, "blobs:test[8]", "--top", "1").out


@pytest.mark.parametrize("name", ["p.csv", "p.npy"])
def test_all_probabilities_to_a_file(run, model, tmp_path, name):
    rows = predictions(run, model, "blobs:test[:5]", "--proba", tmp_path / name)
    if name == "p.npy":
        written = np.load(tmp_path / name)
    else:
        header, *lines = csv.reader((tmp_path / name).open())
        assert header == ["class 0", "class 1", "class 2"]
        written = np.array(lines, np.float32)
    np.testing.assert_array_equal(written, np.array([row["probabilities"] for row in rows], np.float32))


WRONG = [
    ("digts:test[1]", "dataset=digts is not known. Allowed: blobs, "),
    ("blobs:tset", "split=tset is not known. Allowed: train, validation, test. Did you mean 'test'?"),
    ("blobs:test[180]", "[180] is out of range; this split has the examples 0 to 179"),
    ("blobs:test[-181]", "out of range"),
    ("blobs:test[5:5]", "out of range"),
    ("blobs:test[9:3]", "out of range"),
    ("blobs:test[0:181]", "out of range"),
    ("blobs:test[]", "is not understood. Write [i] or [a:b]"),
    ("blobs:test[one]", "is not understood. Write [i] or [a:b]"),
    ("blobs:test[1", "is not understood. It is FILE.npy"),
    ("blobs", "is not understood"),
    ("photo.xyz", "is not understood"),
    ("photo.png", "there is no such file"),
    ("../secret:test", "is not understood"),
    (
        "digits:test",
        "its shape is 180 x 8 x 8 x 1, which does not fit this model: an example is 2, n examples are n x 2",
    ),
    ("missing.npy", "there is no such file"),
    ("missing.h5:x", "there is no such file"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_wrong_input(run, model, text, expected):
    wrong(run("predict", model, text), expected)


BAD_FILES = [
    ("word.csv", "1,2\n3,four\n", "line 2, column 2: 'four' is not a number"),
    ("first.csv", "1,two\n3,4\n", "line 1, column 2: 'two' is not a number"),
    ("hole.csv", "1,2\n3,\n", "line 2, column 2: '' is not a number"),
    ("ragged.csv", "1,2\n3,4,5\n", "line 2 has 3 columns, those before it 2"),
    ("wide.csv", "a,b,c\n1,2,3\n", "its shape is 1 x 3, which does not fit"),
    ("headers.csv", "a,b\nc,d\n", "line 2, column 1: 'c' is not a number"),
    ("empty.csv", "", "there is no example in it|does not fit"),
    ("nan.csv", "1,2\n3,nan\n", "1 of 2 examples have values that are NaN, infinite or too large"),
    ("huge.csv", "1,1e39\n", "too large for float32"),
    ("inf.npy", np.array([[1, np.inf]]), "the first is example 0"),
    ("nan.npy", np.full((3, 2), np.nan), "3 of 3 examples"),
    ("text.npy", np.array([["a", "b"]]), "not numbers"),
    ("complex.npy", np.ones((1, 2), complex), "holds complex128, not numbers"),
    ("pickle.npy", np.array([[{}, {}]], dtype=object), "can't be read as .npy"),
    ("garbage.npy", "no array", "can't be read as .npy"),
    ("several.h5", {"x": POINTS, "y": POINTS}, "has 2 datasets; name one as"),
    ("several.h5:z", {"x": POINTS, "yes": POINTS}, "has no dataset 'z'. Datasets: x, yes"),
    ("several.h5:pionts", {"points": POINTS, "y": POINTS}, "Did you mean 'points'?"),
    ("none.h5", {}, "has 0 datasets"),
    ("words.h5", {"x": ["a", "b"]}, "not numbers"),
]


@pytest.mark.parametrize(("name", "content", "expected"), BAD_FILES)
def test_wrong_file(run, model, tmp_path, name, content, expected):
    write(tmp_path / name.partition(":")[0], content)
    done = run("predict", model, tmp_path / name)
    assert any(part in done.err for part in expected.split("|")), done.err
    wrong(done, "")


def test_folder_is_no_file(run, model, run_folder, tmp_path):
    (tmp_path / "folder.npy").mkdir()
    wrong(run("predict", model, tmp_path / "folder.npy"), "is a folder")
    wrong(run("predict", run_folder, "blobs:test"), f"is a folder. Did you mean '{model}'?")
