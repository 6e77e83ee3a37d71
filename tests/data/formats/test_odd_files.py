"""Files as people have them: compressed, in Keras' layout, with a member that nobody can read, with a quantity."""

import bz2
import gzip
import lzma
import shlex
import subprocess
import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.cli.views.tree import Tree
from pipeline.data.formats import file, hdf5, images, npy, npz, tables
from pipeline.data.formats.reader import reader_of
from pipeline.errors import InputError

N = 40
X, Y = np.arange(2 * N, dtype=np.float32).reshape(N, 2), np.arange(N) % 2
COMMON = {"validation": None, "test": None, "validation_fraction": 0.2, "test_fraction": 0.2, "memory": "auto"}
COMMON |= {"seed": 0}


@pytest.mark.parametrize(("packed", "command"), [(gzip, "gunzip"), (bz2, "bunzip2"), (lzma, "unxz")])
@pytest.mark.parametrize("read", [tables.read, npz.read, npy.read, hdf5.read])
def test_a_compressed_file_is_to_be_unpacked(tmp_path, packed, command, read):
    path = tmp_path / "my table.csv.gz"
    path.write_bytes(packed.compress(b"a,label\n1,cat\n"))
    with pytest.raises(InputError) as raised:
        read(path)
    assert str(raised.value) == f"{path}: it is compressed; unpack it first: {command} '{path}'"


def settings(message):
    """The values that the words of a message give, by their keys."""
    words = [word for word in shlex.split(message) if word.startswith("dataset.")]
    parsed = [OverridesParser.create().parse_override(word) for word in words]
    values = {}
    for override in parsed:
        part, _, key = override.key_or_group.removeprefix("dataset.").rpartition(".")
        values.setdefault(part, {})[key] = override.value()
    return values


@pytest.mark.parametrize("name", ["npz", "hdf5"])
@pytest.mark.parametrize("between", ["_", "/"])
def test_of_keras_layout_the_keys_are_named_as_they_are_to_be_given(tmp_path, write, name, between):
    arrays = {f"x{between}train": X, f"y{between}train": Y, f"x{between}test": X[:10] + 1, f"y{between}test": Y[:10]}
    if name == "npz":
        path, read, keys = tmp_path / "t.npz", npz.npz, {"inputs": "x", "labels": "y"}
        np.savez(path, **arrays)
    else:
        path, read, keys = write("t.h5", **arrays), hdf5.hdf5, {"inputs": None, "labels": None}
    with pytest.raises(InputError, match=r"Give dataset.inputs=") as raised:
        read(file=str(path), **COMMON, **keys)
    given = settings(str(raised.value))
    assert given.keys() == {"", "test"}
    splits = read(file=str(path), **COMMON | given.pop("") | given)
    assert [len(part) for part in splits.parts.values()] == [32, 8, 10]
    np.testing.assert_array_equal(splits.test.inputs.load(), X[:10] + 1)


def test_keys_are_not_guessed_where_parts_are_not_known(tmp_path):
    np.savez(tmp_path / "t.npz", x_a=X, y_a=Y, x_b=X, y_b=Y)
    with pytest.raises(InputError, match=r"Arrays: x_a, y_a, x_b, y_b\.$"):
        npz.npz(file=str(tmp_path / "t.npz"), inputs="x", labels="y", **COMMON)


def test_a_dataset_of_a_type_that_numpy_has_not_hides_no_other(write):
    path = write("t.h5", inputs=X, labels=Y)
    with h5py.File(path, "a") as file:
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"stamp", h5py.h5t.UNIX_D32LE, space)
    assert len(hdf5.hdf5(file=str(path), inputs=None, labels=None, **COMMON).train) == 24
    with h5py.File(path) as file:
        items = {item.name: item.dtype for item in Tree.of(file).items}
    assert items == {"inputs": "float32", "labels": "int64", "stamp": "(unreadable)"}
    with pytest.raises(InputError, match="stamp holds values of a type that can't be read, not numbers"):
        hdf5.read(path, inputs="stamp", survey=True)


