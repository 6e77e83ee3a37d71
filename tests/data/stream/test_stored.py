import os
import pickle
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest

from pipeline.data.rows import InMemory, sample
from pipeline.data.stream.chunks import GzippedChunks
from pipeline.data.stream.stored import as_read
from pipeline.errors import InputError
from tests.data.conftest import FORMATS, SHAPE, N, examples, stored

INPUTS, LABELS = examples()
ROWS = {"all": np.arange(N), "every third": np.arange(0, N, 3), "a few": np.array([3, 64, 65, 999])}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("settings", FORMATS.values(), ids=FORMATS)
def test_rows_are_those_of_the_file_in_every_format(write, settings, rows):
    inputs = stored(write(inputs=(INPUTS, settings)), rows)
    assert (inputs.shape, inputs.dtype, inputs.nbytes) == ((len(rows), *SHAPE), np.int16, 30 * len(rows))
    np.testing.assert_array_equal(inputs[:], INPUTS[rows])
    np.testing.assert_array_equal(inputs[1:3], INPUTS[rows][1:3])
    np.testing.assert_array_equal(inputs[-1:], INPUTS[rows][-1:])
    np.testing.assert_array_equal(inputs.load(), INPUTS[rows])
    np.testing.assert_array_equal(inputs.gather([(2, 4), (0, 1)]), INPUTS[rows][[2, 3, 0]])
    into = np.empty((3, *SHAPE), np.int16)
    assert inputs.gather([(2, 4), (0, 1)], np.array([2, 0, 1]), into) is into
    np.testing.assert_array_equal(into, INPUTS[rows][[3, 0, 2]])
    assert inputs[2:2].shape == (0, *SHAPE)


@pytest.mark.parametrize("settings", FORMATS.values(), ids=FORMATS)
def test_it_can_be_gone_through_again_and_again(write, settings):
    inputs = stored(write(inputs=(INPUTS, settings)))
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(inputs.blocks())), INPUTS)
    next(inputs.blocks())  # a look at the first block takes nothing away
    np.testing.assert_array_equal(np.concatenate(list(inputs.blocks())), INPUTS)


def test_blocks_begin_with_chunks_of_the_file(write):
    path = write(inputs=(INPUTS, {"chunks": (64, *SHAPE)}))
    rows = np.arange(10, N, 3)
    starts = stored(path, rows).starts
    assert len(starts) > 5
    assert starts[0] == 0
    for start in starts[1:]:
        assert rows[start] // 64 > rows[start - 1] // 64


@pytest.mark.parametrize("rows", [np.arange(N), np.arange(5, N, 3)], ids=["all", "every third"])
@pytest.mark.parametrize("nbytes", [20, 30, 31, 3001, 6000, 29_000])
def test_a_sample_is_spread_over_all_bounded_and_the_same_in_memory(write, rows, nbytes):
    inputs = stored(write(inputs=(INPUTS, {"chunks": (20, *SHAPE)})), rows)
    found = sample(inputs, nbytes)
    np.testing.assert_array_equal(found, sample(InMemory(INPUTS[rows]), nbytes))
    assert min(30, nbytes) <= found.nbytes <= max(30, nbytes)
    assert len(np.unique(found[:, 0, 0])) == len(found)
    if nbytes > 3000:
        assert found[:, 0, 0].min() < 100
        assert found[:, 0, 0].max() > 800
    np.testing.assert_array_equal(sample(inputs, 2**20), INPUTS[rows])


