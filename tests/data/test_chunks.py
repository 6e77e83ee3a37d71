import h5py
import numpy as np
import pytest

from pipeline.data.chunks import Chunks, opened
from tests.data.conftest import SHAPE, N, examples

INPUTS = examples()[0]
WHOLE = {"chunks": (64, *SHAPE)}


def compact(file):
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple(INPUTS.shape)
    made = h5py.h5d.create(file.id, b"inputs", h5py.h5t.NATIVE_INT16, space, settings)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, INPUTS)


def virtual(file):
    file["source"] = INPUTS
    layout = h5py.VirtualLayout(INPUTS.shape, np.int16)
    layout[:] = h5py.VirtualSource(file["source"])
    file.create_virtual_dataset("inputs", layout)


def filter_left_out(file):
    """As HDF5 does with a chunk that gzip would not make smaller."""
    made = file.create_dataset("inputs", data=INPUTS, compression="gzip", **WHOLE)
    made.id.write_direct_chunk((64, 0, 0), INPUTS[64:128].tobytes(), filter_mask=1)


def resized(file):
    made = file.create_dataset("inputs", (100, *SHAPE), np.int16, maxshape=(None, *SHAPE), **WHOLE)
    made.resize((N, *SHAPE))
    made[:] = INPUTS


def made(**settings):
    return lambda file: file.create_dataset("inputs", **{"data": INPUTS, **settings})


LAYOUTS = {
    "contiguous": (made(), True),
    "chunks": (made(**WHOLE), True),
    "one chunk": (made(chunks=(N, *SHAPE)), True),
    "chunks of a row": (made(chunks=(1, *SHAPE)), True),
    "gzip": (made(compression="gzip", **WHOLE), True),
    "gzip, a chunk as it is": (filter_left_out, True),
    "shuffle, gzip": (made(compression="gzip", shuffle=True, **WHOLE), True),
    "grown": (resized, True),
    "big-endian": (made(data=INPUTS.astype(">i2")), True),
    "big-endian, gzip": (made(data=INPUTS.astype(">f8"), compression="gzip", shuffle=True, **WHOLE), True),
    "half precision": (made(data=(INPUTS % 100).astype("f2")), True),
    "truth values": (made(data=INPUTS % 2 == 0, **WHOLE), True),
    "shuffle only": (made(shuffle=True, **WHOLE), False),
    "lzf": (made(compression="lzf", **WHOLE), False),
    "checksums": (made(fletcher32=True, **WHOLE), False),
    "gzip, checksums": (made(compression="gzip", fletcher32=True, **WHOLE), False),
    "fewer bits": (made(scaleoffset=0, **WHOLE), False),
    "parts of rows": (made(chunks=(64, 2, 3)), False),
    "in the header": (compact, False),
    "virtual": (virtual, False),
}


@pytest.mark.parametrize("user_block", [0, 512])
@pytest.mark.parametrize(("make", "beside"), LAYOUTS.values(), ids=LAYOUTS)
def test_rows_are_those_that_hdf5_reads(tmp_path, make, beside, user_block):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w", userblock_size=user_block) as file:
        make(file)
    rows = opened(path, "inputs")
    assert isinstance(rows, Chunks if beside else h5py.Dataset)
    with h5py.File(path) as file:
        wanted = file["inputs"]
        assert (rows.shape, rows.dtype, rows.chunks, len(rows)) == (wanted.shape, wanted.dtype, wanted.chunks, N)
        for span in (np.s_[:], np.s_[0:1], np.s_[63:65], np.s_[64:128], np.s_[100:100], np.s_[500:N], np.s_[N - 1 :]):
            found = rows[span]
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted[span])


@pytest.mark.parametrize("user_block", [0, 512])
def test_what_was_never_written_is_left_to_hdf5(tmp_path, user_block):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w", userblock_size=user_block) as file:
        file.create_dataset("inputs", (N, *SHAPE), np.int16, fillvalue=7)
    assert (opened(path, "inputs")[3:9] == 7).all()


def written(path, **settings):
    with h5py.File(path, "w") as file:
        file.create_dataset("inputs", data=INPUTS, **settings)
        file["after"] = np.zeros(10)
        dataset = file["inputs"]
        return dataset.id.get_chunk_info(2).byte_offset if dataset.chunks else dataset.id.get_offset()


@pytest.mark.parametrize(("settings", "rows"), [({}, np.s_[10:20]), (WHOLE, np.s_[130:140])])
def test_a_file_that_ends_early_is_an_error(tmp_path, settings, rows):
    path = tmp_path / "data.h5"
    place = written(path, **settings)
    found = opened(path, "inputs")
    np.testing.assert_array_equal(found[:1], INPUTS[:1])
    with path.open("r+b") as file:
        file.truncate(place + 100)
    with pytest.raises(OSError, match="the file ends before them"):
        found[rows]


def test_a_chunk_that_is_missing_is_an_error(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        made = file.create_dataset("inputs", (N, *SHAPE), np.int16, compression="gzip", **WHOLE)
        made[:64] = INPUTS[:64]
    with pytest.raises(OSError, match="chunk 1 was never written"):
        opened(tmp_path / "data.h5", "inputs")[:10]
