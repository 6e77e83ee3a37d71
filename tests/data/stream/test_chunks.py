import ctypes
import gc
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.data.stream.chunks import GzippedChunks, opened
from pipeline.data.stream.stored import Stored
from pipeline.errors import InputError
from tests.data.conftest import SHAPE, N, examples

INPUTS = examples()[0]
WHOLE = {"chunks": (64, *SHAPE)}


def low_level(file, settings, kind=h5py.h5t.NATIVE_INT16, numbers=INPUTS):
    space = h5py.h5s.create_simple(numbers.shape)
    h5py.h5d.create(file.id, b"inputs", kind, space, settings).write(h5py.h5s.ALL, h5py.h5s.ALL, numbers)


def compact(file):
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.COMPACT)
    low_level(file, settings)


def of_11_bits(file):
    kind = h5py.h5t.STD_I16LE.copy()
    kind.set_precision(11)
    low_level(file, None, kind, INPUTS % 100 - 50)


def of_8_bits_in_16(file):
    low_level(file, None, h5py.h5t.STD_B16LE.copy(), INPUTS.astype(np.uint16))


def short_floats(file):
    """bfloat16: the first half of a float32."""
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    low_level(file, None, kind, INPUTS.astype(np.float32))


def partial_chunk_unfiltered(file):
    """The last chunk as it is, as HDF5 1.10 can be told to write it. h5py does not know the call."""
    library = next(name for name in Path("/proc/self/maps").read_text().split() if "libhdf5-" in name)
    keep_partial = ctypes.CDLL(library).H5Pset_chunk_opts
    keep_partial.argtypes = [ctypes.c_int64, ctypes.c_uint]
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk(WHOLE["chunks"])
    settings.set_shuffle()
    settings.set_deflate(4)
    assert keep_partial(settings.id, 2) == 0
    low_level(file, settings)


def virtual(file):
    file["source"] = INPUTS
    layout = h5py.VirtualLayout(INPUTS.shape, np.int16)
    layout[:] = h5py.VirtualSource(file["source"])
    file.create_virtual_dataset("inputs", layout)


def filter_left_out(file):
    """As HDF5 does with a chunk that gzip would not make smaller."""
    made = file.create_dataset("inputs", data=INPUTS, compression="gzip", **WHOLE)
    made.id.write_direct_chunk((64, 0, 0), INPUTS[64:128].tobytes(), filter_mask=1)


def filters_left_out(file):
    made = file.create_dataset("inputs", data=INPUTS, compression="gzip", shuffle=True, **WHOLE)
    for at, mask in ((0, 1), (64, 2), (128, 3)):
        numbers = INPUTS[at : at + 64].tobytes()
        shuffled = np.frombuffer(numbers, np.uint8).reshape(-1, 2).T.tobytes()
        data = {1: zlib.compress(numbers), 2: shuffled, 3: numbers}[mask]
        made.id.write_direct_chunk((at, 0, 0), data, filter_mask=mask)


def resized(file):
    made = file.create_dataset("inputs", (100, *SHAPE), np.int16, maxshape=(None, *SHAPE), compression="gzip", **WHOLE)
    made.resize((N, *SHAPE))
    made[:] = INPUTS


def made(**settings):
    return lambda file: file.create_dataset("inputs", **{"data": INPUTS, **settings})


LAYOUTS = {
    "contiguous": (made(), False),
    "chunks": (made(**WHOLE), False),
    "one chunk": (made(chunks=(N, *SHAPE)), False),
    "chunks of a row": (made(chunks=(1, *SHAPE), compression="gzip"), True),
    "gzip": (made(compression="gzip", **WHOLE), True),
    "gzip, a chunk as it is": (filter_left_out, True),
    "shuffle, gzip": (made(compression="gzip", shuffle=True, **WHOLE), True),
    "shuffle, gzip, chunks without": (filters_left_out, True),
    "the last chunk as it is": (partial_chunk_unfiltered, True),
    "grown": (resized, True),
    "big-endian": (made(data=INPUTS.astype(">i2")), False),
    "big-endian, gzip": (made(data=INPUTS.astype(">f8"), compression="gzip", shuffle=True, **WHOLE), True),
    "half precision": (made(data=(INPUTS % 100).astype("f2"), compression="gzip", **WHOLE), True),
    "truth values": (made(data=INPUTS % 2 == 0, compression="gzip", **WHOLE), True),
    "shuffle only": (made(shuffle=True, **WHOLE), False),
    "lzf": (made(compression="lzf", **WHOLE), False),
    "checksums": (made(fletcher32=True, **WHOLE), False),
    "gzip, checksums": (made(compression="gzip", fletcher32=True, **WHOLE), False),
    "fewer bits": (made(scaleoffset=0, **WHOLE), False),
    "parts of rows": (made(chunks=(64, 2, 3)), False),
    "in the header": (compact, False),
    "11 bits": (of_11_bits, False),
    "bits": (of_8_bits_in_16, False),
    "bfloat16": (short_floats, False),
    "virtual": (virtual, False),
}


