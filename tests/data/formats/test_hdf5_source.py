"""HDF5 files that can't be trained on, and what is said of each; and those that can."""

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from pipeline.data.formats import hdf5 as source
from pipeline.data.input_pipeline import training_batches
from pipeline.data.splits import Splits
from pipeline.data.stream.stored import Stored
from pipeline.errors import InputError
from pipeline.training.trial import identity
from tests.conftest import PATIENCE, ROOT
from tests.workers import jobs

N, SHAPE = 40, (3, 2)
INPUTS = np.random.default_rng(0).normal(size=(N, *SHAPE)).astype(np.float32)
LABELS = np.arange(N) % 4
WORDS = np.array([b"cat", b"dog", b"emu", b"fox"])[LABELS]
HALF = {"validation_fraction": 0.2, "test_fraction": 0.2}


def load(path, **settings):
    places = {"inputs": "inputs", "labels": "labels", "validation": {}, "test": {}}
    return source.hdf5(**{"file": str(path), **places, **HALF, "memory": "auto", "seed": 0, **settings})


def pair(file, inputs=INPUTS, labels=LABELS):
    for key, value in (("inputs", inputs), ("labels", labels)):
        if value is not None:
            file[key] = value


def only(**changes):
    """A good file but for `inputs` or `labels`: an array, or what makes the dataset."""

    def fill(file):
        for key, value in {"inputs": INPUTS, "labels": LABELS, **changes}.items():
            if callable(value):
                value(file, key)
            elif value is not None:
                file[key] = value

    return fill


def dataset(shape, dtype="f4", **settings):
    return lambda file, key: file.create_dataset(key, shape, dtype, **settings)


def other(inputs, labels=None):
    """A good training part and another under vx and vy."""

    def fill(file):
        pair(file)
        file["vx"] = inputs
        if labels is not None:
            file["vy"] = labels

    return fill


def half_written(file, key):
    file.create_dataset(key, (N, 2), chunks=(5, 2))[:20] = 1


def with_attributes(**attributes):
    def fill(file):
        pair(file, labels=attributes.pop("labels", LABELS))
        file.attrs.update(attributes)

    return fill


def bad_row(value, row=7):
    array = INPUTS.copy()
    array[row, 1, 1] = value
    return array


def label(value, dtype=np.float64):
    array = LABELS.astype(dtype)
    array[5] = value
    return array