@pytest.mark.parametrize("read", [tables.csv, npz.npz])
def test_a_quantity_can_not_be_predicted(tmp_path, read):
    if read is npz.npz:
        path, keys = tmp_path / "t.npz", {"inputs": "x", "labels": "y"} | COMMON
        np.savez(path, x=X, y=np.arange(N))
    else:
        path, keys = tmp_path / "t.csv", {"label": "price", "drop": [], "categorical": [], "missing": "error"} | COMMON
        del keys["validation"], keys["test"]
        path.write_text("a,price\n" + "".join(f"{i % 7},{100 + 13 * i}\n" for i in range(N)))
    with pytest.raises(InputError, match=r"for each of the 40 classes. If it is a quantity: that can't be predicted"):
        read(file=str(path), **keys)


def test_a_member_that_is_no_array_hides_no_other(tmp_path):
    path, keys = tmp_path / "t.npz", COMMON | {"inputs": "x", "labels": "y"}
    np.savez(path, x=X, y=Y)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("odd.npy", b"no array of NumPy")
        file.writestr("readme.txt", b"text")
    assert len(npz.npz(file=str(path), **keys).train) == 24
    assert npz.in_parts(path) == {"x": {"inputs": "x", "labels": "y"}}
    with pytest.raises(InputError, match=r"t\.npz: .*(magic|odd)"):
        npz.npz(file=str(path), **keys | {"inputs": "odd"})


def test_an_array_of_python_objects_hides_no_other(tmp_path):
    np.savez(tmp_path / "t.npz", a=X, meta=np.array([{"a": 1}], object))
    with pytest.raises(InputError, match=r"meta holds Python objects.*\. It holds a \(40, 2\), but"):
        npz.read(tmp_path / "t.npz", survey=True)
    np.savez(tmp_path / "t.npz", x=X, y=Y, meta=np.array([{"a": 1}], object))
    assert len(npz.read(tmp_path / "t.npz", inputs="x", labels="y", survey=True)) == N


ENUM = h5py.enum_dtype({"cat": 0, "dog": 1}, "i1")
CODES = h5py.enum_dtype({"no": 5, "yes": 9}, "i4")


