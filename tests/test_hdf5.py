from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline import hdf5
from pipeline.errors import InputError

# Values whose bytes occur once in the file, so that a test can find and flip them on disk.
DATASETS = {
    "floats": np.array([[1.5, -2.25], [3.125, 1e-9]], np.float32),
    "group/integers": np.array([123456789, 987654321], np.uint32),
    "group/deep/halves": np.array([0.333, 0.667], np.float16),
    "single": np.array(2.718281828, np.float64),
}
ATTRIBUTES = {
    "": {"text": "configuration of the trial", "number": 20231.75},
    "group": {"list": np.array([11111111, 22222222], np.int32)},
    "floats": {"of a dataset": np.array([6.02214076e23])},
}


def fill(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, array in DATASETS.items():
            file[name] = array
        for name, attributes in ATTRIBUTES.items():
            file[name or "/"].attrs.update(attributes)


@pytest.fixture
def path(tmp_path):
    hdf5.write(tmp_path / "x.h5", fill)
    return tmp_path / "x.h5"


def state(path):
    with h5py.File(path, "r") as file:
        return hdf5.checksum(file)


def files(folder):
    return [path.name for path in folder.iterdir()]


def raw_bytes(value):
    return value.encode() if isinstance(value, str) else np.asarray(value).tobytes()


PAYLOADS = {name: raw_bytes(array) for name, array in DATASETS.items()} | {
    f"{name}@{key}": raw_bytes(value) for name, attributes in ATTRIBUTES.items() for key, value in attributes.items()
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_flipped_bit_in_any_byte_of_any_value_is_seen(path, payload):
    whole = path.read_bytes()
    assert whole.count(payload) == 1
    start = whole.index(payload)
    for offset in range(start, start + len(payload)):
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << offset % 8
        path.write_bytes(damaged)
        assert state(path) == hdf5.CHANGED, offset - start
        with pytest.raises(InputError, match=r"x\.h5: its content has changed since it was written"):
            hdf5.check(path)
    path.write_bytes(whole)
    hdf5.check(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda file: file.attrs.__delitem__("text"),
        lambda file: file.attrs.create("another", 1),
        lambda file: file["group"].attrs.create("another", 1),
        lambda file: file.attrs.create("number", 20231.5),
        lambda file: file.__delitem__("single"),
        lambda file: file.create_dataset("extra", data=1),
        lambda file: file.move("single", "double"),
        lambda file: file.attrs.create(hdf5.DIGEST, "0" * 64),
    ],
)
def test_an_edit_is_seen(path, edit):
    with h5py.File(path, "r+") as file:
        edit(file)
    assert state(path) == hdf5.CHANGED


@pytest.mark.parametrize("array", [DATASETS["floats"].astype(np.float64), DATASETS["floats"].reshape(1, 4)])
def test_another_dtype_or_shape_of_equal_values_is_seen(path, array):
    with h5py.File(path, "r+") as file:
        del file["floats"]
        file["floats"] = array
        file["floats"].attrs.update(ATTRIBUTES["floats"])
    assert state(path) == hdf5.CHANGED


def test_digest_does_not_depend_on_order_or_place(path, tmp_path):
    def backwards(temporary):
        with h5py.File(temporary, "w") as file:
            for name in reversed(DATASETS):
                file.create_dataset(name, data=DATASETS[name], chunks=DATASETS[name].shape or None)
            for name, attributes in ATTRIBUTES.items():
                file[name or "/"].attrs.update(dict(reversed(attributes.items())))

    hdf5.write(tmp_path / "other.h5", backwards)
    with h5py.File(path) as one, h5py.File(tmp_path / "other.h5") as other:
        assert hdf5.digest(one) == hdf5.digest(other) == one.attrs[hdf5.DIGEST]
        assert len(hdf5.digest(one)) == 64


def test_write_seals_what_fill_wrote(path):
    assert state(path) == hdf5.INTACT
    hdf5.check(path)
    with hdf5.opened(path) as file:
        for name, array in DATASETS.items():
            np.testing.assert_array_equal(file[name][()], array)
        assert file.attrs["text"] == ATTRIBUTES[""]["text"]


def test_a_file_that_write_did_not_make_is_unsealed(tmp_path):
    fill(tmp_path / "x.h5")
    assert state(tmp_path / "x.h5") == hdf5.UNSEALED
    hdf5.check(tmp_path / "x.h5")  # somebody else's file is not refused for that


def test_write_leaves_no_temporary_file_behind(path):
    hdf5.write(path, fill)
    assert files(path.parent) == ["x.h5"]


def fails_before(temporary):
    raise RuntimeError("not begun")


def fails_halfway(temporary):
    with h5py.File(temporary, "w") as file:
        file["floats"] = 1
        raise RuntimeError("in the middle")


def fails_after(temporary):
    fill(temporary)
    raise RuntimeError("at the end")


def writes_no_hdf5(temporary):
    temporary.write_bytes(b"not HDF5")


@pytest.mark.parametrize("failing", [fails_before, fails_halfway, fails_after, writes_no_hdf5])
def test_a_failing_fill_leaves_the_old_file_and_nothing_else(path, failing):
    before = path.read_bytes()
    with pytest.raises((RuntimeError, OSError)):
        hdf5.write(path, failing)
    assert path.read_bytes() == before
    assert files(path.parent) == ["x.h5"]


@pytest.mark.parametrize("failing", [fails_before, fails_halfway, fails_after, writes_no_hdf5])
def test_a_failing_fill_leaves_no_file_where_there_was_none(tmp_path, failing):
    with pytest.raises((RuntimeError, OSError)):
        hdf5.write(tmp_path / "x.h5", failing)
    assert files(tmp_path) == []


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.h5: there is no such file"):
        hdf5.check(tmp_path / "none.h5")
    with pytest.raises(InputError, match="it is a folder, not a file"):
        hdf5.check(tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n", bytes(range(256)) * 16])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.h5: not a readable HDF5 file"):
        hdf5.check(tmp_path / "x.h5")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"x\.h5: not a readable HDF5 file"):
        hdf5.check(path)