OWN = {"validation": {"inputs": "vx", "labels": "vy"}}
GAP = "number the classes from 0 without gaps"
NOT_THERE = "there is no dataset 'inputs' for the inputs; "
ENDED = "it was not written to its end. Write it again."
# what is wrong: (the file, settings, what the message must say after the file's name)
BAD = {
    # keys
    "no inputs": (only(inputs=None), {}, NOT_THERE + "name one of these: labels."),
    "no labels": (only(labels=None), {}, "there is no dataset 'labels' for the labels; name one of these: inputs."),
    "nothing": (lambda file: None, {}, NOT_THERE + "the file has no datasets at all."),
    "a typo": (pair, {"inputs": "imputs"}, "name one of these: inputs, labels. Did you mean 'inputs'?"),
    "a group": (only(inputs=lambda f, k: f.create_dataset(k + "/x", data=1)), {}, "'inputs' is a group, not a dataset"),
    "the root": (pair, {"inputs": "/"}, "'/' is a file, not a dataset for the inputs"),
    "no key": (pair, {"labels": ""}, "there is no dataset '' for the labels; name one of these: inputs, labels."),
    "upwards": (pair, {"inputs": "../inputs"}, "there is no dataset '../inputs' for the inputs"),
    "down and up": (pair, {"inputs": "x/../inputs"}, "there is no dataset 'x/../inputs' for the inputs"),
    "a null byte": (pair, {"inputs": "in\0puts"}, "there is no dataset 'in\\x00puts' for the inputs"),
    "a link to nowhere": (only(inputs=h5py.SoftLink("/x")), {}, NOT_THERE + "name one of these: labels."),
    "a link to itself": (only(inputs=h5py.SoftLink("/inputs")), {}, NOT_THERE + "name one of these: labels."),
    "a type": (only(inputs=np.dtype("f4")), {}, "'inputs' is a datatype, not a dataset for the inputs"),
    # what the inputs are
    "text": (only(inputs=np.array([[b"a", b"b"]] * N)), {}, "inputs holds text, not numbers; name the key"),
    "lists": (only(inputs=dataset((N, 2), h5py.vlen_dtype("f4"))), {}, "inputs holds lists, each of its own length"),
    "references": (only(inputs=dataset((N, 2), h5py.ref_dtype)), {}, "inputs holds references, not numbers"),
    "regions": (only(inputs=dataset((N, 2), h5py.regionref_dtype)), {}, "inputs holds references, not numbers"),
    "complex numbers": (only(inputs=INPUTS.astype("c8")), {}, "inputs holds complex64, not numbers"),
    "bytes": (only(inputs=np.zeros((N, 2), "V5")), {}, "inputs holds |V5, not numbers"),
    "records": (only(inputs=np.zeros((N, 2), [("a", "f4")])), {}, "inputs holds records, not numbers"),
    "times": (only(inputs=np.zeros((N, 2), "M8[s]").astype(h5py.opaque_dtype("M8[s]"))), {}, "holds datetime64[s]"),
    # shapes
    "no rows": (only(inputs=INPUTS[:0], labels=LABELS[:0]), {}, "inputs is empty; write the inputs into it"),
    "empty rows": (only(inputs=np.zeros((N, 0))), {}, "inputs is empty; write the inputs into it, or name another key"),
    "no labels in it": (only(labels=LABELS[:0]), {}, "labels is empty; write the labels into it, or name another key"),
    "null": (only(inputs=h5py.Empty("f4")), {}, "inputs is empty"),
    "null labels": (only(labels=h5py.Empty("i4")), {}, "labels is empty"),
    "a scalar": (only(inputs=1.0), {}, "inputs is a single value; inputs are rows, one an example. Name another key."),
    "a scalar label": (only(labels=1), {}, "labels is a single value; labels are rows, one an example."),
    "one axis": (only(inputs=INPUTS[:, 0, 0]), {}, "inputs has the shape (40,); inputs are [n, ...], a row an example"),
    "too few labels": (only(labels=LABELS[1:]), {}, "labels has the shape (39,), but inputs has 40 rows"),
    "too many labels": (only(labels=np.r_[LABELS, 0]), {}, "labels has the shape (41,), but inputs has 40 rows"),
    "one-hot labels": (only(labels=np.eye(4)[LABELS]), {}, "store the number of the class instead"),
    "rows last": (only(inputs=np.moveaxis(INPUTS, 0, -1)), {}, "labels has the shape (40,), but inputs has 3 rows"),
    # values
    "nan": (
        only(inputs=bad_row(np.nan)),
        {},
        "inputs has values that are not finite as float32, first in row 7; remove",
    ),
    "infinity": (only(inputs=bad_row(-np.inf, 39)), {}, "not finite as float32, first in row 39; remove or replace"),
    "half a nan": (only(inputs=bad_row(np.nan).astype("f2")), {}, "not finite as float16, first in row 7"),
    "too large": (only(inputs=bad_row(1).astype("f8") * 1e300), {}, "not finite as float32, first in row 0"),
    # labels
    "labels -1": (only(labels=LABELS - 1), {}, "labels has the label -1; number the classes from 0."),
    "labels from 1": (only(labels=LABELS + 1), {}, "labels has labels up to 4, but none is 0; " + GAP),
    "labels 0, 10, 20": (only(labels=10 * LABELS), {}, "labels has labels up to 30, but none is 1; " + GAP),
    "one label of a billion": (only(labels=label(10**9, "i8")), {}, "labels up to 1000000000, but none is 4; " + GAP),
    "one label of 2**64": (only(labels=label(2**64 - 1, "u8")), {}, "labels up to 18446744073709551615, but none is 4"),
    "one label of 1e300": (only(labels=label(1e300)), {}, "labels has labels up to 1e+300, but none is 4; " + GAP),
    "halves": (
        only(labels=LABELS + 0.5),
        {},
        "labels has labels that are not whole numbers; number the classes from 0",
    ),
    "a label nan": (only(labels=label(np.nan)), {}, "labels has labels that are not whole numbers"),
    "an infinite label": (only(labels=label(np.inf)), {}, "labels has labels that are not whole numbers"),
    "one class": (only(labels=0 * LABELS), {}, "labels has one class only, 0; wanted are at least two."),
    "one word": (only(labels=np.array([b"cat"] * N)), {}, "labels has one class only, cat; wanted are at least two."),
    "a rare class": (
        only(labels=np.r_[np.zeros(39, int), 1]),
        {},
        "labels: the class '1' has 1 example; it needs at least 3",
    ),
    "too few examples": (
        only(inputs=INPUTS[:4], labels=[0, 1, 0, 1]),
        {},
        "labels: dataset.validation_fraction=0.2 and",
    ),
    "complex labels": (
        only(labels=LABELS.astype("c8")),
        {},
        "labels holds complex64; labels are whole numbers from 0, or",
    ),
    "labels of records": (
        only(labels=np.zeros(N, [("a", "f4")])),
        {},
        "labels holds records; labels are whole numbers",
    ),
    "labels of references": (
        only(labels=dataset((N,), h5py.ref_dtype)),
        {},
        "labels holds references; labels are whole",
    ),
    "labels of lists": (only(labels=dataset((N,), h5py.vlen_dtype("i4"))), {}, "labels holds lists, each of its own"),
    "text of another code": (
        only(labels=np.array([b"caf\xe9", b"tea"])[LABELS % 2]),
        {},
        "labels holds text that is not UTF-8; store the numbers of the classes.",
    ),
    # class names
    "too few names": (
        with_attributes(class_names=["a", "b"]),
        {},
        "labels has the label 3; the 2 classes have the num",
    ),
    "a name twice": (
        with_attributes(class_names=["a", "b", "a", "c"]),
        {},
        "its class names have 'a' twice; give every",
    ),
    "an unknown word": (
        with_attributes(class_names=["cat", "dog"], labels=WORDS),
        {},
        "labels has the label 'emu', which is none of the classes cat, dog.",
    ),
    # parts in places of their own
    "no such part": (pair, OWN, "there is no dataset 'vx' for the inputs; name one of these: inputs, labels."),
    "labels of another part": (
        other(INPUTS[:9]),
        {"test": {"inputs": "vx"}},
        "labels has the shape (40,), but vx has 9",
    ),
    "other shapes": (
        other(INPUTS[:, 0], LABELS),
        OWN,
        "vx (validation) has examples of (2,), those to train on are (3, 2)",
    ),
    "other classes": (other(INPUTS, LABELS + 3), OWN, "labels: the class '4' has 0 examples; it needs at least 2"),
    "words for numbers": (
        other(INPUTS, WORDS),
        OWN,
        "vy holds text, but the labels to train on are numbers; store both",
    ),
    "another kind of numbers": (
        other(np.arange(54).reshape(9, *SHAPE), LABELS[:9]),
        OWN,
        "vx (validation) holds whole numbers, but the inputs to train on are floats; store both alike, on the same",
    ),
    "the training part again": (
        pair,
        {"test": {"inputs": "/inputs/", "labels": "labels"}},
        "/inputs/ is to be the test part and the training part; name other examples as dataset.test.file or .inputs",
    ),
    "nan in a part": (
        other(bad_row(np.nan), LABELS),
        OWN,
        "vx has values that are not finite as float32, first in row 7",
    ),
    # less in it than it says
    "not written": (only(inputs=dataset((N, 2))), {}, "inputs has 0 of its 320 bytes: " + ENDED),
    "no chunk written": (only(inputs=dataset((N, 2), chunks=(5, 2))), {}, "inputs has 0 of its 8 chunks: " + ENDED),
    "half written": (only(inputs=half_written), {}, "inputs has 4 of its 8 chunks: " + ENDED),
    "labels not written": (only(labels=dataset((N,), "i4")), {}, "labels has 0 of its 160 bytes: " + ENDED),
    "64 GiB": (only(inputs=dataset((2**34, 4), "u1")), {}, "inputs has 0 of its 68719476736 bytes: " + ENDED),
    "64 GiB in chunks": (
        only(inputs=dataset((2**34, 4), "u1", chunks=(2**20, 4)), labels=dataset((2**34,), "u1", chunks=(2**20,))),
        {},
        "inputs has 0 of its 16384 chunks: " + ENDED,
    ),
    # other files
    "external link": (only(inputs=h5py.ExternalLink("/etc/passwd", "/x")), {}, "'inputs' is a link to another file"),
    "external storage": (
        only(inputs=dataset((N, 2), "u1", external=[("/etc/passwd", 0, 80)])),
        {},
        "'inputs' keeps its data in another file, which is not read; copy it here.",
    ),
    "a soft link to an external one": (
        only(inputs=h5py.SoftLink("/x/y"), x=h5py.ExternalLink("o.h5", "/")),
        {},
        "'x' is a link to another file, which is not followed; copy the data here.",
    ),
}


