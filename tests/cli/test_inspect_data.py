"""`python -m pipeline inspect` of examples: in files of every kind, and data sets by name."""

import json

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from matplotlib.image import imread

from pipeline.cli.views.data import Data
from pipeline.data.examples import Examples
from pipeline.data.rows import SAMPLE_BYTES
from tests.cli.conftest import Counting, wrong
from tests.conftest import here

CSV = "length,colour,good,class\n1.5,red,true,b\n2.5,blue,false,a\n,red,true,b\n"


def images(path):
    with h5py.File(path, "w") as file:
        file["train_set_x"] = np.arange(6 * 4 * 4 * 3, dtype=np.uint16).reshape(6, 4, 4, 3)
        file["train_set_y"] = np.array([[0, 1, 1, 1, 0, 1]])
        file["list_classes"] = np.array([b"no", b"yes\x1b"])
        file["other"] = np.zeros(3)


def texts(path):
    with h5py.File(path, "w") as file:
        file["set/images"] = np.zeros((3, 5), np.float32)
        file["set/labels"] = ["b", "a", "b"]


def archive(path):
    np.savez(path, x_train=np.ones((4, 2)), y_train=np.array([2, 2, 2, 10]), x_test=np.zeros((2, 2)), y_test=[2, 2])


def table(path):
    path.write_text(CSV)


def parquet(path):
    path.with_suffix(".csv").write_text(CSV)
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(path.with_suffix(".csv")), path)


def regression(path):
    np.savez(path, x=np.ones((3, 2)), y=np.array([0.5, 1.0, 2.0]))


