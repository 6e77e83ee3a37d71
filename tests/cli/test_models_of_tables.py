"""A model trained on a table predicts and evaluates on a table: by the names of columns, never by their place."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.__main__ import main
from tests.cli.conftest import forge, wrong
from tests.conftest import here

N = 120
RNG = np.random.default_rng(0)
COLOR = ["red", "green", "blue"]
ROWS = [
    {"length": round(float(RNG.normal()) + 3 * (i % 2), 3), "color": COLOR[i % 3], "wild": i % 4 == 0, "id": i}
    | {"zip": 10 * (i % 3), "species": ("setosa", "versicolor")[i % 2]}
    for i in range(N)
]
NAMES = list(ROWS[0])


def text(rows, names=None, delimiter=",", heading=True):
    """Rows as CSV, with the columns in an order of its own."""
    names = names or list(rows[0])
    shown = [
        ["" if v is None else str(v).lower() if isinstance(v, bool) else v for v in map(r.get, names)] for r in rows
    ]
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows([names] * heading + shown)
    return file.getvalue()


def write_csv(path, rows, names=None):
    path.write_text(text(rows, names))


def write_parquet(path, rows, names=None):
    names = names or list(rows[0])
    pyarrow.parquet.write_table(pa.table({name: [row[name] for row in rows] for name in names}), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on the table: two numbers, of which one is taken as categories, a text, a truth; `id` is left out."""
    folder = tmp_path_factory.mktemp("table")
    write_csv(folder / "train.csv", ROWS)
    data = ["dataset=csv", "dataset.file=train.csv", "dataset.label=species", "dataset.drop=[id]"]
    short = ["dataset.categorical=[zip]", "model.hidden_units=8", "train.batch_size=16", "train.epochs=8"]
    result = here(*data, *short, "executor=inline", "tracking=none", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return next((folder / "outputs/runs").iterdir()) / "model.h5"


@pytest.fixture(scope="module")
def matrix(folder):
    """The inputs as the model takes them, by place."""
    rows = [
        [r["length"], *(r["color"] == c for c in sorted(COLOR)), r["wild"], *(r["zip"] == z for z in (0, 10, 20))]
        for r in ROWS
    ]
    np.save(folder / "matrix.npy", np.array(rows, np.float32))
    return folder / "matrix.npy"


def predictions(run, *words):
    done = run("predict", *words, "--json")
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)["predictions"]


ORDERS = {
    "as trained": NAMES,
    "backwards": NAMES[::-1],
    "without what is left out": [name for name in NAMES if name != "id"],
    "without the label": ["zip", "wild", "length", "color"],
}


@pytest.mark.parametrize("write", [write_csv, write_parquet])
@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_columns_does_not_matter(run, model, matrix, tmp_path, write, order):
    path = tmp_path / ("t.csv" if write is write_csv else "t.parquet")
    write(path, ROWS, ORDERS[order])
    rows = predictions(run, model, path)
    expected = predictions(run, model, matrix)
    np.testing.assert_allclose([r["probabilities"] for r in rows], [r["probabilities"] for r in expected], rtol=1e-5)
    true = [row["species"] for row in ROWS] if "species" in ORDERS[order] else [None] * N
    assert [row.get("true") for row in rows] == true


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_it_is_evaluated_on_a_table(run, model, tmp_path, write):
    path = tmp_path / ("t.csv" if write is write_csv else "t.parquet")
    write(path, ROWS, NAMES[::-1])
    done = run("evaluate", model, path, "--json")
    assert (done.status, done.err) == (0, "")
    answer = json.loads(done.out)
    assert (answer["n"], [row["n"] for row in answer["classes"]]) == (N, [60, 60])
    right = sum(row["true"] == row["class"] for row in predictions(run, model, path))
    assert answer["accuracy"] == pytest.approx(right / N)