@pytest.mark.parametrize("ask", [lambda s: s[:], lambda s: s[1:], lambda s: s.gather([(0, 2), (1, 4)])])
def test_what_lies_between_scattered_rows_is_not_held_at_once(write, monkeypatch, ask):
    rows, read, real = np.array([3, 64, 500, 999]), [], GzippedChunks.__getitem__
    inputs = stored(write(inputs=(INPUTS, FORMATS["gzip"])), rows)
    monkeypatch.setattr(GzippedChunks, "__getitem__", lambda self, span: read.append(span) or real(self, span))
    found = ask(inputs)
    np.testing.assert_array_equal(found[-3:], INPUTS[[64, 500, 999]])
    assert max(span.stop - span.start for span in read) <= 64


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zlib.compress(bytes(2**26)), "more"),
        (zlib.compress(bytes(100)), "less"),
        (zlib.compress(bytes(64 * 30))[:-1], "less"),
    ],
    ids=["bomb", "short", "cut off"],
)
@pytest.mark.parametrize("settings", [FORMATS["gzip"], FORMATS["gzip, shuffled bytes"]])
def test_a_chunk_unpacks_to_its_size_and_no_further(write, content, said, settings):
    path = write(inputs=(INPUTS, settings))
    with h5py.File(path, "r+") as file:
        file["inputs"].id.write_direct_chunk((64, 0, 0), content)
    inputs = stored(path)
    tracemalloc.start()
    with pytest.raises(InputError, match=rf"rows 64 to 127 of inputs can't be read \(a chunk unpacks to {said} than"):
        inputs.read(64, 128)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("dtype", "read"),
    [("u1", "u1"), ("i2", "i2"), (">i2", "i2"), ("f2", "f2"), ("f4", "f4"), ("f8", "f4"), ("i8", "f4"), ("?", "u1")],
)
def test_small_numbers_stay_small_and_others_become_float32(write, dtype, read):
    array = (INPUTS % 2).astype(dtype)
    inputs = stored(write(inputs=array))
    assert inputs.dtype == inputs[:3].dtype == as_read(array.dtype) == np.dtype(read)
    np.testing.assert_array_equal(inputs[:], array.astype(read))


def test_it_travels_to_another_process_without_its_handle(write):
    inputs = stored(write(inputs=INPUTS))
    _ = inputs[:1]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(inputs))[5:9], INPUTS[5:9])


def rewrite(path):
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rewrite, "the file changed after training on it began"),
        (lambda path: path.unlink(), "rows 0 to 4 of inputs can't be read"),
        (lambda path: path.write_bytes(b""), "the file changed"),
        (lambda path: os.truncate(path, 3000), "the file changed"),
    ],
)
def test_a_file_that_changes_is_not_read_on(write, change, message):
    path = write(inputs=INPUTS)
    inputs = stored(path)
    change(path)
    with pytest.raises(InputError, match=message) as raised:
        inputs.read(0, 5)
    assert str(path) in str(raised.value)
    assert inputs.failure is raised.value


@pytest.mark.parametrize("settings", FORMATS.values(), ids=FORMATS)
def test_a_file_that_ends_early_is_not_opened(write, settings):
    path = write(inputs=(INPUTS, settings))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(InputError, match=r"inputs can't be opened \(.*truncated file"):
        stored(path)


def test_a_damaged_chunk_is_said_by_its_rows(write):
    path = write(inputs=(INPUTS, FORMATS["gzip"]))
    with h5py.File(path) as file:
        place = file["inputs"].id.get_chunk_info(2).byte_offset
    with path.open("r+b") as file:
        file.seek(place + 20)
        file.write(b"\xff" * 8)
    inputs = stored(path)
    np.testing.assert_array_equal(inputs[:128], INPUTS[:128])
    with pytest.raises(InputError, match=r"rows 128 to 191 of inputs can't be read"):
        inputs.read(128, 192)


@pytest.mark.parametrize("settings", FORMATS.values(), ids=FORMATS)
def test_single_rows_are_taken_in_any_order(write, settings):
    rows = np.arange(0, N, 2)
    inputs = stored(write(inputs=(INPUTS, settings)), rows)
    wanted = np.random.default_rng(0).integers(0, len(rows), (4, 30))
    np.testing.assert_array_equal(inputs.take(wanted), INPUTS[rows][wanted])