WRITERS = {
    "images.h5": (images, {"train_set_x": {"no": 2, "yes\x1b": 4}}),
    "texts.hdf5": (texts, {"set/images": {"a": 1, "b": 2}}),
    "archive.npz": (archive, {"x_train": {"2": 3, "10": 1}, "x_test": {"2": 2, "10": 0}}),
    "table.csv": (table, {"examples": {"a": 1, "b": 2}}),
    "table.parquet": (parquet, {"examples": {"a": 1, "b": 2}}),
    "regression.npz": (regression, {"x": {}}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_classes_of_each_part_are_counted_and_drawn(run, tmp_path, name):
    write, expected = WRITERS[name]
    path, picture = tmp_path / name, tmp_path / "out.png"
    write(path)
    found = json.loads(run("inspect", path, "--json").out)
    assert (found["kind"], {part["name"]: part["classes"] for part in found["parts"]}) == ("data", expected)
    done = run("inspect", path, "--picture", picture)
    assert (done.status, done.err) == (0, "")
    assert "\x1b" not in done.out
    assert imread(picture).std() > 0.01


def test_a_converted_file(run, tmp_path):
    out = tmp_path / "out.h5"
    run("convert", "dataset=digits", out)
    done = run("inspect", out)
    assert (done.status, done.err) == (0, "")
    for part in (
        "checksum agrees",
        "1,437",
        "8 x 8 x 1",
        "float32",
        "0 to 16",
        "gzip, shuffled, 17% of its size",
        "9.9%",
    ):
        assert part in done.out
    assert "10 classes; 3 is 1.05 times as frequent as 8" in done.out
    parts = {part["name"]: part for part in json.loads(run("inspect", out, "--json").out)["parts"]}
    assert list(parts) == ["train", "validation", "test"]
    assert sum(parts["train"]["classes"].values()) == 1437


def test_a_changed_file_is_shown_and_refused(run, tmp_path):
    out = tmp_path / "out.h5"
    run("convert", "dataset=digits", "--compression=none", out)
    with h5py.File(out, "r+") as file:
        file["train/inputs"][0, 0, 0, 0] = 9
    done = run("inspect", out)
    assert (done.status, "CHANGED" in done.out, "1,437" in done.out) == (2, True, True)
    assert "checksum mismatch" in done.err


def test_a_name_in_a_file_moves_no_cursor(run, tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["a\x1b[31m/inputs"] = np.zeros((2, 2))
        file["a\x1b[31m/labels"] = [b"\xff", b"a"]
    done = run("inspect", tmp_path / "t.h5")
    assert (done.status, "\x1b" in done.out) == (2, False)
    assert done.err.startswith(f"{tmp_path / 't.h5'}: a\ufffd[31m/labels holds text that is not UTF-8;")
    trained = here("dataset=hdf5", f"dataset.file={tmp_path / 't.h5'}", "tracking=none", cwd=tmp_path)
    assert trained.returncode == 2
    assert "a\ufffd[31m/" in trained.stderr and "\x1b" not in trained.stderr


def test_a_data_set_by_name(run, tmp_path):
    done = run("inspect", "dataset=blobs", "dataset.n_classes=4", "--picture", tmp_path / "out.png")
    assert (done.status, done.err) == (0, "")
    assert "4 classes, equally frequent" in done.out and "in memory" in done.out
    assert (tmp_path / "out.png").exists()


def test_columns_of_a_table(run, tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    columns = {c["name"]: c for c in json.loads(run("inspect", tmp_path / "t.csv", "--json").out)["columns"]}
    assert columns["length"] == {"name": "length", "type": "double", "missing": 1, "values": "1.5 to 2.5"}
    assert (columns["colour"]["values"], columns["class"]["labels"]) == ("red, blue", True)
    named = json.loads(run("inspect", tmp_path / "t.csv", "--labels", "colour", "--json").out)
    assert named["parts"][0]["classes"] == {"blue": 1, "red": 2}
    (tmp_path / "u.csv").write_text("a,b\n1,2\n")
    assert "which column holds the labels? --labels NAME" in run("inspect", tmp_path / "u.csv").out


def test_a_table_is_read_as_training_reads_it(run, tmp_path):
    """Semicolons, quoted lines, missing texts, and classes by the names that training gives them."""
    rows = "".join(f'{i};"re\nd{i % 2}";{"" if i % 5 else "z"};{str(i % 2 == 0).lower()}\n' for i in range(40))
    (tmp_path / "t.csv").write_text("length;colour;note;class\n" + rows)
    found = json.loads(run("inspect", tmp_path / "t.csv", "--json").out)
    assert [c["name"] for c in found["columns"]] == ["length", "colour", "note", "class"]
    assert [c["missing"] for c in found["columns"]] == [0, 0, 32, 0]
    trained = run("inspect", "dataset=csv", f"dataset.file={tmp_path / 't.csv'}", "dataset.label=class", "--json")
    classes = [part["classes"] for part in json.loads(trained.out)["parts"]]
    assert found["parts"][0]["classes"] == {c: sum(part[c] for part in classes) for c in ("false", "true")}


def test_columns_of_parquet_that_csv_has_not(run, tmp_path):
    """What pandas calls categorical, lists, decimals and a label with gaps."""
    columns = {
        "colour": pa.array(["red", "blue", None, "red"]).dictionary_encode(),
        "sizes": [[1, 2], [3], None, [4]],
        "price": pa.array([1.0, 2.0, 3.0, None]).cast(pa.decimal128(10, 2)),
        "class": pa.array(["b", "a", "b", None]).dictionary_encode(),
        "bin": pa.array([1.0, 2.0, None, 1.0]),
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = json.loads(run("inspect", tmp_path / "t.parquet", "--json").out)
    assert [(c["values"], c["missing"]) for c in found["columns"]] == [
        ("red, blue", 1),
        ("neither numbers nor text", 1),
        ("1 to 3", 1),
        ("b, a", 1),
        ("1 to 2", 1),
    ]
    assert found["parts"][0]["classes"] == {"(missing)": 1, "a": 1, "b": 2}
    counted = {"colour": {"(missing)": 1, "blue": 1, "red": 2}, "bin": {"1": 2, "2": 1, "(missing)": 1}}
    for label, classes in counted.items():
        named = json.loads(run("inspect", tmp_path / "t.parquet", "--labels", label, "--json").out)
        assert named["parts"][0]["classes"] == classes
    for label in ("sizes", "price"):
        assert run("inspect", tmp_path / "t.parquet", "--labels", label).status == 0


def test_many_classes_are_shortened(run, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((200, 3)), y=np.minimum(np.arange(200), 99))
    done = run("inspect", tmp_path / "x.npz")
    assert "100 classes, of which the 15 most and the 15 least frequent; 99 is 101 times as frequent as" in done.out
    assert len(done.out.splitlines()) < 50


def test_inputs_without_a_number_are_counted(run, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((5, 0)), y=np.arange(5) % 2)
    done = run("inspect", tmp_path / "x.npz")
    assert (done.status, done.err) == (0, "")
    (line,) = [line.split() for line in done.out.splitlines() if line.split()[:1] == ["x"]]
    assert line == ["x", "5", "0", "float64", "none", "int64"]
    assert json.loads(run("inspect", tmp_path / "x.npz", "--json").out)["parts"][0]["low"] is None


def test_of_large_inputs_a_sample_is_read_and_said_to_be(run, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", (300_000, 1000), np.uint8, chunks=(1000, 1000), fillvalue=1)
        file["y"] = np.zeros(300_000, np.uint8)
    rows = Counting(tmp_path / "x.h5", "x", 300_000)
    (part,) = Data.of({"x": Examples("x.h5", rows, np.zeros(300_000, np.uint8))}).parts
    assert part.inputs.range_of == sum(rows.lengths) and sum(rows.lengths) * 1000 <= SAMPLE_BYTES + 2**21
    assert f"1 to 1 in {sum(rows.lengths):,} examples" in run("inspect", tmp_path / "x.h5").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.npz"], "none.npz: there is no such file"),
        (["none.csv"], "none.csv: there is no such file"),
        (["bad.npz"], "bad.npz: not a readable .npz file"),
        (["bad.parquet"], "bad.parquet: not a readable Parquet file"),
        (["empty.csv"], "empty.csv: the file is empty"),
        (["pickled.npz"], "pickled.npz: x holds Python objects, not numbers or text"),
        (["array.npz"], "array.npz: not a readable .npz file (it is no zip archive"),
        (["alone.npz"], "alone.npz: no inputs with labels beside them, such as x and y; it holds z (3,)"),
        (["t.csv", "--labels", "clas"], "--labels=clas is not known. Allowed: length, colour, good, class."),
        (["alone.npz", "--labels", "z"], "names a column of .csv or .parquet, not of alone.npz"),
        (["t.csv", "--picture", "p.jpg"], "--picture=p.jpg: must end in .png"),
        (["t.csv", "--picture", "none/p.png"], "there is no folder none"),
        (["dataset=digit"], "Did you mean 'digits'?"),
        (["dataset=digits", "t.csv"], "one FILE, or dataset=NAME with its keys"),
        (["seed=1"], "dataset=NAME is missing"),
    ],
)
def test_wrong_input(run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    for name in ("bad.npz", "bad.parquet"):
        (tmp_path / name).write_text("PK or not")
    (tmp_path / "empty.csv").touch()
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros((3, 2)))
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], object), y=np.zeros(1))
    np.savez(tmp_path / "alone.npz", z=np.zeros(3))
    (tmp_path / "t.csv").write_text(CSV)
    wrong(run("inspect", *words), message)


def test_a_model_has_no_examples_to_draw(run, model, tmp_path):
    done = run("inspect", model, "--picture", tmp_path / "p.png")
    assert (done.status, "holds no examples with labels" in done.err) == (2, True)


def test_a_member_of_an_unreadable_type_is_named_beside_the_examples(run, tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["inputs"], file["labels"] = np.zeros((4, 2)), np.arange(4) % 2
        h5py.h5d.create(file.id, b"stamp", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((4,)))
    done = run("inspect", tmp_path / "t.h5")
    assert (done.status, done.out.splitlines()[-1]) == (0, "of a type that can't be read: stamp")


def test_of_examples_with_other_names_one_is_told_how_to_draw_them(run, tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["pictures"], file["kinds"] = np.zeros((40, 4, 4, 1), np.uint8), np.arange(40) % 2
    done = run("inspect", tmp_path / "data.h5", "--picture", tmp_path / "p.png")
    assert done.status == 2
    named = f"inspect dataset=hdf5 dataset.file={tmp_path / 'data.h5'} dataset.inputs=KEY dataset.labels=KEY"
    assert done.err.strip().endswith(f"; name them: {named}.")
    words = named.replace("inputs=KEY", "inputs=pictures").replace("labels=KEY", "labels=kinds").split()
    assert run(*words, "--picture", tmp_path / "p.png").status == 0