def virtual(file):
    layout = h5py.VirtualLayout(shape=(N, 2), dtype="f4")
    layout[:] = h5py.VirtualSource("o.h5", "x", shape=(N, 2))
    file.create_virtual_dataset("inputs", layout)
    file["labels"] = LABELS


BAD["virtual"] = (virtual, {}, "'inputs' keeps its data in another file, which is not read")


def refused(path, **settings):
    """The message, which is one line that begins with the file."""
    with pytest.raises(InputError) as raised:
        load(path, **settings)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_said_by_file_key_and_what_to_do(tmp_path, name):
    fill, settings, message = BAD[name]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        fill(file)
    found = refused(tmp_path / "x.h5", **settings)
    assert message in found
    refused(tmp_path / "x.h5", **settings, memory="never")


@pytest.fixture
def good(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        pair(file)
        file.attrs["class_names"] = ["a", "b", "c", "d"]
    return tmp_path / "x.h5"


FILES = {
    "empty": lambda raw: b"",
    "text": lambda raw: b"inputs,labels\n1,2\n",
    "cut at a half": lambda raw: raw[: len(raw) // 2],
    "cut at its last byte": lambda raw: raw[:-1],
    "only a signature": lambda raw: raw[:8],
    "something else in front": lambda raw: b"#" * 100 + raw,
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_hdf5_file_is_refused(good, name):
    good.write_bytes(FILES[name](good.read_bytes()))
    assert re.match(r"not a readable HDF5 file \(.+\)\. Use another copy\.", refused(good))


def test_a_file_that_is_missing_or_a_folder(tmp_path):
    assert refused(tmp_path / "none.h5") == "there is no such file."
    assert refused(tmp_path) == "it is a folder, not a file."


def test_a_damaged_chunk_is_said_by_its_rows_before_training(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("inputs", data=INPUTS, chunks=(10, *SHAPE), compression="gzip")
        file["labels"] = LABELS
        place = file["inputs"].id.get_chunk_info(2).byte_offset
    load(tmp_path / "x.h5")
    with (tmp_path / "x.h5").open("r+b") as file:
        file.seek(place + 20)
        file.write(b"\xff" * 8)
    assert re.match(r"rows 0 to 39 of inputs can't be read \(.*\)\. Use another copy\.", refused(tmp_path / "x.h5"))


def test_a_declared_shape_is_no_more_than_the_file_holds(tmp_path):
    """A small file whose header says that 64 GiB lie in it: the number of rows and of bytes are patched."""
    rows, claimed = 997, 2**33
    with h5py.File(tmp_path / "x.h5", "w") as file:
        pair(file, np.ones((rows, 8), "u1"), np.zeros(rows, "u1"))
    raw = (tmp_path / "x.h5").read_bytes()
    for small, large in ((rows, claimed), (rows * 8, claimed * 8)):
        raw = raw.replace(small.to_bytes(8, "little"), large.to_bytes(8, "little"))
    (tmp_path / "x.h5").write_bytes(raw)
    assert "not a readable HDF5 file" in refused(tmp_path / "x.h5")


HOLD = """
import sys, h5py
file = h5py.File(sys.argv[1], sys.argv[2], libver=sys.argv[3])
file.attrs["x"] = 1
file.flush()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mode", ["r+", "w"])
@pytest.mark.parametrize("locking", ["TRUE", "FALSE"])
def test_a_file_that_is_being_written(good, mode, locking):
    """Without locks, as on some file systems, newer files say so themselves."""
    with h5py.File(good, "w", libver="latest") as file:
        pair(file)
    line = [sys.executable, "-c", HOLD, str(good), mode, "latest"]
    environment = {**os.environ, "HDF5_USE_FILE_LOCKING": locking}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(line, **pipes, text=True, env=environment) as holder:
        assert holder.stdout.readline() == "open\n"
        try:
            assert refused(good) == "another program has it open for writing; wait for it, or end it."
        finally:
            holder.stdin.close()
    if mode == "r+":
        load(good)


FUZZ = """
import os, pathlib, sys, tempfile
import sklearn.model_selection  # once, and not in each child
from pipeline import crash
from pipeline.data.formats import hdf5
from pipeline.errors import InputError

def load(path):
    places = {"inputs": "inputs", "labels": "labels", "validation": {}, "test": {}}
    try:
        splits = hdf5.hdf5(
            file=str(path), **places, validation_fraction=0.2, test_fraction=0.2, memory="never", seed=0
        )
        splits.fingerprint
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and "\\n" not in str(error), error
        return "refused"
    return "loaded"

for path in sorted(pathlib.Path(sys.argv[1]).glob("*.h5")):
    print(path.name, end=" ", flush=True)
    with tempfile.TemporaryFile() as note:
        child = os.fork()
        if not child:
            crash.make_disposable(note.fileno(), 4)
            print(load(path), flush=True)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            print("refused", crash.verdict(note, -code) or f"ended by {code}", flush=True)
            assert crash.verdict(note, -code)
"""


@pytest.mark.slow
def test_80_damaged_files_are_loaded_or_refused(tmp_path):
    rng = random.Random(22)
    packed = {"chunks": (8, *SHAPE), "compression": "gzip"}
    originals = []
    for i, (settings, libver) in enumerate([(packed, None), ({}, None), (packed, "latest"), ({}, "latest")]):
        (tmp_path / "whole").mkdir(exist_ok=True)
        with h5py.File(tmp_path / f"whole/{i}.h5", "w", libver=libver) as file:
            file.create_dataset("inputs", data=INPUTS, **settings)
            file["labels"] = LABELS
            file.attrs["class_names"] = ["a", "b", "c", "d"]
        originals.append((tmp_path / f"whole/{i}.h5").read_bytes())
    for i in range(80):
        raw = bytearray(originals[i % 4])
        if i % 5 == 0:
            raw = raw[: rng.randrange(len(raw))]
        else:  # most of a small file is zeros, which say nothing
            place = rng.choice([at for at, byte in enumerate(raw) if byte] if i % 2 else range(len(raw)))
            raw[place] ^= 1 << rng.randrange(8)
        (tmp_path / f"{i:03}.h5").write_bytes(raw)
    line = [sys.executable, "-c", FUZZ, str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr
    outcomes = [text.split()[1] for text in done.stdout.splitlines()]
    assert len(outcomes) == 80
    assert 20 < outcomes.count("refused") < 60


GOOD = {
    "numbers": (LABELS, None, "0 1 2 3"),
    "uint8": (LABELS.astype("u1"), None, "0 1 2 3"),
    "booleans": (LABELS > 1, None, "0 1"),
    "whole floats": (LABELS.astype("f8"), None, "0 1 2 3"),
    "a column": (LABELS[:, None], None, "0 1 2 3"),
    "a row": (LABELS[None], None, "0 1 2 3"),
    "big end first": (LABELS.astype(">i4"), None, "0 1 2 3"),
    "an enumeration": (
        lambda f, k: f.create_dataset(k, data=LABELS, dtype=h5py.enum_dtype({"a": 0}, "i4")),
        None,
        "0 1 2 3",
    ),
    "bytes": (WORDS, None, "cat dog emu fox"),
    "text": (WORDS.astype(object), None, "cat dog emu fox"),
    "text beyond ascii": (np.array(["é".encode(), b"z"])[LABELS % 2], None, "z é"),
    "words with names": (WORDS, ["fox", "emu", "dog", "cat"], "fox emu dog cat"),
    "a list of names": (LABELS, ["a", "b", "c", "d"], "a b c d"),
    "names of bytes": (LABELS, np.array([b"a", b"b", b"c", b"d"]), "a b c d"),
    "names as json": (LABELS, json.dumps(["a", "b", "c", "d"]), "a b c d"),
    "names that are none": (LABELS, "see the paper", "0 1 2 3"),
}


@pytest.mark.parametrize("where", ["file", "inputs", "labels"])
@pytest.mark.parametrize("name", GOOD)
def test_labels_and_class_names_in_all_their_forms(tmp_path, name, where):
    labels, names, expected = GOOD[name]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        only(labels=labels)(file)
        if names is not None:
            file["/" if where == "file" else where].attrs["class_names"] = names
    splits = load(tmp_path / "x.h5")
    assert splits.class_names == tuple(expected.split())
    for split in splits.parts.values():
        assert split.labels.dtype == np.int32
        rows = [int(np.flatnonzero((example == INPUTS).all((1, 2)))[0]) for example in split.inputs]
        values = LABELS[rows] if callable(labels) else np.asarray(labels).reshape(-1)[rows]
        told = [v.decode() if isinstance(v, bytes) else splits.class_names[int(v)] for v in values]
        assert [splits.class_names[number] for number in split.labels] == told


def test_list_classes_name_the_classes_if_they_are_a_list(tmp_path):
    for classes, expected in (
        ([5, 6, 7, 8], ("5", "6", "7", "8")),
        (np.array([b"a", b"b", b"c", b"d"]), ("a", "b", "c", "d")),
        (3, ("0", "1", "2", "3")),
        ([[1, 2], [3, 4]], ("0", "1", "2", "3")),
        (dataset((2**34,), "S8"), ("0", "1", "2", "3")),  # never read
    ):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            only(list_classes=classes)(file)
        assert load(tmp_path / "x.h5").class_names == expected


def test_attributes_and_units_are_carried_as_far_as_they_are_numbers_or_text(good):
    with h5py.File(good, "r+") as file:
        kept = {"number": 3.5, "whole": 2, "numbers": [1, 2], "text": "µm", "texts": ["a", "b"], "yes": True}
        file.attrs.update(kept)
        file.attrs["bytes"] = b"mm"
        file["inputs"].attrs["units"] = "cm"
        file["inputs"].attrs["long"] = np.zeros(7000)
        for name, value in {
            "complex": 1j,
            "reference": file["inputs"].ref,
            "nothing": h5py.Empty("f4"),
            "record": np.zeros(2, [("a", "f4")]),
            "opaque": np.void(b"abc"),
        }.items():
            file.attrs[name] = value
    found = dict(load(good).attributes)
    assert found == {**kept, "bytes": "mm", "units": "cm"}
    assert json.loads(json.dumps(found)) == found  # they go into model.h5 as JSON


def test_attributes_of_one_name_are_kept_apart(good):
    with h5py.File(good, "r+") as file:
        file.attrs.update({"units": "lux", "source": "lab", "nothing": np.nan, "none": np.nan, "x.class_names": "y"})
        file["inputs"].attrs.update({"units": "counts", "source": "lab", "none": np.nan})
        file["labels"].attrs.update({"units": "species", "class_names": ["a", "b", "c", "d"]})
    found = load(good)
    expected = {
        "file.units": "lux",
        "units": "counts",
        "source": "lab",
        "labels.units": "species",
        "x.class_names": "y",
    }
    assert {k: v for k, v in found.attributes.items() if v == v} == expected
    assert {k for k, v in found.attributes.items() if v != v} == {"nothing", "none"}
    assert found.class_names == ("a", "b", "c", "d")


PLACES = {
    "keys": {"validation": {"inputs": "vx", "labels": "vy"}},
    "a file": {"test": {"file": "other.h5"}},
    "a file and keys": {
        "test": {"file": "other.h5", "inputs": "vx", "labels": "vy"},
        "validation": {"inputs": "vx", "labels": "vy"},
    },
}


@pytest.mark.parametrize("memory", ["always", "never"])
@pytest.mark.parametrize("name", PLACES)
def test_parts_may_have_places_of_their_own(tmp_path, name, memory):
    """Inputs say where they are from: 1000 and up in the other file, +0.5 under the other keys."""
    numbers = np.arange(N, dtype=np.float32)[:, None]
    for file_name, add in (("x.h5", 0), ("other.h5", 1000)):
        with h5py.File(tmp_path / file_name, "w") as file:
            pair(file, numbers + add)
            file["vx"], file["vy"] = numbers[:12] + add + 0.5, LABELS[:12]
    places = {
        part: {k: str(tmp_path / v) if k == "file" else v for k, v in place.items()}
        for part, place in PLACES[name].items()
    }
    splits = load(tmp_path / "x.h5", memory=memory, **places)
    for part in ("validation", "test"):
        place = places.get(part)
        found = splits.parts[part].inputs[:][:, 0]
        if place is None:
            assert ((found < 1000) & (found % 1 == 0)).all()
            assert not set(found) & set(splits.train.inputs[:][:, 0])
        else:
            expected = np.arange(12 if "inputs" in place else N) + 1000 * ("file" in place) + 0.5 * ("inputs" in place)
            np.testing.assert_array_equal(found, expected)
    taken = sum(len(splits.parts[part]) for part in ("validation", "test") if part not in places)
    assert len(splits.train) == N - taken


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_the_training_part_is_no_other_part_by_another_name_of_its_file(good, link):
    other = good.with_name("other.h5")
    getattr(other, link)(good)
    with pytest.raises(InputError, match="inputs is to be the validation part and the training part;"):
        load(good, validation={"file": str(other)})


@pytest.mark.parametrize(
    ("ours", "theirs", "labels", "said"),
    [
        (["cat", "dog"], ["dog", "cat"], LABELS % 2, "class 0 is 'dog', in {path} it is 'cat'"),
        (["cat", "dog"], ["cat", "dog", "emu"], LABELS % 2, "class 2 is 'emu', in {path} it is None"),
        (["cat", "dog"], ["dog", "cat"], np.array([b"cat", b"dog"])[LABELS % 2], None),  # words mean what they say
        (["cat", "dog"], None, LABELS % 2, None),
    ],
)
def test_a_number_means_one_class_in_all_parts(tmp_path, ours, theirs, labels, said):
    path, other = tmp_path / "x.h5", tmp_path / "other.h5"
    for name, names, stored in ((path, ours, LABELS % 2), (other, theirs, labels)):
        with h5py.File(name, "w") as file:
            pair(file, labels=stored)
            if names:
                file.attrs["class_names"] = names
    if said is None:
        np.testing.assert_array_equal(load(path, test={"file": str(other)}).test.labels, LABELS % 2)
    else:
        with pytest.raises(InputError) as raised:
            load(path, test={"file": str(other)})
        assert said.format(path=path) in str(raised.value)
        assert str(raised.value).startswith(f"{other}: labels has other class names")


def test_whole_numbers_of_other_sizes_are_of_one_kind(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        pair(file, INPUTS.astype(np.int64))
        file["vx"], file["vy"] = INPUTS.astype(np.uint8), LABELS
    assert len(load(tmp_path / "x.h5", **OWN).validation) == N


def test_what_training_data_says_of_itself_wins(tmp_path):
    for name in ("x.h5", "other.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            pair(file)
            file.attrs.update({"source": name, f"of {name}": 1})
    found = load(tmp_path / "x.h5", test={"file": str(tmp_path / "other.h5")}).attributes
    assert found == {"source": "x.h5", "of x.h5": 1, "of other.h5": 1}


def test_a_part_without_a_place_is_split_off(good):
    assert load(good, validation=None, test=None).fingerprint == load(good).fingerprint


def test_a_place_that_is_a_file_only_is_told_how_to_name_it(good):
    with pytest.raises(InputError) as raised:
        load(good, validation="valid.h5")
    said = "the place of a part is a file and its keys; write dataset.validation.file=valid.h5"
    assert str(raised.value) == f"dataset.validation=valid.h5: {said}"


def test_parts_by_seed_are_disjoint_complete_stratified_and_the_same_in_memory_and_in_the_file(tmp_path):
    n = 400
    with h5py.File(tmp_path / "x.h5", "w") as file:
        pair(file, np.arange(n, dtype=np.float32)[:, None], np.arange(n) % 4)
    rows = {}
    for memory in ("always", "never"):
        splits = load(tmp_path / "x.h5", memory=memory, seed=3)
        assert splits.streamed == (memory == "never")
        rows[memory] = {name: split.inputs[:][:, 0].astype(int) for name, split in splits.parts.items()}
        found = rows[memory]
        assert {name: len(r) for name, r in found.items()} == {"train": 240, "validation": 80, "test": 80}
        assert sorted(np.concatenate(list(found.values()))) == list(range(n))
        for name, split in splits.parts.items():
            np.testing.assert_array_equal(split.labels, found[name] % 4)
            assert set(np.bincount(split.labels)) == {len(split) // 4}
    for name in rows["always"]:
        np.testing.assert_array_equal(rows["always"][name], rows["never"][name])
    other_seed = load(tmp_path / "x.h5", seed=4).test.inputs[:][:, 0]
    assert set(other_seed) != set(rows["always"]["test"])


def test_memory_auto_holds_small_parts_first(tmp_path, machine):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        pair(file)
    sizes = {name: split.nbytes for name, split in load(tmp_path / "x.h5").parts.items()}
    for held, total in (
        (set(), sizes["validation"] - 1),
        ({"validation"}, sizes["validation"]),
        ({"validation", "test"}, sizes["validation"] + sizes["test"]),
        ({"validation", "test", "train"}, sum(sizes.values())),
    ):
        machine(16 * total)
        splits = load(tmp_path / "x.h5")
        in_memory = {name for name, split in splits.parts.items() if not isinstance(split.inputs, Stored)}
        assert len(in_memory) == len(held), total
        assert ("train" in in_memory) == ("train" in held)


def test_bytes_stay_bytes_until_the_model_and_are_normalised_there(tmp_path):
    import keras

    from pipeline.models.layers import normalized

    images = np.random.default_rng(1).integers(0, 256, (N, 4, 4, 3)).astype(np.uint8) // np.uint8([1, 2, 4])
    with h5py.File(tmp_path / "x.h5", "w") as file:
        pair(file, images)
    for memory in ("always", "never"):
        splits = load(tmp_path / "x.h5", memory=memory)
        assert splits.train.inputs.dtype == np.uint8
        mean, variance = splits.normalization()
        inputs = keras.Input(splits.input_shape)
        model = keras.Model(inputs, normalized(inputs, mean, variance))
        out = np.asarray(model(splits.train.inputs[:].astype(np.float32)))
        np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(out.std((0, 1, 2)), 1, rtol=1e-3)
        batch = next(iter(training_batches(splits.train, batch_size=8, seed=0)))[0]
        assert batch.dtype in (np.uint8, np.float32)


def test_links_within_the_file_are_followed(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["deep/inputs"], file["labels"] = INPUTS, LABELS
        file["inputs"] = h5py.SoftLink("/deep/inputs")
        file["hard"] = file["labels"]
    splits = load(tmp_path / "x.h5", labels="hard", memory="never")
    assert len(splits.train) + len(splits.validation) + len(splits.test) == N
    load(tmp_path / "x.h5", inputs="/deep//inputs")


def test_a_fingerprint_tells_changed_rows_labels_names_and_splits(tmp_path):
    def fingerprint(inputs=INPUTS, labels=LABELS, names=None, memory="never", **settings):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            pair(file, inputs, labels)
            if names:
                file.attrs["class_names"] = names
        return load(tmp_path / "x.h5", memory=memory, **settings).fingerprint

    same = fingerprint()
    assert fingerprint() == fingerprint(memory="always") == same
    swapped = LABELS.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    changes = [
        {"inputs": bad_row(9.0)},
        {"inputs": INPUTS[::-1]},
        {"labels": swapped},
        {"names": ["a", "b", "c", "d"]},
        {"seed": 1},
        {"test_fraction": 0.3},
    ]
    assert len({fingerprint(**change) for change in changes} | {same}) == 7


def test_a_state_is_of_training_data_that_is_held_or_streamed(good):
    """They are shuffled into other batches; where the other parts are makes no difference."""
    config = jobs.config()
    held, streamed = (load(good, memory=memory) for memory in ("always", "never"))
    mixed = Splits(held.train, streamed.validation, streamed.test, held.class_names)
    assert [s.train.streamed for s in (held, streamed, mixed)] == [False, True, False]
    assert identity(config, held) == identity(config, mixed) != identity(config, streamed)


SETTINGS = [{}, {"chunks": (7, *SHAPE), "compression": "gzip"}, {"chunks": (40, 2, 2)}]


def test_a_fingerprint_of_more_than_a_sample_is_as_exact_and_the_same_wherever_data_are_held(tmp_path):

    def loaded(inputs=INPUTS, settings=SETTINGS[0], **other):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5"  # those before it are still open
        with h5py.File(path, "w") as file:
            file.create_dataset("inputs", data=inputs, **settings)
            file["labels"] = LABELS
        return replace(load(path, **other), sample_bytes=INPUTS.nbytes // 8)

    ways = [{"memory": memory, "settings": settings} for memory in ("always", "never") for settings in SETTINGS]
    splits = [loaded(**way) for way in ways]
    assert len({found.fingerprint for found in splits}) == 1
    for found in splits:  # to the bit: the weights of the first layer of a model
        np.testing.assert_array_equal(found.normalization(), splits[0].normalization())
    rows = [loaded(inputs=bad_row(9.0, row), memory="never").fingerprint for row in range(N)]
    assert (
        len({*rows, splits[0].fingerprint, loaded(seed=1).fingerprint, loaded(test_fraction=0.3).fingerprint}) == N + 3
    )


def test_a_large_part_is_read_for_its_fingerprint_once_a_version_of_its_file(good):
    first = replace(load(good, memory="never"), sample_bytes=10).fingerprint
    splits = replace(load(good, memory="never"), sample_bytes=10)
    os.utime(good, ns=(1, 1))
    assert splits.fingerprint == first
    with pytest.raises(InputError, match="the file changed after training on it began"):
        splits.train.inputs.load()


def test_what_was_read_through_is_not_read_again_until_the_file_changes(good):
    load(good, memory="never")
    before = good.stat()
    with h5py.File(good, "r+") as file:
        file["inputs"][7] = np.nan
    os.utime(good, ns=(before.st_atime_ns, before.st_mtime_ns))
    load(good, memory="never")  # for all that is asked of it, the file is the same
    good.touch()
    assert "first in row 7" in refused(good)
    assert "first in row 7" in refused(good)  # and a bad one is never remembered as good
