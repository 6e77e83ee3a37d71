"""`python -m pipeline inspect`: models, states and other HDF5 files, whole and damaged."""

import json

import h5py
import numpy as np
import pytest

from tests.conftest import ROOT


@pytest.fixture
def plain_file(tmp_path):
    """An HDF5 file that Caviar did not write."""
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        file.attrs["source"] = "a lab\x1b[2J"  # an escape sequence that would clear the screen
        file["images"] = np.zeros((5, 8, 8), np.uint8)
        file["images"].attrs["unit"] = "grey"
        file["meta/scores"] = np.array([1.5, np.nan])
        file["nothing"] = h5py.Empty("f4")
        file.create_group("later")
        file["alias"] = h5py.SoftLink("/images")
    return path


def test_model(run, model):
    done = run("inspect", model)
    assert (done.status, done.err) == (0, "")
    for part in (
        "as it was written",
        "best epoch        1",
        "class names       class 0, class 1, class 2",
        "input shape       2\n",
        "input dtype       float32",
        "data fingerprint  ",
        "val_accuracy",
        "tensorflow 2.",
        "created           20",
        "_target_: pipeline.data.sets.planar.blobs",
        "hidden_units: 8",
        "kernel 2 x 8",
    ):
        assert part in done.out


def test_model_json(run, model):
    found = json.loads(run("inspect", model, "--json").out)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert (found["kind"], found["checksum"]) == ("model", "intact")
    assert found["description"]["caviar_config"]["dataset"]["_target_"] == "pipeline.data.sets.planar.blobs"
    # 2 -> 8 -> 3: kernels, a batch norm of 4 x 8, the last bias, normalisation of 2 + 2 + a count
    assert found["parameters"] == 2 * 8 + 8 * 3 + 4 * 8 + 3 + 5
    assert [layers[name]["output_shape"] for name in ("inputs", "dense", "logits", "probabilities")] == [
        [2],
        [8],
        [3],
        [3],
    ]
    assert layers["logits"]["weights"] == {"kernel": [8, 3], "bias": [3]}


def test_state(run, run_folder):
    done = run("inspect", run_folder / "state.h5")
    assert (done.status, done.err) == (0, "")
    for part in (
        "epoch             1\n",
        "best epoch        1\n",
        "model/0003",
        "optimizer/0000",
        "best/0000",
        "2 x 8",
    ):
        assert part in done.out
    found = json.loads(run("inspect", run_folder / "state.h5", "--json").out)
    assert (found["kind"], found["progress"]["epoch"]) == ("state", 1)


def test_other_file(run, plain_file):
    done = run("inspect", plain_file)
    assert (done.status, done.err) == (0, "")
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert "no checksum" in done.out
    assert "5 x 8 x 8" in lines["images"] and "uint8" in lines["images"] and "unit=grey" in lines["images"]
    assert "later/" in lines and "meta/scores" in lines
    assert "\x1b" not in done.out
    found = json.loads(run("inspect", plain_file, "--json").out)
    assert (found["kind"], found["checksum"]) == ("hdf5", "unsealed")
    assert {item["name"]: item["shape"] for item in found["items"]} == {
        "images": [5, 8, 8],
        "later/": None,
        "meta/scores": [2],
        "nothing": None,
    }


def test_not_a_number_is_null_in_json(run, altered):
    path = altered(metrics='{"val_loss": NaN}')
    assert json.loads(run("inspect", path, "--json").out)["description"]["metrics"] == {"val_loss": None}


def test_changed_file_is_shown_and_refused(run, altered):
    path = altered()
    with h5py.File(path, "r+") as file:
        file["model_weights/logits/logits/bias"][0] += 1
    done = run("inspect", path)
    assert done.status == 2
    assert "CHANGED" in done.out and "logits" in done.out
    assert done.err == f"{path}: its content has changed since it was written (checksum mismatch). Use another copy.\n"
    assert json.loads(run("inspect", path, "--json").out)["checksum"] == "changed"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing.h5", None, "there is no such file"),
        ("empty.h5", b"", "not a readable HDF5 file"),
        ("text.h5", b"hello", "not a readable HDF5 file"),
        ("half.h5", "half", "not a readable HDF5 file"),
        ("folder.h5", "folder", "it is a folder, not a file"),
    ],
)
def test_unreadable(run, model, tmp_path, name, content, expected):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(model.read_bytes()[: model.stat().st_size // 2] if content == "half" else content)
    done = run("inspect", path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"{path}: ") and expected in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "config", ["{", "[]", '{"config": {"layers": [1]}}', '{"config": {"layers": [{}]}}', "[" * 10**5]
)
def test_model_config_not_of_keras(run, altered, config):
    done = run("inspect", altered(model_config=config))
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("data", (10,), np.uint8, external=[(str(ROOT / "LICENSE"), 0, 10)])


def _external_link(file: h5py.File) -> None:
    file["data"] = h5py.ExternalLink("other.h5", "/x")


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    file.create_virtual_dataset("deep/data", layout)


REFERENCES = [_external_storage, _external_link, _virtual]


@pytest.mark.parametrize("write", REFERENCES)
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "FILE", "blobs:test"],
        ["predict", "MODEL", "FILE"],
        ["predict", "MODEL", "FILE:data"],
        ["evaluate", "MODEL", "FILE"],
    ],
)
def test_data_of_other_files_is_not_read(run, model, tmp_path, write, arguments):
    path = tmp_path / "crafted.h5"
    with h5py.File(path, "w") as file:
        write(file)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(3, np.float32)
    done = run(*(word.replace("FILE", str(path)).replace("MODEL", str(model)) for word in arguments))
    assert (done.status, done.out) == (2, "")
    if arguments == ["predict", "MODEL", "FILE"]:
        done = run("inspect", path, "--json")
        assert done.status == 0
        (item,) = [item for item in json.loads(done.out)["items"] if not item["name"].endswith("/")]
        assert item["name"].endswith("data") and item["reference"]