@pytest.mark.parametrize("user_block", [0, 512])
@pytest.mark.parametrize(("make", "gzipped"), LAYOUTS.values(), ids=LAYOUTS)
def test_rows_are_those_that_hdf5_reads(tmp_path, make, gzipped, user_block):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w", userblock_size=user_block) as file:
        make(file)
    rows = opened(path, "inputs")
    assert isinstance(rows, GzippedChunks if gzipped else h5py.Dataset)
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
        return file["inputs"].id.get_chunk_info(2).byte_offset


def test_what_is_missing_of_the_chunks_is_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        made = file.create_dataset("inputs", (N, *SHAPE), np.int16, compression="gzip", fillvalue=7, **WHOLE)
        made[:64] = INPUTS[:64]
    rows = opened(tmp_path / "data.h5", "inputs")
    np.testing.assert_array_equal(rows[:64], INPUTS[:64])
    assert (rows[64:] == 7).all()


@pytest.mark.parametrize("beside", ["the same name", "nothing"])
def test_what_a_link_leads_to_is_read(tmp_path, beside):
    written(tmp_path / "other.h5", compression="gzip", **WHOLE)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("other.h5", "/inputs")
        if beside == "the same name":
            file.create_dataset("inputs", data=INPUTS + 1, compression="gzip", **WHOLE)
    np.testing.assert_array_equal(opened(tmp_path / "data.h5", "linked")[:], INPUTS)


def test_no_rows_are_no_rows(tmp_path):
    written(tmp_path / "data.h5", compression="gzip", **WHOLE)
    rows = opened(tmp_path / "data.h5", "inputs")
    assert isinstance(rows, GzippedChunks)
    assert rows[5:3].shape == (0, *SHAPE)


SIZE = 64 * INPUTS[0].nbytes
LIST = "its list of chunks is damaged"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"row": 64}, LIST),  # as another one
        ({"row": 129}, "bad coordinate offset"),
        ({"row": 2**20}, LIST),
        ({"row": 2**63}, LIST),
        ({"column": 1}, "bad coordinate offset"),
        ({"size": SIZE - 1}, f"has {SIZE - 1} bytes instead of {SIZE}"),
        ({"size": SIZE + 1}, f"has {SIZE + 1} bytes instead of {SIZE}"),
        ({"size": 2**31}, f"has {2**31} bytes instead of {SIZE}"),
        ({"size": 0}, LIST),
        ({"offset": 2**40}, "addr overflow"),
        ({"offset": 2**63 + 1}, "can't be read"),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_damaged_list_of_chunks_gives_no_other_rows(tmp_path, entry, message):
    """A key of the version 1 B-tree: size, filters left out, first row, column and so on, a zero; then the place."""
    path, key = tmp_path / "data.h5", struct.Struct("<IIQQQQQ")
    offset = written(path, **WHOLE)
    whole = key.pack(SIZE, 0, 128, 0, 0, 0, offset)
    raw = path.read_bytes()
    assert raw.count(whole) == 1
    size, row, column = entry.get("size", SIZE), entry.get("row", 128), entry.get("column", 0)
    path.write_bytes(raw.replace(whole, key.pack(size, 0, row, column, 0, 0, entry.get("offset", offset))))
    with pytest.raises(InputError, match=message):
        Stored(path, "inputs", np.arange(N)).read(130, 140)


@pytest.mark.parametrize("size", [1, 100, 2**20, 2**31])
def test_a_gzipped_chunk_of_another_size_is_refused(tmp_path, size):
    """As the list of chunks says it."""
    path, key = tmp_path / "data.h5", struct.Struct("<IIQQQQ")
    written(path, compression="gzip", **WHOLE)
    with h5py.File(path) as file:
        chunk = file["inputs"].id.get_chunk_info(2)
    raw, whole = path.read_bytes(), key.pack(chunk.size, 0, 128, 0, 0, 0)
    assert raw.count(whole) == 1
    path.write_bytes(raw.replace(whole, key.pack(size, 0, 128, 0, 0, 0)))
    with pytest.raises(InputError, match="rows 130 to 139 of inputs can't be read"):
        Stored(path, "inputs", np.arange(N)).read(130, 140)


@pytest.mark.parametrize("settings", [{}, {"compression": "gzip"}])
def test_a_file_is_closed_with_the_last_of_its_rows(tmp_path, settings):
    written(tmp_path / "data.h5", **WHOLE, **settings)
    rows = opened(tmp_path / "data.h5", "inputs")
    assert rows.shape == (N, *SHAPE)
    assert open_files(tmp_path) == 1
    del rows
    gc.collect()
    assert open_files(tmp_path) == 0


def open_files(folder):
    return sum(str(place.resolve()).startswith(str(folder)) for place in Path("/proc/self/fd").iterdir())