def external_storage(file, secret):
    file.create_dataset("weights", shape=(8,), dtype="u1", external=[(str(secret), 0, 8)])


def virtual_dataset(file, secret):
    layout = h5py.VirtualLayout(shape=(8,), dtype="u1")
    layout[:] = h5py.VirtualSource(str(secret), "x", shape=(8,))
    file.create_virtual_dataset("weights", layout)


def external_link(file, secret):
    file["weights"] = h5py.ExternalLink(str(secret), "/x")


def external_link_in_a_group(file, secret):
    file.create_group("a/b")["weights"] = h5py.ExternalLink(str(secret), "/x")


@pytest.mark.parametrize(
    ("refer", "message"),
    [
        (external_storage, "'weights' keeps its data in another file, which is not read"),
        (virtual_dataset, "'weights' keeps its data in another file, which is not read"),
        (external_link, "'weights' is a link to another file, which is not followed"),
        (external_link_in_a_group, "'a/b/weights' is a link to another file, which is not followed"),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_file_that_refers_to_another_is_refused(tmp_path, refer, message, sealed):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["x"] = np.arange(8, dtype="u1")

    def crafted(path):
        with h5py.File(path, "w") as file:
            refer(file, tmp_path / "secret.h5")

    (hdf5.write if sealed else lambda path, fill: fill(path))(tmp_path / "x.h5", crafted)
    with pytest.raises(InputError, match=message):
        hdf5.check(tmp_path / "x.h5")


def test_a_link_within_the_file_is_fine(tmp_path):
    def linked(path):
        with h5py.File(path, "w") as file:
            file["a"] = np.arange(3)
            file["hard"] = file["a"]
            file["soft"] = h5py.SoftLink("/a")

    hdf5.write(tmp_path / "x.h5", linked)
    hdf5.check(tmp_path / "x.h5")


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyError, ValueError, TypeError])
def test_what_fails_while_the_file_is_open_is_the_files_fault(path, error):
    with pytest.raises(InputError, match=r"x\.h5: not a readable HDF5 file \(.*why.*\)"), hdf5.opened(path):
        raise error("why\nand where")
