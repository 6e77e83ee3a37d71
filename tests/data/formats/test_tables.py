import json
import re
import shlex

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.data.formats.columns import override
from pipeline.data.formats.tables import csv, parquet
from pipeline.errors import InputError
from tests.conftest import TINY, here

N = 60
LENGTH = [i / 4 for i in range(N)]
COLOR = ["red", "green", "blue"]
SPECIES = ["setosa", "versicolor"]
COLUMNS = {
    "length": LENGTH,
    "color": [COLOR[i % 3] for i in range(N)],
    "wild": [i % 4 == 0 for i in range(N)],
    "count": list(range(N)),
    "species": [SPECIES[i % 2] for i in range(N)],
}
TWICE = {name: 2 * values for name, values in COLUMNS.items()}


def text(columns, delimiter=",", end="\n"):
    """A CSV file; None is an empty field, and a text with the delimiter is quoted."""

    def field(value):
        shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return f'"{shown}"' if delimiter in shown else shown

    rows = [list(columns), *zip(*columns.values())]
    return "".join(delimiter.join(map(field, row)) + end for row in rows)


def settings(path, **changes):
    given = {"file": str(path), "label": "species", "drop": [], "categorical": [], "missing": "error"}
    return given | {"validation_fraction": 0.2, "test_fraction": 0.2, "memory": "auto", "seed": 0} | changes


def load_csv(folder, content, **changes):
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return csv(**settings(path, **changes))


def load_parquet(folder, columns, **changes):
    path = folder / "table.parquet"
    pyarrow.parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)
    return parquet(**settings(path, **changes))


def rows(splits):
    """All inputs and labels, in the order of the last input, which counts them."""
    inputs = np.concatenate([part.inputs for part in splits.parts.values()])
    labels = np.concatenate([part.labels for part in splits.parts.values()])
    order = np.argsort(inputs[:, -1])
    return inputs[order], labels[order]


@pytest.mark.parametrize("load", [lambda f, c, **k: load_csv(f, text(c), **k), load_parquet], ids=["csv", "parquet"])
def test_columns_become_inputs(tmp_path, load):
    splits = load(tmp_path, COLUMNS)
    i = np.arange(N)
    features = [i / 4, i % 3 == 2, i % 3 == 1, i % 3 == 0, i % 4 == 0, i]
    inputs, labels = rows(splits)
    np.testing.assert_array_equal(inputs, np.stack(features, axis=1).astype(np.float32))
    np.testing.assert_array_equal(labels, i % 2)
    assert inputs.dtype == np.float32
    assert splits.class_names == ("setosa", "versicolor")
    assert [len(part) for part in splits.parts.values()] == [36, 12, 12]
    assert splits.attributes == {
        "features": ["length", "color=blue", "color=green", "color=red", "wild", "count"],
        "columns": {
            "length": "number: 0 to 14.75",
            "color": "category: blue, green, red",
            "wild": "true or false",
            "count": "number: 0 to 59",
            "species": "label: setosa, versicolor",
        },
    }
    json.dumps(splits.attributes)  # they go into model.h5


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_delimiter_is_seen_in_the_heading(tmp_path, delimiter, end, mark):
    columns = {"a, b; c|d": COLUMNS["color"], **COLUMNS} if delimiter == "\t" else COLUMNS
    splits = load_csv(tmp_path, mark + text(columns, delimiter, end))
    assert list(splits.attributes["columns"]) == list(columns)
    assert splits.attributes["columns"]["length"] == "number: 0 to 14.75"


def test_fields_may_be_quoted_and_of_several_lines(tmp_path):
    content = text(COLUMNS).replace(",red,", ',"re\nd, ""dark""",')
    splits = load_csv(tmp_path, content)
    assert splits.attributes["columns"]["color"] == 'category: blue, green, re\nd, "dark"'.replace("\n", " ")
    assert 'color=re\nd, "dark"' in splits.attributes["features"]


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ([i % 3 for i in range(N)], ("0", "1", "2")),
        ([(3, 8, 12)[i % 3] for i in range(N)], ("3", "8", "12")),
        ([(-1.0, 1.0)[i % 2] for i in range(N)], ("-1", "1")),
        ([i % 2 == 0 for i in range(N)], ("false", "true")),
        ([("2020", "b")[i % 2] for i in range(N)], ("2020", "b")),
    ],
)
@pytest.mark.parametrize("load", [lambda f, c: load_csv(f, text(c)), load_parquet], ids=["csv", "parquet"])
def test_the_classes_are_the_values_of_the_label(tmp_path, load, label, names):
    splits = load(tmp_path, {**COLUMNS, "species": label, "at": list(range(N))})
    assert splits.class_names == names
    shown = [str(v).lower() if isinstance(v, bool) else f"{v:g}" if isinstance(v, float) else str(v) for v in label]
    assert [names[number] for number in rows(splits)[1]] == shown