def test_a_few_rows_are_encoded_as_all_were(run, model, matrix, tmp_path):
    """One color only, whole numbers as lengths, truths as 0 and 1: types that pyarrow would infer otherwise."""
    (tmp_path / "t.csv").write_text("wild;zip;color;length\n1;10.0;blue;2\n0;10.0;blue;-1\n")
    rows = [[2, 1, 0, 0, 1, 0, 1, 0], [-1, 1, 0, 0, 0, 0, 1, 0]]
    np.save(tmp_path / "same.npy", np.array(rows, np.float32))
    found, expected = (predictions(run, model, tmp_path / name) for name in ("t.csv", "same.npy"))
    np.testing.assert_allclose([r["probabilities"] for r in found], [r["probabilities"] for r in expected], rtol=1e-5)


def test_a_class_may_be_missing_or_another_where_it_is_only_shown(run, model, tmp_path):
    rows = [ROWS[0], ROWS[1] | {"species": None}, ROWS[2] | {"species": "virginica"}]
    write_csv(tmp_path / "t.csv", rows)
    assert [row.get("true") for row in predictions(run, model, tmp_path / "t.csv")] == ["setosa", None, "virginica"]
    wrong(run("evaluate", model, tmp_path / "t.csv"), "the label 'species' has no value in row 2 of 3")
    write_csv(tmp_path / "t.csv", [rows[0], rows[2]])
    wrong(run("evaluate", model, tmp_path / "t.csv"), "the label of example 1 is 'virginica', which is none of this mo")


def test_what_is_no_input_is_ignored_with_a_warning(run, model, tmp_path):
    write_csv(tmp_path / "t.csv", [row | {"when": "today", "who\x1b": "me"} for row in ROWS])
    done = run("predict", model, tmp_path / "t.csv")
    assert done.status == 0
    assert (
        done.err == f"warning: {tmp_path / 't.csv'}: ignored are when, who\ufffd, which are no inputs of this model.\n"
    )


def changed(**values):
    """The table with other values in the third of five rows."""
    return [row | values if i == 2 else row for i, row in enumerate(ROWS[:5])]


def without(name):
    return [{key: value for key, value in row.items() if key != name} for row in ROWS[:5]]


