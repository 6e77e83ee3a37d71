"""Every command takes every format: the same examples, whatever kind of file they lie in, give the same answers."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from pipeline.__main__ import main
from pipeline.cli.sources.conf import chosen
from pipeline.saving import model_attributes
from tests.cli.conftest import wrong
from tests.conftest import here

N, SIDE = 60, 4
LABELS = np.arange(N) % 3
PIXELS = (np.random.default_rng(0).integers(0, 60, (N, SIDE, SIDE, 1)) + 60 * LABELS[:, None, None, None]).astype("u1")
FLAT = PIXELS.reshape(N, -1)
COLUMNS = [f"p{i}" for i in range(SIDE * SIDE)]
OWN = """
from pathlib import Path
import numpy as np
from pipeline.data.examples import Examples
from pipeline.data.formats.reader import reader


@reader(".rows")
def read(path: Path, *, shift=0) -> Examples:
    rows = np.array([line.split() for line in path.read_text().splitlines()], int)
    return Examples(str(path), (rows[:, 1:] - shift).reshape(-1, 4, 4, 1).astype(np.uint8), rows[:, 0])
"""
ALLOWED = "allowed_targets=[pipeline.,keras.,my_format.]"


def npz(path):
    np.savez(path, x=PIXELS, y=LABELS)


def npy(path):
    np.save(path, PIXELS)


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["inputs"], file["labels"] = PIXELS, LABELS


def csv(path):
    rows = [",".join(map(str, (*row, label))) for row, label in zip(FLAT, LABELS)]
    path.write_text("\n".join([",".join([*COLUMNS, "label"]), *rows, ""]))


def csv_of_inputs(path):
    path.write_text("\n".join([",".join(COLUMNS), *(",".join(map(str, row)) for row in FLAT)]))


def parquet(path):
    pyarrow.parquet.write_table(pa.table({**dict(zip(COLUMNS, FLAT.T)), "label": LABELS}), path)


def folders(path):
    for label in range(3):
        (path / str(label)).mkdir(parents=True)
    for i, (image, label) in enumerate(zip(PIXELS, LABELS)):
        Image.fromarray(image[:, :, 0]).save(path / f"{label}/{i:02}.png")


def folder(path):
    path.mkdir()
    for i, image in enumerate(PIXELS):
        Image.fromarray(image[:, :, 0]).save(path / f"{i:02}.png")


def own(path):
    path.write_text("".join(f"{label} {' '.join(map(str, row))}\n" for row, label in zip(FLAT, LABELS)))


@dataclass(frozen=True)
class Format:
    name: str  # of the file
    write: object
    labelled: bool = True
    predicts: bool = True
    by_class: bool = False  # whether its examples stand in the order of their classes
    words: tuple[str, ...] = ()

    @property
    def size(self):
        return ("dataset.size=[4,4]", "dataset.channels=gray") if self.write in (folder, folders) else ()


FORMATS = [
    Format("x.npz", npz),
    Format("x.h5", hdf5),
    Format("x.hdf5", hdf5),
    Format("x.npy", npy, labelled=False),
    Format("x.csv", csv, predicts=False),  # 17 columns, of which a model of arrays can't know which are its inputs
    Format("inputs.csv", csv_of_inputs, labelled=False),
    Format("x.parquet", parquet),
    Format("classes", folders, by_class=True),
    Format("images", folder, labelled=False),
    Format("x.rows", own, words=("+formats.mine=my_format.read", ALLOWED)),
]
IDS = [f.name for f in FORMATS]


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A folder of the user's own: a format beside conf/."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "conf").mkdir()
    (folder / "my_format.py").write_text(OWN)
    return folder / "conf"


@pytest.fixture(autouse=True)
def importable(monkeypatch, user):
    monkeypatch.syspath_prepend(user.parent)  # to train, too


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    npz(folder / "x.npz")
    words = ["dataset=file", "dataset.file=x.npz", "model.hidden_units=4", "train.batch_size=16", "train.epochs=2"]
    result = here(*words, "executor=inline", "tracking=none", cwd=folder)
    assert result.returncode == 0, result.stderr
    return next((folder / "outputs/runs").iterdir()) / "model.h5"


@pytest.fixture(scope="module")
def expected(model):
    """What the model says of the examples as arrays: its predictions, and its evaluation."""
    answers = []
    for command, write in (("predict", npy), ("evaluate", npz)):
        path, out = model.with_name(f"same.{write.__name__}"), io.StringIO()
        write(path)
        with contextlib.redirect_stdout(out):
            assert main([command, str(model), str(path), "--json"]) == 0
        answers.append(json.loads(out.getvalue()))
    return answers[0]["predictions"], answers[1]


def ask(run, command, *words):
    done = run(command, *words, "--json")
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)


def in_order(rows, format):
    """What stands in the order of classes, as PIXELS do."""
    order = np.argsort(np.argsort(LABELS, kind="stable")) if format.by_class else np.arange(N)
    return [rows[i] for i in order]


@pytest.mark.parametrize("format", [f for f in FORMATS if f.predicts], ids=[f.name for f in FORMATS if f.predicts])
def test_predict(run, model, expected, tmp_path, user, format):
    format.write(tmp_path / format.name)
    answer = ask(run, "predict", model, tmp_path / format.name, *format.words, "--config-dir", user)
    rows = in_order(answer["predictions"], format)
    np.testing.assert_allclose([r["probabilities"] for r in rows], [r["probabilities"] for r in expected[0]], rtol=1e-5)
    if format.by_class:
        assert [row["true"] for row in rows] == [str(label) for label in LABELS]
        assert [row["file"] for row in rows] == [f"{label}/{i:02}.png" for i, label in enumerate(LABELS)]


@pytest.mark.parametrize("format", [f for f in FORMATS if f.labelled], ids=[f.name for f in FORMATS if f.labelled])
def test_evaluate(run, model, expected, tmp_path, user, format):
    format.write(tmp_path / format.name)
    answer = ask(run, "evaluate", model, tmp_path / format.name, *format.words, "--config-dir", user)
    assert (answer["confusion"], answer["n"]) == (expected[1]["confusion"], N)
    assert answer["loss"] == pytest.approx(expected[1]["loss"], rel=1e-5)


@pytest.mark.parametrize("format", FORMATS, ids=IDS)
def test_inspect(run, tmp_path, user, format):
    format.write(tmp_path / format.name)
    answer = ask(run, "inspect", tmp_path / format.name, *format.words, *format.size, "--config-dir", user)
    if format.name == "inputs.csv":  # a table without a column of labels
        assert len(answer["columns"]) == 16
        return
    (part,) = answer["parts"]
    assert (part["n"], part["low"], part["high"]) == (N, PIXELS.min(), PIXELS.max())
    assert part["classes"] == ({str(c): 20 for c in range(3)} if format.labelled else {})


@pytest.mark.parametrize("format", [f for f in FORMATS if f.labelled], ids=[f.name for f in FORMATS if f.labelled])
def test_convert_and_train(run, tmp_path, user, format):
    """dataset=file takes each of them, and gives the same examples in each part."""
    format.write(tmp_path / format.name)
    words = ["dataset=file", f"dataset.file={tmp_path / format.name}", *format.size]
    done = run("convert", *words, *format.words, tmp_path / "out.h5", "--config-dir", user)
    assert (done.status, done.err) == (0, "")
    splits = chosen(["dataset=hdf5", f"dataset.file={tmp_path / 'out.h5'}"])[0]
    assert [len(part) for part in splits.parts.values()] == [48, 6, 6]
    assert splits.class_names == ("0", "1", "2")
    rows = np.concatenate([part.inputs.load().reshape(-1, 16) for part in splits.parts.values()])
    labels = np.concatenate([part.labels for part in splits.parts.values()])
    both = np.column_stack([rows, labels])
    expected = np.column_stack([FLAT, LABELS])
    np.testing.assert_array_equal(both[np.lexsort(both.T)], expected[np.lexsort(expected.T)])


def test_one_image(run, model, expected, tmp_path):
    Image.fromarray(PIXELS[5, :, :, 0]).save(tmp_path / "five.png")
    (row,) = ask(run, "predict", model, tmp_path / "five.png")["predictions"]
    assert (row["file"], row["class"]) == ("five.png", expected[0][5]["class"])
    np.testing.assert_allclose(row["probabilities"], expected[0][5]["probabilities"], rtol=1e-5)
    assert run("predict", model, tmp_path / "five.png").out.startswith("five.png: ")


def test_a_part_of_a_folder_of_images(run, model, tmp_path):
    for part in ("train", "test"):
        folders(tmp_path / "parts" / part)
    assert ask(run, "evaluate", model, tmp_path / "parts")["input"] == f"{tmp_path / 'parts'}:test"
    names = [part["name"] for part in ask(run, "inspect", tmp_path / "parts")["parts"]]
    assert names == ["train", "test"]


def test_a_key_names_an_array(run, model, tmp_path):
    np.savez(tmp_path / "two.npz", pictures=PIXELS, other=LABELS)
    answer = ask(run, "predict", model, f"{tmp_path / 'two.npz'}:pictures")
    assert len(answer["predictions"]) == N
    words = ("dataset.inputs=pictures", "dataset.labels=other")
    assert ask(run, "evaluate", model, tmp_path / "two.npz", *words)["n"] == N
    wrong(run("predict", model, tmp_path / "two.npz"), "has 2 arrays; name one as")


def test_keys_go_to_the_reader(run, model, tmp_path, user):
    own(tmp_path / "x.rows")
    words = ("+formats.mine=my_format.read", ALLOWED, "--config-dir", user)
    plain, shifted = (
        ask(run, "predict", model, tmp_path / "x.rows", *keys, *words) for keys in ((), ("+dataset.shift=50",))
    )
    assert plain["predictions"] != shifted["predictions"]
    wrong(
        run("predict", model, tmp_path / "x.rows", "+dataset.shft=5", *words),
        "takes shift. Did you mean 'shift'?",
    )


def test_a_model_of_a_users_own_format_is_asked_for_its_own_split(run, tmp_path, user):
    """Trained on it, exported, evaluated without INPUT: as long as the user says where the format comes from."""
    own(tmp_path / "x.rows")
    words = ("+formats.mine=my_format.read", ALLOWED)
    data = ("dataset=file", f"dataset.file={tmp_path / 'x.rows'}", "+dataset.shift=1", *words)
    short = ("model.hidden_units=4", "train.batch_size=16", "train.epochs=1", "executor=inline", "tracking=none")
    result = here(*data, *short, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    model = next((tmp_path / "outputs/runs").iterdir()) / "model.h5"
    answer = ask(run, "evaluate", model, *words, "--config-dir", user)
    assert (answer["input"], answer["n"]) == ("file:test", 6)
    wrong(run("evaluate", model), "no format has this suffix")
    recorded = model_attributes(model)["caviar_config"]
    assert recorded["dataset"]["shift"] == 1
    model.unlink()
    wrong(
        run("export", model.parent),
        "formats.mine=my_format.read: the map `formats` of conf",
    )
    assert run("export", model.parent, *words, "--config-dir", user).status == 0
    assert ask(run, "evaluate", model, *words, "--config-dir", user) == answer


WRONG = [
    (["predict", "MODEL", "x.xyz"], "x.xyz is not understood. It is FILE.npy"),
    (["evaluate", "MODEL", "x.npy"], "x.npy is not understood. It is FILE.npz or FILE.h5"),
    (["evaluate", "MODEL", "images"], "images: there is no folder in it; wanted is a folder of images for each class"),
    (["evaluate", "MODEL", "inputs.csv"], "inputs.csv: which column holds the labels? dataset.label=NAME. Columns: "),
    (["predict", "MODEL", "x.csv"], "x.csv: its shape is 60 x 17, which does not fit this model"),
    (
        ["predict", "MODEL", "x.h5", "dataset=npz"],
        "x.h5 is a file: give dataset.KEY=VALUE for its reader, not dataset=",
    ),
    (["predict", "MODEL", "x.h5", "train.epochs=2"], "train.epochs=2 decides nothing about the data"),
    (["predict", "MODEL", "x.h5", "dataset.label=a"], "dataset.label=a: the reader of x.h5 takes inputs, labels, "),
    (["predict", "MODEL", "x.h5", "dataset.format=hdf6"], "dataset.format=hdf6 is not known. Allowed: auto, hdf5, npz"),
    (["inspect", "x.rows", "+formats.mine=os.system"], "formats.mine=os.system is not allowed: it must begin with one"),
    (["inspect", "x.rows", "+formats.mine=pipeline.data.formats.hdf5.raed"], "Did you mean 'read'?"),
    (["convert", "dataset=file", "dataset.file=x.rows", "o.h5"], "x.rows: no format has this suffix. Suffixes: .bmp, "),
    (["convert", "dataset=file", "dataset.file=none", "o.h5"], "none: there is no such file"),
    (["convert", "dataset=file", "dataset.file=x.npy", "o.h5"], "x.npy: it has no labels"),
    (["convert", "dataset=file", "dataset.file=x.h5", "dataset.label=a", "o.h5"], "the reader of x.h5 takes inputs"),
    (
        ["convert", "dataset=file", "dataset.file=x.npz", "dataset.memory=never", "o.h5"],
        "is held in memory, HDF5 files",
    ),
    (["predict", "MODEL", "x.npy", "--config-dir", "none"], "there is no such folder"),
]


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    """A folder with a file of each format."""
    folder = tmp_path_factory.mktemp("every")
    for format in FORMATS:
        format.write(folder / format.name)
    return folder


@pytest.mark.parametrize(("words", "message"), WRONG)
def test_wrong_input(run, model, every, monkeypatch, words, message):
    monkeypatch.chdir(every)
    wrong(run(*(str(model) if word == "MODEL" else word for word in words)), message)


def test_what_a_reader_returns_is_checked(run, tmp_path, monkeypatch):
    (tmp_path / "my_wrong.py").write_text(
        "from pipeline.data.formats.reader import reader\n"
        "from pipeline.data.examples import Examples\n"
        "@reader('.a')\ndef tuples(path): return 1, 2\n"
        "@reader('.b')\ndef lists(path): return Examples('x', [1, 2], [0, 1])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for suffix, name, message in ((".a", "tuples", "returns a tuple"), (".b", "lists", "inputs are a list")):
        path = Path(tmp_path / f"x{suffix}")
        path.touch()
        words = (f"+formats.mine=my_wrong.{name}", "allowed_targets=[pipeline.,keras.,my_wrong.]")
        wrong(run("inspect", path, *words), f"my_wrong.{name}")
        assert message in run("inspect", path, *words).err
