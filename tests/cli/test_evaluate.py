"""`python -m pipeline evaluate`: the figures, and inputs and labels that are refused."""

import json

import h5py
import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.cli.evaluate import by_class, show_classes
from pipeline.evaluation import Answers, measures
from pipeline.saving import model_attributes
from tests.cli.conftest import POINTS, wrong
from tests.conftest import head


def evaluated(run, *arguments):
    done = run("evaluate", *arguments, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out), done.err


def test_agrees_with_training(run, model):
    """The saved model scores on the recorded data what training recorded."""
    found, err = evaluated(run, model, "blobs:validation")
    recorded = model_attributes(model)["metrics"]
    assert (found["n"], err) == (180, "")
    assert found["accuracy"] == pytest.approx(recorded["val_accuracy"])
    assert found["loss"] == pytest.approx(recorded["val_loss"], rel=1e-5)


def test_default_is_the_test_split(run, model):
    done = run("evaluate", model)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("blobs:test: accuracy 0.") and ", n 180" in done.out
    assert "precision" in done.out and "confusion" in done.out
    assert evaluated(run, model)[0] == evaluated(run, model, "blobs:test")[0]


@pytest.mark.parametrize("names", [("x", "y"), ("inputs", "labels")])
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_files(run, model, tmp_path, names, suffix):
    path = tmp_path / f"data{suffix}"
    arrays = dict(zip(names, (POINTS, np.array([[0.0], [1.0], [2.0]]))))
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    found, _ = evaluated(run, model, path)
    assert (found["n"], [row["n"] for row in found["classes"]]) == (3, [1, 1, 1])
    assert np.sum(found["confusion"]) == 3


def test_measures():
    """Two of four right; class 2 is there but never predicted, class 3 neither."""
    probs = np.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.6, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.5, 0.3, 0.1, 0.1]])
    found = measures(head(), Answers(probs), np.array([0, 1, 1, 2]), 4).to_json()
    assert found["loss"] == pytest.approx(-np.log([0.7, 0.6, 0.2, 0.1]).mean())
    assert (found["accuracy"], found["n"]) == (0.5, 4)
    assert found["confusion"] == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    classes = by_class(np.array(found["confusion"]), ["a", "b", "c", "d"])
    assert [(row.precision, row.recall, row.n) for row in classes] == [
        (pytest.approx(1 / 3), 1, 1),
        (1, 0.5, 2),
        (None, 0, 1),
        (None, None, 0),
    ]


def test_many_classes_show_the_largest_confusions(capsys):
    confusion = np.eye(30, dtype=int)
    confusion[3, 4] = 9
    names = [f"kind {c}" for c in range(30)]
    show_classes(confusion, names)
    out = capsys.readouterr().out
    assert "the 1 most frequent confusions" in out and "kind 3" in out


BAD_LABELS = [
    ({"x": POINTS, "y": np.array([0, 1, 3])}, "of example 2 is 3; this model's 3 classes have the labels 0 to 2"),
    ({"x": POINTS, "y": np.array([0, -1, 1])}, "the label of example 1 is -1"),
    ({"x": POINTS, "y": np.array([0, 0.5, 1])}, "the label of example 1 is 0.5"),
    ({"x": POINTS, "y": np.array([0, np.nan, 1])}, "the label of example 1 is nan"),
    ({"x": POINTS, "y": np.array([0, 1])}, "3 inputs need 3 labels"),
    ({"x": POINTS, "y": np.eye(3)}, "their shape is 3 x 3"),
    ({"x": POINTS, "y": np.array(["a", "b", "c"])}, "not numbers"),
    ({"x": POINTS, "labels": np.zeros(3)}, "inputs and labels must be called 'x' and 'y' or 'inputs' and 'labels'"),
    ({"x": POINTS[:, :1], "y": np.zeros(3)}, "its shape is 3 x 1, which does not fit this model: an example is 2"),
    ({"x": POINTS * np.nan, "y": np.zeros(3)}, "3 of 3 examples"),
    ({}, "holds nothing"),
]


@pytest.mark.parametrize(("arrays", "expected"), BAD_LABELS)
def test_wrong_labels(run, model, tmp_path, arrays, expected):
    np.savez(tmp_path / "data.npz", **arrays)
    wrong(run("evaluate", model, tmp_path / "data.npz"), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("points.npy", "is not understood. It is FILE.npz or FILE.h5"),
        ("missing.npz", "there is no such file"),
        ("digts", "is not understood"),
        ("spiral:test", "Did you mean 'spirals'?"),
    ],
)
def test_wrong_input(run, model, text, expected):
    wrong(run("evaluate", model, text), expected)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "blobs.h5"
    assert main(["convert", "dataset=blobs", str(path)]) == 0
    return path


@pytest.mark.parametrize(("part", "named"), [("", "test"), (":test", "test"), (":validation", "validation")])
def test_a_converted_file(run, model, converted, part, named):
    found, err = evaluated(run, model, f"{converted}{part}")
    wanted = evaluated(run, model, f"blobs:{named}")[0]
    assert (found.pop("input"), err) == (f"{converted}:{named}", "")
    wanted.pop("input")
    assert found == wanted
    asked = json.loads(run("predict", model, f"{converted}{part}", "--json").out)["predictions"]
    by_name = json.loads(run("predict", model, f"blobs:{named}", "--json").out)["predictions"]
    assert [row["probabilities"] for row in asked] == [row["probabilities"] for row in by_name]
    assert asked == json.loads(run("predict", model, f"{converted}:{named}/inputs", "--json").out)["predictions"]


def test_a_part_that_a_file_lacks(run, model, converted):
    wrong(run("evaluate", model, f"{converted}:tests"), "part=tests is not known. Allowed: test, train, validation.")
    wrong(run("predict", model, f"{converted}:tests"), "has no dataset 'tests'")


def test_a_model_of_bytes_is_asked_for_what_a_file_holds(run, altered, tmp_path):
    """Not for what is left of it in a byte."""
    path = altered(input_dtype="uint8")
    np.save(tmp_path / "points.npy", POINTS * 300)
    as_floats = run("predict", altered(), tmp_path / "points.npy").out
    assert run("predict", path, tmp_path / "points.npy").out == as_floats


def test_an_array_that_is_called_an_archive(run, model, tmp_path):
    np.save(tmp_path / "one.npy", POINTS)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    wrong(run("evaluate", model, tmp_path / "one.npz"), "one.npz: not a readable .npz file (it is no zip archive")


def test_garbage_npz(run, model, tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK no archive")
    wrong(run("evaluate", model, tmp_path / "bad.npz"), "not a readable .npz file")


def test_warns_when_the_data_has_changed(run, altered):
    found, err = evaluated(run, altered(data_fingerprint="0123456789abcdef"))
    assert found["n"] == 180
    assert err.startswith("warning: the data set blobs is not as it was") and "recorded is 0123456789abcdef" in err


def test_warns_when_the_classes_are_others(run, altered):
    _, err = evaluated(run, altered(class_names='["a", "b", "c"]'))
    assert "the classes of blobs:test are not those of" in err


def test_the_same_classes_in_another_order_are_compared_by_name(run, model, tmp_path):
    for name, classes in (("same", [0, 1, 2]), ("other", [2, 0, 1])):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"], file["y"] = POINTS, np.argsort(classes)
            file.attrs["class_names"] = [f"class {c}" for c in classes]
    (same, _), (other, err) = (evaluated(run, model, tmp_path / f"{name}.h5") for name in ("same", "other"))
    assert (other["accuracy"], other["classes"], err) == (same["accuracy"], same["classes"], "")