def test_columns_are_left_out_and_numbers_taken_as_categories(tmp_path):
    splits = load_csv(tmp_path, text({**COLUMNS, "zip": [i % 3 + 10 for i in range(N)]}), drop=["color", "wild"])
    assert splits.attributes["features"] == ["length", "count", "zip"]
    splits = load_csv(
        tmp_path,
        text({**COLUMNS, "zip": [i % 3 + 10 for i in range(N)]}),
        drop=["color", "wild"],
        categorical=["zip"],
    )
    assert splits.attributes["features"] == ["length", "count", "zip=10", "zip=11", "zip=12"]


def with_gaps(**gaps):
    """The columns with None in some rows."""
    return {
        name: [None if i in gaps.get(name, ()) else value for i, value in enumerate(values)]
        for name, values in COLUMNS.items()
    }


@pytest.mark.parametrize("load", [lambda f, c, **k: load_csv(f, text(c), **k), load_parquet], ids=["csv", "parquet"])
def test_rows_without_a_number_or_label_are_left_out_on_request(tmp_path, load):
    gappy = with_gaps(length=(3, 4), wild=(4, 5), species=(6,), color=(10, 11))
    inputs, labels = rows(load(tmp_path, gappy, missing="drop"))
    kept = [i for i in range(N) if i not in (3, 4, 5, 6)]
    np.testing.assert_array_equal(inputs[:, -1], kept)
    np.testing.assert_array_equal(labels, np.array(kept) % 2)
    assert inputs[kept.index(10), 1] == inputs[kept.index(11), 1] == 1  # color=(missing), the first of the sorted


def test_a_missing_text_is_a_category(tmp_path):
    splits = load_csv(tmp_path, text(with_gaps(color=range(0, N, 2))))
    assert splits.attributes["columns"]["color"] == "category: (missing), blue, green, red"


def test_parquet_has_types_that_csv_has_not(tmp_path):
    table = pa.table(
        {
            "dictionary": pa.array(COLUMNS["color"]).dictionary_encode(),
            "numbered": pa.array([i % 3 for i in range(N)]).dictionary_encode(),
            "decimal": pa.array(LENGTH).cast(pa.decimal128(10, 2)),
            "small": pa.array([i % 100 for i in range(N)], pa.int8()),
            "half": pa.array(np.arange(N, dtype=np.float16)),
            "large text": pa.array(COLUMNS["color"], pa.large_string()),
            "species": COLUMNS["species"],
        }
    )
    splits = load_parquet(tmp_path, table)
    assert {name: told.split(":")[0] for name, told in splits.attributes["columns"].items()} == {
        **{"dictionary": "category", "numbered": "number", "decimal": "number", "small": "number", "half": "number"},
        **{"large text": "category", "species": "label"},
    }
    assert splits.input_shape == (3 + 4 + 3,)


