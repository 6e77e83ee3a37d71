"""What lies in HDF5 files of strangers: every object once, nothing of another file, in bounded time and memory."""

import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

from pipeline import hdf5_contents
from pipeline.__main__ import main
from pipeline.data.formats import hdf5
from pipeline.errors import InputError
from tests.conftest import PATIENCE, ROOT

N = 40
X, Y = np.arange(2 * N, dtype=np.float32).reshape(N, 2), np.arange(N) % 2
COMMON = {"validation": None, "test": None, "validation_fraction": 0.2, "test_fraction": 0.2, "memory": "auto"}
COMMON |= {"seed": 0, "inputs": "x", "labels": "y"}


def pair(file, x=X, y=Y):
    for name, values in (("x", x), ("y", y)):
        if values is not None:
            file[name] = values


def tree(file):
    pair(file)
    file["b/c/d"] = 1
    file["b/twice"] = file["x"]  # after it by name
    file["a"] = file["b/c"]  # before it
    file["b/c/circle"] = file["b"]
    file["soft"] = h5py.SoftLink("/x")
    file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
    file["b"]["raw"] = h5py.ExternalLink("none.h5", "/")
    file["broken"] = h5py.SoftLink("/elsewhere/y")


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        tree(file)
    return tmp_path / "t.h5"


def test_objects_are_those_that_hdf5_visits_in_its_order(path):
    with h5py.File(path) as file:
        visited = []
        file.visit(visited.append)
        assert [name for name, _ in hdf5_contents.objects(file)] == visited
        assert {name: item.name for name, item in hdf5_contents.objects(file)} == {n: f"/{n}" for n in visited}
        links = [name for name, item in hdf5_contents.members(file) if item is None]
        assert sorted(links) == ["a/circle/raw", "elsewhere"]


@pytest.mark.parametrize(
    ("key", "name"),
    [("x", "/x"), ("/b/c/", "/b/c"), ("./b//c/d", "/b/c/d"), ("soft", "/x"), ("nothing/x", None), ("x/y", None)],
)
def test_a_path_leads_within_the_file(path, key, name):
    with h5py.File(path) as file:
        item = hdf5_contents.at(file, key)
        assert item == (None if name is None else file[name])


@pytest.mark.parametrize("key", ["elsewhere", "elsewhere/x", "b/raw", "broken"])
def test_a_path_to_another_file_is_not_followed(path, key):
    with h5py.File(path) as file, pytest.raises(InputError, match="is a link to another file, which is not followed"):
        hdf5_contents.at(file, key)


def test_links_to_other_files_hide_no_examples(path, capsys):
    assert main(["inspect", str(path)]) == 0
    assert capsys.readouterr().out.count("in another file") == 2
    with h5py.File(path, "a") as file:
        del file["a"], file["b/twice"]  # x has one name then
    assert main(["inspect", str(path)]) == 0
    assert "in other files, which are not read: b/raw, elsewhere\n" in capsys.readouterr().out
    splits = hdf5.hdf5(file=str(path), **COMMON)
    assert [len(part) for part in splits.parts.values()] == [24, 8, 8]
    with pytest.raises(InputError, match="'elsewhere' is a link to another file, which is not followed; copy the data"):
        hdf5.hdf5(file=str(path), **COMMON | {"inputs": "elsewhere"})


def nested(file):
    for _ in range(3000):
        file = file.create_group("g")


def declared(file):
    pair(file, None, None)
    file.create_dataset("x", (2**26, 256), "f4", chunks=(1024, 256))
    file.create_dataset("y", (2**26,), "i4", chunks=(1024,))


def large_chunks(file):
    x = file.create_dataset("x", (2**18, 1024), "f4", chunks=(2**18, 1024), compression="gzip")
    x.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**30), 1))
    file["y"] = np.zeros(2**18, np.int8)


def labels_without_end(file):
    n, chunk = 2**30, 2**22
    file.create_dataset("x", (n, 1), "i1")
    y, zeros = file.create_dataset("y", (n,), "i1", chunks=(chunk,), compression="gzip"), zlib.compress(bytes(chunk))
    for start in range(0, n, chunk):
        y.id.write_direct_chunk((start,), zeros)


def long_names(file):
    pair(file)
    file.create_dataset("list_classes", (100_000,), "S100000")


@pytest.mark.parametrize(
    ("fill", "status", "said"),
    [
        (nested, 0, ""),
        (declared, 2, "y has 0 of its 65536 chunks: it was not written to its end. Write it again."),
        (large_chunks, 2, "x is stored in chunks of 1,024 MiB, each of which has to be in memory as a whole; write"),
        (labels_without_end, 2, "y has 1,073,741,824 labels, which are not read: 33,554,432 at most fit."),
        (long_names, 0, ""),
    ],
)
def test_inspect_shows_what_it_can_in_bounded_memory_and_time(tmp_path, fill, status, said):
    """The limits are the system's own: of seconds in the processor, and of memory."""
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    code = (
        "import resource as r, sys; r.setrlimit(r.RLIMIT_CPU, (30, 30)); r.setrlimit(r.RLIMIT_DATA, (2**30, 2**30)); "
        "from pipeline.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "inspect", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == status, done.stderr
    assert f"{path}: no checksum" in done.stdout
    assert done.stderr.startswith(f"{path}: {said}" if said else "")
    assert len(done.stderr.splitlines()) == (1 if said else 0)


@pytest.mark.parametrize("fill", [declared, large_chunks])
def test_what_does_not_fit_is_no_data_to_train_on(tmp_path, fill):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        fill(file)
    with pytest.raises(InputError, match=r"it was not written to its end|is stored in chunks of 1,024 MiB"):
        hdf5.hdf5(file=str(tmp_path / "t.h5"), **COMMON)