WRONG = [
    (text(without("color")), "has no column 'color', an input of this model. Columns: length, wild, id, zip, species."),
    (text([{("lenght" if k == "length" else k): v for k, v in r.items()} for r in ROWS]), "Did you mean 'lenght'?"),
    (text(changed(color="purple")), "'color' has 'purple' in row 3 of 5; this model knows blue, green, red."),
    (text(changed(color="rde")), "Did you mean 'red'?"),
    (text(changed(color=None)), "'color' has no value in row 3 of 5; this model knows blue, green, red."),
    (text(changed(zip=30)), "'zip' has '30' in row 3 of 5; this model knows 0, 10, 20."),
    (text(changed(length="?")), "'length' has '?' in row 3 of 5; this model takes a number there."),
    (text(changed(length=None)), "'length' has no value in row 3 of 5; this model takes a number there."),
    (text([row | {"length": None} for row in ROWS[:5]]), "'length' has no value in row 1 of 5"),
    (text([row | {"length": True} for row in ROWS[:5]]), "'length' holds bool; this model takes a number there."),
    (
        text([row | {"wild": 2} for row in ROWS[:5]]),
        "'wild' has '2' in row 1 of 5; this model takes true or false there",
    ),
    (text(changed(wild="maybe")), "'wild' has 'maybe' in row 3 of 5; this model takes true or false there."),
    (text(changed(length=1e39)), "1 of 5 examples have values that are NaN, infinite or too large for float32"),
    ("1,0,2,3\n5,6,7,8\n", "has no heading; this model takes columns by their names: length, color, wild, zip."),
    (text(ROWS[:0], NAMES), "it has a heading but no rows"),
    (text(ROWS, [*NAMES, "color"]), "the column 'color' stands there more than once; rename one."),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_what_can_not_be_encoded_is_refused(run, model, tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    wrong(run("predict", model, tmp_path / "t.csv"), message)


def test_a_table_without_labels_can_not_be_evaluated_on(run, model, tmp_path):
    write_csv(tmp_path / "t.csv", without("species"))
    wrong(run("evaluate", model, tmp_path / "t.csv"), "has no column 'species', the label of this model.")


def test_a_number_may_be_written_otherwise_a_text_not(run, tmp_path):
    """Categories are matched as texts, then by what they mean: 007 in a file without other texts is still 007."""
    codes = ["007", "08", "A1", "yes"]
    rows = [{"code": codes[i % 4], "x": i, "kind": ("3", "8")[i % 2]} for i in range(80)]
    write_csv(tmp_path / "t.csv", rows)
    data = ["dataset=csv", "dataset.file=t.csv", "dataset.label=kind"]
    short = ["model.hidden_units=4", "train.batch_size=16", "train.epochs=1", "executor=inline", "tracking=none"]
    assert here(*data, *short, cwd=tmp_path).returncode == 0
    model = next((tmp_path / "outputs/runs").iterdir()) / "model.h5"
    (tmp_path / "few.csv").write_text("x,code,kind\n1,007,3.0\n2,7.0,8\n")
    assert [row["true"] for row in predictions(run, model, tmp_path / "few.csv")] == ["3", "8"]
    assert run("evaluate", model, tmp_path / "few.csv").status == 0
    (tmp_path / "few.csv").write_text("x,code\n1,a1\n")
    wrong(run("predict", model, tmp_path / "few.csv"), "'code' has 'a1' in row 1 of 1; this model knows 007, 08, A1, y")


def test_a_model_of_an_earlier_version_says_its_columns_by_its_features(run, model, tmp_path):
    old = forge(model, tmp_path / "old.h5", table_encoding=None)
    write_csv(tmp_path / "t.csv", ROWS, ["zip", "species", "wild", "length", "color"])
    assert predictions(run, old, tmp_path / "t.csv") == predictions(run, model, tmp_path / "t.csv")


AMBIGUOUS = {
    "columns": {"a": "category: x", "a=b": "number: 0 to 1", "y": "label: no, yes"},
    "features": ["a=x", "a=b"],
}


def test_a_model_of_an_earlier_version_whose_features_are_ambiguous_is_refused(run, model, tmp_path):
    old = forge(model, tmp_path / "old.h5", table_encoding=None, data_attributes=json.dumps(AMBIGUOUS))
    write_csv(tmp_path / "t.csv", ROWS)
    wrong(run("predict", old, tmp_path / "t.csv"), "an earlier version wrote it, and its columns can't be told apart")


@pytest.mark.parametrize(
    "encoding", ["[]", "{}", '{"columns": [{}]}', '{"columns": 3, "label": "a", "dropped": []}', "garbage"]
)
def test_an_encoding_that_is_none_is_as_good_as_absent(run, model, tmp_path, encoding):
    strange = forge(model, tmp_path / "strange.h5", table_encoding=encoding)
    write_csv(tmp_path / "t.csv", ROWS[:5])
    assert run("predict", strange, tmp_path / "t.csv").status == 0  # by its features


def test_a_converted_table_keeps_the_encoding(run, folder, model, tmp_path):
    """A model trained on the HDF5 file takes tables, too; and the file fits models of the table."""
    out = tmp_path / "out.h5"
    words = [f"dataset.file={folder / 'train.csv'}", "dataset.label=species", "dataset.drop=[id]"]
    assert main(["convert", "dataset=csv", *words, "dataset.categorical=[zip]", str(out)]) == 0
    short = ["model.hidden_units=8", "train.batch_size=16", "train.epochs=8", "executor=inline", "tracking=none"]
    result = here("dataset=hdf5", f"dataset.file={out}", *short, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    same = next((tmp_path / "outputs/runs").iterdir()) / "model.h5"
    write_csv(tmp_path / "t.csv", ROWS, NAMES[::-1])
    assert predictions(run, same, tmp_path / "t.csv") == predictions(run, model, tmp_path / "t.csv")
    assert run("evaluate", model, out).status == 0
    words = [f"dataset.file={folder / 'train.csv'}", "dataset.label=species"]
    main(["convert", "dataset=csv", *words, str(tmp_path / "other.h5")])
    wrong(
        run("evaluate", model, tmp_path / "other.h5"), "its inputs are length, color=blue, color=green, color=red, wi"
    )


def test_parts_in_files_of_their_own_are_encoded_alike(run, tmp_path):
    """dataset=file takes another table for the test part: by names, in any order, with the categories of training."""
    write_csv(tmp_path / "train.csv", ROWS)
    write_csv(tmp_path / "test.csv", ROWS[:9], NAMES[::-1])
    words = ["dataset=file", f"dataset.file={tmp_path / 'train.csv'}", "dataset.label=species", "dataset.drop=[id]"]
    own = f"dataset.test.file={tmp_path / 'test.csv'}"
    answer = json.loads(run("inspect", *words, own, "--json").out)
    assert [part["n"] for part in answer["parts"]] == [108, 12, 9]
    write_csv(tmp_path / "test.csv", changed(color="purple"))
    wrong(run("inspect", *words, own), "test.csv: the column 'color' has 'purple' in row 3 of 5; this model knows blue")


def test_a_folder_of_parquet_files_is_a_table_for_every_command(run, model, tmp_path):
    write_parquet(tmp_path / "all.parquet", ROWS)
    (parts := tmp_path / "parts").mkdir()
    for i in range(2):
        write_parquet(parts / f"{i}.parquet", ROWS[60 * i : 60 * i + 60])
    assert predictions(run, model, parts) == predictions(run, model, tmp_path / "all.parquet")
    assert json.loads(run("evaluate", model, parts, "--json").out)["n"] == N
    columns = json.loads(run("inspect", parts, "--json").out)["columns"]
    assert [column["name"] for column in columns] == NAMES
    words = ["dataset=file", f"dataset.file={parts}"]
    assert run("convert", *words, "dataset.label=species", "dataset.drop=[id]", tmp_path / "t.h5").status == 0
    done = run("convert", *words, "+dataset.survey=true", tmp_path / "u.h5")
    wrong(done, f"dataset.survey=True: the reader of {parts} takes label, drop, ")
    assert "labelled" not in done.err


KEPT = ["dataset.label=species", "dataset.drop=[id]", "dataset.categorical=[zip]"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dataset.label=color"], "dataset.label=color: this model takes the columns as it learned them, the label is"),
        (
            ["dataset.drop=[length]"],
            "dataset.drop=[length]: this model takes the columns as it learned them, 'length'",
        ),
        (["dataset.drop=[species]"], "'species' is its label; leave that key out."),
        (["dataset.normalize=false"], "as it learned to; leave that key out."),
        (["dataset.categorical=[length]"], "'length' is a number; leave that key out."),
    ],
)
def test_keys_that_contradict_what_a_model_learned_are_refused(run, model, tmp_path, words, message):
    write_csv(tmp_path / "t.csv", ROWS)
    wrong(run("evaluate", model, tmp_path / "t.csv", *words), message)
    assert predictions(run, model, tmp_path / "t.csv", *KEPT) == predictions(run, model, tmp_path / "t.csv")


def test_rows_without_a_number_are_left_out_if_the_user_says_so(run, model, tmp_path):
    write_csv(tmp_path / "t.csv", [{**ROWS[0], "length": None}, {**ROWS[1], "species": None}, *ROWS[2:]])
    wrong(run("evaluate", model, tmp_path / "t.csv"), "the column 'length' has no value in row 1 of 120")
    done = run("evaluate", model, tmp_path / "t.csv", "dataset.missing=drop", "--json")
    assert (done.status, json.loads(done.out)["n"]) == (0, N - 2)
