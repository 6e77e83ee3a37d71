"""`python -m pipeline convert`: any data set as an HDF5 file with the same parts."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc

import h5py
import numpy as np
import pytest

from pipeline import hdf5
from pipeline.__main__ import main
from pipeline.cli.sources.conf import chosen
from pipeline.cli.sources.words import is_override
from pipeline.data import converted
from pipeline.data.splits import Split, Splits
from pipeline.data.stream.stored import Stored
from pipeline.errors import InputError
from tests.cli.conftest import wrong
from tests.conftest import PATIENCE, ROOT, TINY, here


def load(path, *overrides):
    return chosen(["dataset=hdf5", f"dataset.file={path}", *overrides])[0]


def same(a, b):
    assert (a.class_names, dict(a.attributes), a.fingerprint) == (b.class_names, dict(b.attributes), b.fingerprint)
    for name, part in a.parts.items():
        np.testing.assert_array_equal(part.inputs[:], b.parts[name].inputs[:])
        np.testing.assert_array_equal(part.labels, b.parts[name].labels)
        assert part.inputs[:].dtype == b.parts[name].inputs.dtype


@pytest.mark.parametrize(
    "words", [["dataset=digits"], ["dataset=digits", "seed=3"], ["dataset=spirals", "dataset.turns=2"]]
)
@pytest.mark.parametrize("memory", ["always", "never"])
def test_the_file_gives_back_the_same_parts(run, tmp_path, words, memory):
    done = run("convert", *words, tmp_path / "out.h5")
    assert (done.status, done.err) == (0, "")
    same(load(tmp_path / "out.h5", f"dataset.memory={memory}"), chosen(words)[0])


@pytest.mark.slow
def test_the_printed_command_trains_as_the_data_set_itself(run, tmp_path):
    out = tmp_path / "a b's.h5"
    done = run("convert", "dataset=blobs", out)
    words = shlex.split(done.out.splitlines()[-1].partition("train on it:")[2])
    assert words[:3] == ["python", "run.py", "dataset=hdf5"]
    short = (*TINY[1:-1], "train.epochs=1", "tracking=none", "executor=inline")
    results = [here(*data, *short, cwd=tmp_path) for data in (words[2:], ["dataset=blobs"])]
    ends = [[line for line in r.stdout.splitlines() if line.startswith("best epoch")] for r in results]
    assert ends[0] == ends[1] != [], results[0].stderr


@pytest.mark.parametrize(
    ("options", "filters", "rows"),
    [
        ([], ("gzip", 1, True), 1437),
        (["--compression", "lzf"], ("lzf", None, True), 1437),
        (["--compression=none"], (None, None, False), 1437),
        (["--chunk-mb", "0.01"], ("gzip", 1, True), 40),  # of 256 bytes
        (["--chunk-mb", "0.000001"], ("gzip", 1, True), 1),
    ],
)
def test_the_file_is_chunked_compressed_described_and_sealed(run, tmp_path, options, filters, rows):
    out = tmp_path / "out.h5"
    assert run("convert", "dataset=digits", *options, out, "dataset.test_fraction=0.1").status == 0
    with h5py.File(out) as file:
        inputs = file["train/inputs"]
        assert (inputs.compression, inputs.compression_opts, inputs.shuffle) == filters
        assert inputs.chunks == (rows, 8, 8, 1)
        assert json.loads(file.attrs["class_names"]) == list("0123456789")
        source = json.loads(file.attrs["caviar_source"])
        assert (source["dataset"]["_target_"], source["seed"]) == ("pipeline.data.sets.digits.digits", 0)
        assert {"caviar_created", "caviar_versions"} <= set(file.attrs)
        counts = sum(group.attrs["examples_per_class"] for group in file.values())
        assert counts.sum() == 1797 and len(counts) == 10
        assert hdf5.checksum(file) == hdf5.INTACT
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]


def tiny(inputs, attributes=None, names=("no", "yes")):
    part = Split(inputs, (np.arange(len(inputs)) % 2).astype(np.int32))
    return Splits(part, part, part, names, attributes or {})


def write(splits, path, advance=lambda n: None, **options):
    converted.write(splits, path, **({"compression": "gzip", "chunk_mb": 1, "about": {}} | options), advance=advance)


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [("u1", "u1"), ("i2", "i2"), ("f2", "f2"), ("f4", "f4"), ("f8", "f4"), ("i8", "f4"), ("?", "u1"), (">f4", "f4")],
)
def test_numbers_are_kept_as_they_are_trained_on(tmp_path, dtype, becomes):
    inputs = np.arange(12).reshape(6, 2).astype(dtype)
    write(tiny(inputs), tmp_path / "out.h5")
    found = load(tmp_path / "out.h5").train.inputs
    assert found.dtype == np.dtype(becomes)
    np.testing.assert_array_equal(found, inputs.astype(becomes))


def test_attributes_of_any_kind_come_back(tmp_path):
    attributes = {
        "units": "mm",
        "n": 3,
        "scale": 0.5,
        "columns": [{"name": "a", "type": "number"}],
        "flat": [1, 2],
        "odd": "[not JSON",
        "quoted": '"x"',
        "json": '{"a": 1}',
        "long": ["x" * 50] * 2000,
        "nothing": None,
    }
    names = tuple(f"class number {i}" for i in range(6000))  # 100 kB, more than HDF5's plain attributes hold
    splits = tiny(np.zeros((6, 2), np.float32), attributes, names)
    write(splits, tmp_path / "out.h5")
    same(load(tmp_path / "out.h5"), splits)
    write(load(tmp_path / "out.h5"), tmp_path / "again.h5")
    same(load(tmp_path / "again.h5"), splits)


@pytest.mark.parametrize(("dtype", "value"), [("f4", np.nan), ("f4", np.inf), ("f8", 1e300)])
def test_values_that_are_not_finite_are_refused(tmp_path, dtype, value):
    inputs = np.zeros((6, 2), dtype)
    inputs[4, 1] = value
    with pytest.raises(InputError, match="train: example 4 has values that are not finite"):
        write(tiny(inputs), tmp_path / "out.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_data_larger_than_the_memory_that_is_used(tmp_path):
    rows = 4000
    with h5py.File(tmp_path / "large.h5", "w") as file:
        inputs = file.create_dataset("inputs", (rows, 64, 64, 3), "u1", chunks=(80, 64, 64, 3), compression="gzip")
        for start in range(0, rows, 80):
            inputs[start : start + 80] = np.full((80, 64, 64, 3), start % 251, np.uint8)
    parts = [
        Split(Stored(tmp_path / "large.h5", "inputs", r), (r % 2).astype(np.int32))
        for r in np.arange(rows).reshape(2, -1)
    ]
    splits = Splits(parts[0], parts[1], parts[1], ("even", "odd"))
    seen = []
    tracemalloc.start()
    write(splits, tmp_path / "out.h5", seen.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert splits.nbytes > 2**26  # 70 MiB; a few blocks of 8 MiB are held
    assert peak < 2**25.5
    assert sum(seen) == splits.nbytes and max(seen) < 2**24
    same(load(tmp_path / "out.h5", "dataset.memory=never"), splits)


def test_a_converted_file_is_converted_again_in_place(run, digits, tmp_path):
    out = shutil.copy(digits["gzip"], tmp_path / "out.h5")
    before = load(out)
    done = run(
        "convert", "dataset=hdf5", f"dataset.file={out}", "dataset.memory=never", out, "--force", "--compression=lzf"
    )
    assert done.status == 0, done.err
    same(load(out), before)


def test_one_part_may_come_from_another_file(run, digits, tmp_path):
    run("convert", "dataset=digits", "seed=5", tmp_path / "b.h5")
    found = load(digits["gzip"], f"dataset.test.file={tmp_path / 'b.h5'}")
    other = load(tmp_path / "b.h5")
    np.testing.assert_array_equal(found.test.inputs, other.test.inputs)
    np.testing.assert_array_equal(found.train.inputs, load(digits["gzip"]).train.inputs)


def test_named_keys_are_split_by_seed(digits):
    keys = ("dataset.inputs=train/inputs", "dataset.labels=train/labels")
    assert sum(map(len, load(digits["gzip"], *keys).parts.values())) == 1437


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The digits as a file, by its compression."""
    folder = tmp_path_factory.mktemp("digits")
    files = {compression: folder / f"{compression}.h5" for compression in ("gzip", "none")}
    for compression, path in files.items():
        assert main(["convert", "dataset=digits", "--compression", compression, str(path)]) == 0
    return files


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_flipped_bits_are_noticed_before_training(digits, tmp_path, share, compression):
    out = shutil.copy(digits[compression], tmp_path / "out.h5")
    with h5py.File(out) as file:
        chunk = file["train/inputs"].id.get_chunk_info(0)
    with out.open("r+b") as file:
        file.seek(chunk.byte_offset + int(share * chunk.size))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 4]))
    result = here("dataset=hdf5", f"dataset.file={out}", cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and str(out) in result.stderr
    assert "checksum mismatch" in result.stderr or "not a readable HDF5 file" in result.stderr
    assert not (tmp_path / "outputs/runs").exists()


def test_a_checked_file_is_not_checked_again(digits, tmp_path):
    """Until its time, size or place says that it is another: a pixel that changed behind their back is not noticed."""
    out = shutil.copy(digits["none"], tmp_path / "out.h5")
    load(out)
    before = out.stat()
    with h5py.File(out, "r+") as file:
        file["train/inputs"][0, 0, 0, 0] += 1
    with pytest.raises(InputError, match="checksum mismatch"):
        load(out)
    os.utime(out, ns=(before.st_atime_ns, before.st_mtime_ns))
    load(out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: WORD"),
        (["dataset=digits"], "one OUT.h5 is needed: python -m pipeline convert dataset=digits digits.h5"),
        (["dataset=digits", "a.h5", "b.h5"], "one OUT.h5 is needed; received a.h5, b.h5"),
        (["out.h5"], "dataset=NAME is missing. Data sets: blobs, "),
        (["dataset=digit", "out.h5"], "Did you mean 'digits'?"),
        (["dataset=digits", "dataset.test_fracton=0.2", "out.h5"], "Did you mean 'dataset.test_fraction'?"),
        (["dataset=digits", "dataset.test_fraction=2", "out.h5"], "dataset.test_fraction=2 must be"),
        (["dataset=digits", "train.epochs=2", "out.h5"], "train.epochs=2 decides nothing about the data"),
        (["dataset=digits", "dataset._target_=os.system", "out.h5"], "dataset._target_=os.system is not allowed"),
        (["dataset=hdf5", "out.h5"], "dataset.file"),
        (["dataset=hdf5", "dataset.file=none.h5", "out.h5"], "none.h5: there is no such file"),
        (["dataset=digits", "out.npz"], "out.npz: must end in .h5 or .hdf5"),
        (["dataset=digits", "none/out.h5"], "there is no folder none"),
        (["dataset=digits", "folder.h5"], "folder.h5: is a folder"),
        (["dataset=digits", "there.h5"], "there.h5: exists already; --force replaces it"),
        (["dataset=digits", "out.h5", "--compression=zip"], "--compression=zip is not known. Allowed: gzip, lzf, none"),
        (["dataset=digits", "out.h5", "--chunk-mb=0"], "--chunk-mb=0 must be a number above 0 and at most 1024"),
        (["dataset=digits", "out.h5", "--chunk-mb=nan"], "--chunk-mb=nan must be"),
        (["dataset=digits", "out.h5", "--forc"], "Did you mean '--force'?"),
    ],
)
def test_wrong_input_leaves_nothing(run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "there.h5").write_text("old")
    wrong(run("convert", *words), message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.h5", "there.h5"]
    assert (tmp_path / "there.h5").read_text() == "old"


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """A limit on the size of files fails writes as a full disk does: of a new file, and of one to be replaced."""
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom pipeline.__main__ import main\n"
        "for limit in (1000, 60_000):\n"
        "    for out in sys.argv[1:]:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "        print(main(['convert', 'dataset=digits', '--force', out]), *Path(out).parent.iterdir())\n"
    )
    new, old = tmp_path / "new/out.h5", tmp_path / "old/out.h5"
    for out in (new, old):
        out.parent.mkdir()
    old.write_text("old")
    line = [sys.executable, "-c", script, str(new), str(old)]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.splitlines() == ["2", f"2 {old}"] * 2
    said = result.stderr.splitlines()
    assert [line.startswith(f"{out}: can't be written (") for line, out in zip(said, (new, old) * 2, strict=True)] == [
        True
    ] * 4
    assert old.read_text() == "old"