COMMON = [
    ({}, {"label": "specis"}, "dataset.label: FILE has no column 'specis'. Columns: length, color, wild, count, "),
    ({}, {"label": "specis"}, "Did you mean 'species'?"),
    ({}, {"drop": ["colour"]}, "dataset.drop: FILE has no column 'colour'."),
    ({}, {"categorical": ["lengt"]}, "dataset.categorical: FILE has no column 'lengt'."),
    ({}, {"drop": ["species"]}, "dataset.drop: 'species' is the label."),
    ({}, {"drop": ["length", "color", "wild", "count"]}, "FILE: there is no column beside the label 'species'."),
    ({"species": ["a"] * N}, {}, "FILE: species has one class only, a; wanted are at least two."),
    ({"species": LENGTH}, {}, "the label 'species' is 0.25 in row 2; classes are whole numbers or text"),
    ({"species": list(range(N))}, {}, "FILE: species: dataset.validation_fraction=0.2 and dataset.test_fraction=0.2"),
    (
        {"species": ["a"] + ["b", "c"] * 29 + ["b"]},
        {},
        "FILE: species: the class 'a' has 1 example; it needs at least 3",
    ),
    (
        {**TWICE, "name": [f"name {i}" for i in range(2 * N)], "more": [f"{i}x" for i in range(2 * N)]},
        {},
        "the column 'name' has 120 different texts, at most 100 are taken as categories; leave it out with dataset.dr",
    ),
    (with_gaps(length=(3, 9)), {}, "the column 'length' has no number in row 4 of 60; fill it in, or leave out such"),
    (with_gaps(length=(3,)), {"drop": ["color"]}, "(dataset.missing=drop) or the column (dataset.drop=[color,length])"),
    (with_gaps(wild=(59,)), {}, "the column 'wild' has no number in row 60 of 60"),
    (with_gaps(species=(0,)), {}, "the label 'species' is missing in row 1 of 60; fill it in, or leave such rows out"),
    ({"length": [1e300, *LENGTH[1:]]}, {}, "the column 'length' has 1e+300 in row 1 of 60, which no float32 holds"),
    ({"length": [*LENGTH[1:], float("inf")]}, {}, "the column 'length' has inf in row 60 of 60, which no float32"),
    ({"my day": [None] * N}, {}, "'my day' is empty; leave it out with 'dataset.drop=[\"my day\"]'."),
    (with_gaps(length=range(N)), {"missing": "drop"}, "'length'"),
    ({}, {"memory": "never"}, "dataset.memory=never: dataset="),
]


@pytest.mark.parametrize("load", [lambda f, c, **k: load_csv(f, text(c), **k), load_parquet], ids=["csv", "parquet"])
@pytest.mark.parametrize(("columns", "changes", "message"), COMMON)
def test_what_can_not_be_trained_on_is_refused(tmp_path, load, columns, changes, message):
    with pytest.raises(InputError) as raised:
        load(tmp_path, COLUMNS | columns, **changes)
    found = re.sub(r"\S+/table\.(csv|parquet)", "FILE", str(raised.value))
    assert message in found
    assert len(found.splitlines()) <= 2


NAMES = [
    ({"label": None}, "dataset.label=null must be text, the name of the column of the classes."),
    ({"label": 3}, "dataset.label=3 must be text, the name of the column of the classes; a text in quotes: "),
    ({"label": ["a"]}, 'dataset.label=["a"] must be text, the name of the column of the classes'),
    ({"drop": "ab"}, "dataset.drop=ab must be a list of columns' names: dataset.drop=[ab]."),
    ({"drop": None}, "dataset.drop=null must be a list of columns' names: dataset.drop=[]."),
    ({"drop": [2020]}, "dataset.drop=[2020] must be a list of columns' names: 'dataset.drop=[\"2020\"]'."),
    ({"drop": {"a": 1}}, "dataset.drop={"),
    ({"categorical": "a"}, "dataset.categorical=a must be a list of columns' names: dataset.categorical=[a]."),
    ({"categorical": None}, "dataset.categorical=null must be a list of columns' names: dataset.categorical=[]."),
]


@pytest.mark.parametrize("load", [csv, parquet])
@pytest.mark.parametrize(("changes", "message"), NAMES)
def test_names_of_columns_are_text(tmp_path, load, changes, message):
    content = pa.table({"a": LENGTH, "b": LENGTH, "ab": LENGTH, "c": LENGTH, "species": COLUMNS["species"]})
    if load is csv:
        pyarrow.csv.write_csv(content, tmp_path / "t")
    else:
        pyarrow.parquet.write_table(content, tmp_path / "t")
    with pytest.raises(InputError) as raised:
        load(**settings(tmp_path / "t", **changes))
    assert str(raised.value).startswith(message)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "names", [["a", "_b2"], ["my day"], ["2020"], ["null"], ["nan", "b"], ["größe"], ["it's"], ['"x"'], ["1e5"], []]
)
def test_the_word_that_is_suggested_gives_the_list(names):
    (word,) = shlex.split(override("dataset.drop", names))
    assert OverridesParser.create().parse_override(word).value() == names


