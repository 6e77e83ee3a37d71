"""Numbers that are written otherwise, files without a heading, and columns that no one meant as inputs."""

import json
import re
import shlex

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.data.encoding import from_json
from pipeline.data.formats.tables import csv, read
from pipeline.data.notation import Notation
from pipeline.errors import InputError

N = 40
VALUES = [i / 2 for i in range(N)]
LABELS = ["cat", "dog"] * (N // 2)


def table(path, cells, heading="a;b;label", other=range(N)):
    """A CSV file of a column of cells, one of numbers and the label; the fields between semicolons."""
    lines = [f"{cell};{i};{label}" for cell, i, label in zip(cells, other, LABELS)]
    path.write_text("\n".join([heading, *lines] if heading else lines) + "\n")
    return path


def load(path, **changes):
    settings = {"file": str(path), "label": "label", "drop": [], "categorical": [], "missing": "error"}
    settings |= {"validation_fraction": 0.2, "test_fraction": 0.2, "memory": "auto", "seed": 0}
    return csv(**settings | changes)


def inputs(splits):
    """All rows of all parts, in the order of the last column, which counts them."""
    rows = np.concatenate([part.inputs.load() for part in splits.parts.values()])
    return rows[np.argsort(rows[:, -1])]


def settings_in(message):
    """The values of the keys that a message suggests, as the shell and Hydra read them."""
    words = [word.rstrip(",.") for word in shlex.split(message.replace("it's", "")) if word.startswith("dataset.")]
    parsed = [OverridesParser.create().parse_override(word) for word in words]
    return {override.key_or_group.removeprefix("dataset."): override.value() for override in parsed}


def instead(cell, row=5):
    return [str(v) if i != row else cell for i, v in enumerate(VALUES)]


def commas(text):
    return text.replace(".", ",")


WRITTEN = [
    (instead("?"), "39 of 40 values are numbers, '?' in row 6 of 40 is not", {"missing_values": ["?"]}, 5),
    (instead("####"), "39 of 40 values are numbers, '####' in row 6 of 40 is not", {"missing_values": ["####"]}, 5),
    (
        [f"{v:.2f}".replace(".", ",") for v in VALUES],
        "but not written as such: '0,00' in row 1",
        {"decimal": ","},
        None,
    ),
    ([commas(str(v)) for v in VALUES], "'0,0' in row 1 of 40", {"decimal": ","}, None),
    ([f"{1000 * v:,.0f}" for v in VALUES], "40 of 40 values are numbers", {"thousands": ","}, None),
    (
        [f"{1000.5 * v:,.2f}".replace(",", "'").replace(".", ",").replace("'", ".") for v in VALUES],
        "40 of 40 values",
        {"decimal": ",", "thousands": "."},
        None,
    ),
]


@pytest.mark.parametrize(("cells", "message", "keys", "missing"), WRITTEN)
def test_numbers_that_are_written_otherwise_are_refused_and_read_as_the_message_says(
    tmp_path, cells, message, keys, missing
):
    path = table(tmp_path / "t.csv", cells)
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        load(path)
    assert len(str(raised.value).splitlines()) == 1
    assert "drop" not in str(raised.value)
    suggested = settings_in(str(raised.value))
    assert suggested.pop("categorical") == ["a"]
    assert suggested.items() <= keys.items()
    assert suggested
    found = inputs(load(path, **keys, missing="drop"))
    scale = 1000.5 if "," in cells[-1] and "." in cells[-1] else 1000 if keys == {"thousands": ","} else 1
    expected = [scale * v for i, v in enumerate(VALUES) if i != missing]
    np.testing.assert_array_equal(found[:, 0], np.round(expected, 2).astype(np.float32))


def test_a_percent_sign_is_no_number_and_no_key_makes_it_one(tmp_path):
    with pytest.raises(InputError, match=r"40 of 40 .*'0 %' in row 1 of 40; write plain ones"):
        load(table(tmp_path / "t.csv", [f"{i} %" for i in range(N)]))


def test_many_numbers_are_no_texts_to_drop(tmp_path):
    cells = [*map(str, range(1, 2 * N)), "?"]
    lines = [f"{cell},{LABELS[i % 2]}" for i, cell in enumerate(cells * 3)]
    (tmp_path / "t.csv").write_text("a,label\n" + "\n".join(f"{i}.5{line}" for i, line in enumerate(lines)) + "\n")
    with pytest.raises(
        InputError, match=r"'79\.5\?' in row 80 of 240 is not; correct it, or take it as missing"
    ) as raised:
        load(tmp_path / "t.csv")
    assert "drop" not in str(raised.value)
    assert "categorical" not in str(raised.value)  # they would be too many


@pytest.mark.parametrize("cells", [["small", "7", "12"], ["3+", "0"], ["18-24", "25-34"], ["2020-W1", "1"]])
def test_where_half_of_the_cells_are_words_they_are_categories(tmp_path, cells):
    if cells[-1].isdigit():
        cells = [cells[0], cells[0], *cells[1:]]
    path = table(tmp_path / "t.csv", [cells[i % len(cells)] for i in range(N)])
    assert load(path).attributes["columns"]["a"].startswith("category: ")


def test_the_user_may_say_that_numbers_are_categories(tmp_path):
    splits = load(table(tmp_path / "t.csv", ["0", "1", "2", "3+"] * (N // 4)), categorical=["a"])
    assert splits.attributes["features"] == ["a=0", "a=1", "a=2", "a=3+", "b"]


def test_texts_of_parquet_are_taken_for_what_they_are(tmp_path):
    def write(cells):
        columns = {"a": cells, "b": list(range(N)), "label": LABELS}
        pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
        return tmp_path / "t.parquet"

    codes = [("01067", "10115")[i % 2] for i in range(N)]
    assert load(write(codes)).attributes["columns"]["a"] == "category: 01067, 10115"
    with pytest.raises(InputError, match="40 of 40 values are numbers, but kept as text; store them as numbers"):
        load(write([*map(str, VALUES)]))
    with pytest.raises(InputError, match=r"39 of 40 values are numbers, '\?' in row 6"):
        load(write(instead("?")))
    found = inputs(load(write(instead("?")), missing_values=["?"], missing="drop"))
    assert found[:, 0].tolist() == [v for i, v in enumerate(VALUES) if i != 5]


def test_a_number_may_mean_missing_too(tmp_path):
    path = table(tmp_path / "t.csv", instead("-999.0"))
    assert load(path).attributes["columns"]["a"] == "number: -999 to 19.5"
    with pytest.raises(InputError, match="the column 'a' has no number in row 6 of 40"):
        load(path, missing_values=[-999])
    assert load(path, missing_values=[-999], missing="drop").attributes["columns"]["a"] == "number: 0 to 19.5"


def test_a_missing_text_is_a_category_of_its_own(tmp_path):
    path = table(tmp_path / "t.csv", ["red", "blue", "?", "red"] * (N // 4))
    assert load(path, missing_values=["?"]).attributes["columns"]["a"] == "category: (missing), blue, red"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"decimal": ";"}, "dataset.decimal=; is not known. Allowed: '.', ','."),
        ({"thousands": "5"}, "dataset.thousands=5 is not known. Allowed: null, '.', ',', "),
        ({"thousands": "."}, "dataset.thousands=. is the decimal sign, too"),
        ({"heading": "yes"}, "dataset.heading=yes is not known. Allowed: auto, true, false."),
        ({"missing_values": "?"}, "dataset.missing_values=? must be a list of texts or numbers"),
        ({"missing_values": [None]}, "dataset.missing_values=[None] must be a list of texts or numbers"),
    ],
)
def test_a_notation_that_is_none(tmp_path, keys, message):
    with pytest.raises(InputError) as raised:
        load(table(tmp_path / "t.csv", VALUES), **keys)
    assert str(raised.value).startswith(message)


NO_HEADING = [
    ["5.1;3.5;cat"],
    ["6;148;dog"],
    ["1;1;cat"],  # one name twice
    ["2;1;cat", "label"],  # whatever the label is called
]


@pytest.mark.parametrize("words", NO_HEADING)
def test_the_first_example_is_no_heading(tmp_path, words):
    first, label = words[0], words[-1].split(";")[-1]
    path = table(tmp_path / "t.csv", VALUES, first)
    with pytest.raises(InputError, match="looks like an example, not like the names of the columns") as raised:
        load(path, label=label)
    assert "column_1 to column_3 (dataset.label=column_3, say); dataset.heading=true takes it" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize("number", ["", "NA,", "?,"])
def test_a_label_that_is_called_as_its_classes_is_an_example_unless_a_word_names_numbers(tmp_path, number):
    lines = [
        f"{i if number == 'NA,' else ''}{number and ','}{('red', 'blue')[i % 3 % 2]},{LABELS[i]}" for i in range(N)
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join([f"{number}red,cat", *lines]) + "\n")
    with pytest.raises(InputError, match="looks like an example"):
        load(path, label="cat")
    splits = load(table(path, VALUES, "a;b;cat"), label="cat")
    assert splits.attributes["features"] == ["a", "b"]


def test_a_file_without_a_heading(tmp_path):
    path = table(tmp_path / "t.csv", VALUES, heading=None)
    splits = load(path, label="column_3", heading=False)
    assert splits.attributes["features"] == ["column_1", "column_2"]
    assert inputs(splits)[:, 0].tolist() == VALUES  # the first one, too


@pytest.mark.parametrize("heading", ["0;1;label", "1;2;label", "2019;2020;label", "a;2020;label", "x;0;label"])
def test_columns_may_be_called_by_numbers(tmp_path, heading):
    path = table(tmp_path / "t.csv", VALUES, heading)
    if heading == "2019;2020;label":  # too few to tell
        with pytest.raises(InputError, match=r"dataset\.heading=true"):
            load(path)
    splits = load(path, heading=True if heading == "2019;2020;label" else "auto")
    assert splits.attributes["features"] == heading.split(";")[:2]


@pytest.mark.parametrize("names", [range(1990, 1998), [400.5 + 2 * i for i in range(8)], [1, 2, 4, 8, 16, 32]])
def test_years_and_wavelengths_are_names(tmp_path, names):
    lines = [",".join([*(str(i + j) for j in range(len(names))), LABELS[i]]) for i in range(N)]
    (tmp_path / "t.csv").write_text("\n".join([",".join([*map(str, names), "label"]), *lines]) + "\n")
    assert load(tmp_path / "t.csv").attributes["features"] == [*map(str, names)]


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_nameless_column_that_numbers_the_rows_is_no_input(tmp_path, name):
    shuffled = np.random.default_rng(0).permutation(N) + 7
    path = table(tmp_path / "t.csv", shuffled, f"{name};b;label")
    splits = load(path)
    assert splits.attributes["features"] == ["b"]
    assert splits.attributes["columns"][name] == "left out: it has no name and numbers the rows"
    assert splits.encoding.dropped == (name,)  # nor is it missed, or warned of, in another table
    again = table(tmp_path / "t.csv", shuffled // 2, f"{name};b;label")  # numbers nothing
    assert load(again).attributes["features"] == [name, "b"]


@pytest.mark.parametrize("index", [[f"row {i}" for i in range(N)], list(range(N))])
def test_the_index_of_pandas_is_no_input(tmp_path, index):
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame({"b": range(N), "label": LABELS}, index=index).to_parquet(tmp_path / "t.parquet")
    splits = load(tmp_path / "t.parquet")
    assert splits.attributes["features"] == ["b"]
    stored = "__index_level_0__" in pyarrow.parquet.read_schema(tmp_path / "t.parquet").names
    assert ("__index_level_0__" in splits.attributes["columns"]) == stored
    named = pandas.DataFrame({"b": range(N)}, index=pandas.Index(LABELS, name="label"))
    named.to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").class_names == ("cat", "dog")  # an index that has a name is a column


def test_separators_at_the_ends_of_lines_make_no_columns(tmp_path):
    lines = [f"{i},{label},," for i, label in enumerate(LABELS)]
    (tmp_path / "t.csv").write_text("b,label,,\n" + "\n".join(lines) + "\n")
    assert load(tmp_path / "t.csv").attributes["features"] == ["b"]


def test_another_table_is_read_as_the_one_that_a_model_learned_from(tmp_path):
    cells = [f"{1000.5 * v:,.2f}".translate(str.maketrans(",.", ".,")) for v in VALUES]
    path = table(tmp_path / "t.csv", cells, heading=None)
    keys = {"heading": False, "decimal": ",", "thousands": ".", "missing_values": ["?"]}
    splits = load(path, label="column_3", **keys)
    encoding = from_json(json.loads(json.dumps(splits.encoding.to_json())))
    assert encoding == splits.encoding
    assert encoding.notation == Notation("false", ",", ".", ("?",))
    rows = read(path, encoding=encoding)
    np.testing.assert_array_equal(rows.inputs.load(), inputs(splits))
    assert rows.targets.tolist() == LABELS
    table(path, [*cells[:3], "?", *cells[4:]], heading=None)
    with pytest.raises(InputError, match="the column 'column_1' has no value in row 4 of 40"):
        read(path, encoding=encoding)
    named = table(tmp_path / "other.csv", VALUES, "column_1;column_2;label")  # the user says how this one is written
    with pytest.raises(InputError, match="no column 'column_3', the label of this model"):
        read(named, encoding=encoding, heading="true", decimal=".")
    plain = read(named, encoding=encoding, heading="true", decimal=".", labelled=False)
    assert plain.inputs.load()[:, 0].tolist() == VALUES


def test_a_model_of_an_earlier_version_has_the_plain_notation():
    record = {"columns": [{"name": "a", "kind": "number"}], "label": "label", "dropped": []}
    assert from_json(record).notation == Notation()