@pytest.mark.slow
@pytest.mark.parametrize("old", [False, True])
def test_killed_on_the_way_it_leaves_the_old_file_or_none(tmp_path, old):
    large, out = tmp_path / "large.h5", tmp_path / "out.h5"
    with h5py.File(large, "w") as file:
        file["inputs"] = np.random.default_rng(0).integers(0, 256, (40_000, 1000), np.uint8)
        file["labels"] = np.arange(40_000) % 2
    if old:
        out.write_text("old")
    words = ["dataset=hdf5", f"dataset.file={large}", "dataset.memory=never", str(out), "--force"]
    process = subprocess.Popen([sys.executable, "-m", "pipeline", "convert", *words], cwd=ROOT)
    deadline = time.monotonic() + PATIENCE
    while not (begun := list(tmp_path.glob(".out.*"))) or begun[0].stat().st_size < 2**20:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (out.read_text() == "old") if old else not out.exists()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("dataset=x", True),
        ("+dataset.a=1", True),
        ("seed=1", True),
        ("a.h5", False),
        ("./a=b.h5", False),
        ("/a=b", False),
    ],
)
def test_what_is_an_override(word, expected):
    assert is_override(word) is expected


def test_a_column_that_is_left_out_is_named(run, tmp_path):
    (tmp_path / "t.csv").write_text(",b,label\n" + "".join(f"{i},{i % 7},{'xy'[i % 2]}\n" for i in range(40)))
    done = run("convert", "dataset=csv", f"dataset.file={tmp_path / 't.csv'}", "dataset.label=label", tmp_path / "t.h5")
    assert (done.status, done.out.splitlines()[1]) == (0, "column '': left out: it has no name and numbers the rows")
    assert load(tmp_path / "t.h5").train.inputs.shape == (32, 1)


def test_data_without_classes_is_refused_before_it_is_written(run, tmp_path):
    wrong(run("convert", "dataset=quadratic", tmp_path / "q.h5"), "dataset=quadratic has no classes")
    assert not list(tmp_path.iterdir())