DATES = text({"day": [f"2020-01-{i % 28 + 1:02}" for i in range(N)], **COLUMNS})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": the file is empty."),
        ("a,b,species\n", ": it has a heading but no rows."),
        ("\n\n", ": not a readable CSV file (CSV parse error: Empty CSV file or block: cannot infer number of"),
        (
            "a,b,species\n1,2,x\n1,2\n",
            ": not a readable CSV file (CSV parse error: Row #3: Expected 3 columns, got 2: 1,2).",
        ),
        ("a,a,species\n1,2,x\n", ": the column 'a' stands there more than once; rename one."),
        (text(COLUMNS).replace("red", "r\xe9d").encode("latin-1"), "the column 'color' holds bytes that are no UTF-8"),
        ("l\xe9ngth,species\n1,a\n".encode("latin-1"), "not a readable CSV file in UTF-8"),
        (DATES, "the column 'day' holds date32[day], neither numbers nor text; leave it out with dataset.drop=[day]."),
        ("species\na\nb\n", ": there is no column beside the label 'species'."),
    ],
)
def test_a_csv_file_that_is_none(tmp_path, content, message):
    with pytest.raises(InputError) as raised:
        load_csv(tmp_path, content)
    assert message in str(raised.value).replace(str(tmp_path / "table.csv"), "FILE")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"length,species\n1,a\n", b"PAR1 and then nothing PAR1"])
def test_a_parquet_file_that_is_none(tmp_path, content):
    (tmp_path / "bad.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.parquet: (the file is empty|not a readable Parquet file \()"):
        parquet(**settings(tmp_path / "bad.parquet"))


@pytest.mark.parametrize("load", [csv, parquet])
def test_no_file(tmp_path, load):
    for path, message in ((tmp_path / "none.csv", "there is no such file"), (tmp_path, "it is a folder, not a file")):
        with pytest.raises(InputError, match=message):
            load(**settings(path))


def test_columns_of_lists_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"'list' holds list<\w+: int64>, neither numbers nor text"):
        load_parquet(tmp_path, {**COLUMNS, "list": [[1, 2]] * N})


def test_data_too_large_for_every_worker_is_refused_unless_asked_for(tmp_path, machine):
    machine(16 * (N * 6 * 4 - 1))
    with pytest.raises(InputError, match="python -m pipeline convert dataset=csv"):
        load_csv(tmp_path, text(COLUMNS))
    assert len(load_csv(tmp_path, text(COLUMNS), memory="always").train) == 36


def test_a_run_prints_the_columns_once_and_keeps_them_with_the_model(tmp_path):
    wide = {f"column {i}": LENGTH for i in range(2500)}  # more than 64 kB of names, which HDF5 once could not hold
    (tmp_path / "table.csv").write_text(text({**COLUMNS, **wide}))
    data = ("dataset=csv", "dataset.file=table.csv", "dataset.label=species")
    result = here(*TINY[1:], *data, "tracking=none", "executor=inline", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("data: 48 + 6 + 6 examples (train, validation, test) of 2506 float32, 2 classes")
    assert lines[1:4] == [
        "  length     number: 0 to 14.75",
        "  color      category: blue, green, red",
        "  wild       true or false",
    ]
    assert "  and 2,465 more" in lines
    [model] = tmp_path.glob("outputs/runs/*/model.h5")
    with h5py.File(model) as file:
        found = json.loads(file.attrs["data_attributes"])
    assert found["features"][:4] == ["length", "color=blue", "color=green", "color=red"]
    assert len(found["columns"]) == 2505


@pytest.mark.slow
def test_a_sweep_tells_of_data_once_however_many_arms(tmp_path):
    (tmp_path / "table.csv").write_text(text(COLUMNS))
    data = ("dataset=csv", "dataset.file=table.csv", "dataset.label=species")
    sweep = ("-m", "optimizer=adam,sgd", "sweep.n_trials=2", "sweep.max_tier=1", "tracking=none")
    result = here(*sweep, *TINY[1:], *data, "executor=inline", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("data: ") == result.stdout.count("category: blue, green, red") == 1