@pytest.mark.parametrize(
    ("labels", "names"),
    [(Y.astype(ENUM), ("cat", "dog")), ((5 + 4 * Y).astype(CODES), ("no", "yes")), (Y.astype(bool), ("0", "1"))],
)
def test_the_names_of_an_enumeration_are_those_of_the_classes(write, labels, names):
    splits = hdf5.hdf5(file=str(write("t.h5", x=X, y=labels)), **COMMON, inputs="x", labels="y")
    assert splits.class_names == names
    np.testing.assert_array_equal(splits.train.labels, splits.train.inputs.load()[:, 0] // 2 % 2)


@pytest.mark.parametrize("swapped", [False, True])
def test_numbers_that_have_names_are_labels_beside_names(write, swapped):
    """An enumeration that counts from 0 beside one that does not."""
    dense = h5py.enum_dtype({"no": int(swapped), "yes": int(not swapped)}, "i1")
    gaps = write("gaps.h5", x=X, y=(5 + 4 * Y).astype(CODES))
    other = write("dense.h5", x=X, y=(Y ^ swapped).astype(dense))
    keys = COMMON | {"inputs": "x", "labels": "y"}
    for train, test in ((gaps, other), (other, gaps)):
        splits = hdf5.hdf5(file=str(train), **keys | {"test": {"file": str(test)}})
        assert set(splits.class_names) == {"no", "yes"}
        assert [splits.class_names[label] for label in splits.test.labels] == [("no", "yes")[y] for y in Y]


TABLE = {"drop": [], "categorical": [], "missing": "error", "validation_fraction": 0.2, "test_fraction": 0.2}
TABLE |= {"memory": "auto", "seed": 0, "label": "label"}


@pytest.mark.parametrize("heading", ["größe", "size"])
def test_text_that_is_not_utf_8_is_to_be_converted(tmp_path, heading):
    path = tmp_path / "t.csv"
    rows = "".join(f"{i},{('Köln', 'Bern')[i % 2]},{'ab'[i % 2]}\n" for i in range(N))
    path.write_bytes(f"{heading},place,label\n{rows}".encode("latin-1"))
    with pytest.raises(InputError) as raised:
        tables.csv(file=str(path), **TABLE)
    command = str(raised.value).partition("convert it, of Latin-1 for example: ")[2].split("> utf8.csv")[0]
    converted = subprocess.run(shlex.split(command), capture_output=True, check=True).stdout
    path.write_bytes(converted)
    assert f"{heading}" in tables.csv(file=str(path), **TABLE).attributes["columns"]
    assert "place=Köln" in tables.csv(file=str(path), **TABLE).attributes["features"]


def test_what_is_no_text_is_not_to_be_converted(tmp_path):
    np.save(tmp_path / "t.npy", X)
    with pytest.raises(InputError, match=r"not a readable CSV file in UTF-8 \([^;]*\)\.$"):
        tables.csv(file=str(tmp_path / "t.npy"), **TABLE)


def test_text_that_parquet_keeps_as_bytes_is_text(tmp_path):
    words = [(b"ab", b"cd")[i % 2] for i in range(N)]
    table = pa.table({"x": X[:, 0], "s": pa.array(words, pa.binary()), "label": pa.array(words, pa.binary())})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    splits = tables.parquet(file=str(tmp_path / "t.parquet"), **TABLE)
    assert splits.class_names == ("ab", "cd")
    assert splits.attributes["features"] == ["x", "s=ab", "s=cd"]


@pytest.mark.parametrize("name", ["t.parquet", "t"])
def test_a_folder_of_parquet_files_is_one_table(tmp_path, name):
    table = pa.table({"x": X[:, 0], "label": ["ab"[i % 2] for i in range(N)], "year": [2000 + i % 4 for i in range(N)]})
    pyarrow.parquet.write_to_dataset(table, tmp_path / name, partition_cols=["year"])
    splits = tables.parquet(file=str(tmp_path / name), **TABLE)
    assert splits.attributes["features"] == ["x", "year"]
    rows = np.concatenate([part.inputs.load() for part in splits.parts.values()])
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], np.stack([X[:, 0], 2000 + np.arange(N) % 4], 1))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cat/0.png", "dog/0.png"], images.read),
        (["cat/0.png", "dog/0.png", "metadata.parquet"], images.read),  # as others publish images
        (["year=1/a.parquet", "year=2/a.parquet", "_SUCCESS"], tables.read),
        ([], images.read),
    ],
)
def test_the_reader_of_a_folder_is_that_of_the_files_in_it(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    formats = {name: f"pipeline.data.formats.{name}.read" for name in ("images", "tables")}
    assert reader_of(tmp_path, formats) is expected


@pytest.mark.parametrize(("columns", "lacks", "has"), [(["x", "label", "z"], "2020", "2021"), (["x"], "2021", "2020")])
def test_the_files_of_a_folder_have_the_same_columns(tmp_path, columns, lacks, has):
    values = {"x": X[:, 0], "label": ["ab"[i % 2] for i in range(N)], "z": X[:, 1]}
    for year, names in (("2020", ["x", "label"]), ("2021", columns)):
        (tmp_path / f"year={year}").mkdir()
        pyarrow.parquet.write_table(pa.table({n: values[n] for n in names}), tmp_path / f"year={year}/t.parquet")
    column = "z" if "z" in columns else "label"
    files = {year: f"{tmp_path}/year={year}/t.parquet" for year in (lacks, has)}
    with pytest.raises(InputError) as raised:
        tables.parquet(file=str(tmp_path), **TABLE)
    assert str(raised.value).startswith(f"{files[lacks]}: lacks the column {column!r}, which {files[has]} has;")


def test_of_another_table_to_test_on_incomplete_rows_are_left_out_and_what_is_ignored_is_said(tmp_path):
    (tmp_path / "t.csv").write_text("a,label\n" + "".join(f"{i},{'xy'[i % 2]}\n" for i in range(N)))
    (tmp_path / "u.csv").write_text("more,label,a\n1,x,5\n2,y,\n3,,7\n4,y,8\n")
    values = {**file.DEFAULTS, "label": "label", "format": "auto", "validation": None, "seed": 0, "memory": "auto"}
    values |= {"validation_fraction": 0.2, "test_fraction": 0.2, "test": {"file": str(tmp_path / "u.csv")}}
    formats = {"table": "pipeline.data.formats.tables.read"}
    with pytest.raises(InputError, match="the column 'a' has no value in row 2 of 4"):
        file.file(file=str(tmp_path / "t.csv"), formats=formats, **values)
    splits = file.file(file=str(tmp_path / "t.csv"), formats=formats, **values | {"missing": "drop"})
    np.testing.assert_array_equal(splits.test.inputs.load()[:, 0], [5, 8])
    assert splits.warnings == [f"{tmp_path}/u.csv: ignored are more, which are no inputs of this model."]
    assert splits.train.inputs.shape == (32, 1)
