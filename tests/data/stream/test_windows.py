import numpy as np
import pytest

from pipeline.data.rows import Sizes
from pipeline.data.stream.windows import Windows
from tests.data.conftest import SHAPE, N, examples, order, stored

STARTS = np.arange(0, N, 64)


def windows(size=160, n=N, starts=STARTS, seed=0):
    return Windows(n, starts, size, seed)


@pytest.mark.parametrize("size", [1, 8, 64, 100, 160, N - 1, N, 5000])
@pytest.mark.parametrize("starts", [STARTS, np.array([0]), np.array([0, 1, 500, 999]), np.arange(N)])
def test_an_epoch_has_every_row_once(starts, size):
    found = windows(size, starts=starts)
    for epoch in (0, 1):
        assert sorted(order(found, epoch)) == list(range(N))
    for window in range(len(found)):
        rows = sum(stop - start for start, stop in found.spans(window, 0))
        assert rows == min(size, N - window * size)


def test_the_order_is_a_pure_function_of_seed_and_epoch():
    first = order(windows(), 3)
    np.testing.assert_array_equal(order(windows(), 3), first)
    assert not np.array_equal(order(windows(), 4), first)
    assert not np.array_equal(order(windows(seed=1), 3), first)


def test_spans_are_whole_blocks_but_at_the_edges_of_a_window():
    found = windows(size=160)
    cut = [
        (start, stop)
        for window in range(len(found))
        for start, stop in found.spans(window, 0)
        if (start % 64 or stop % 64) and stop != N
    ]
    assert len(cut) <= 2 * len(found)


def adjacent(rows, distance=64):
    """The share of neighbours in the order of an epoch that lie within `distance` rows in the file."""
    return float((np.abs(np.diff(rows)) < distance).mean())


@pytest.mark.parametrize(("blocks", "most"), [(1, 1.0), (4, 0.4), (8, 0.2), (16, 0.1)])
def test_a_window_of_k_blocks_mixes_k_places_of_the_file(blocks, most):
    """Of 6,400 rows; a full shuffle leaves 2 % of neighbours within 64 rows."""
    n = 6400
    share = np.mean([adjacent(order(windows(64 * blocks, n, np.arange(0, n, 64)), epoch)) for epoch in range(5)])
    assert 0.9 / blocks < share < min(1.01, 1.9 / blocks + 0.02) <= most + 0.12
    full = np.mean([adjacent(order(windows(n, n, np.arange(0, n, 64)), epoch)) for epoch in range(5)])
    assert full == pytest.approx(0.02, abs=0.005)


def test_batches_of_a_file_sorted_by_class_are_mixed():
    """Ten classes one after another, windows of 16 of 100 blocks: a batch of 32 has at least 7, of the 8.1 that 16
    blocks have; a full shuffle gives 9.7."""
    n = 6400
    labels = np.arange(n) // 640
    batches = labels[order(windows(1024, n, np.arange(0, n, 64)), 0)].reshape(-1, 32)
    assert np.mean([len(np.unique(batch)) for batch in batches]) > 7


def test_a_window_is_of_whole_batches_and_bounded(write):
    path = write(inputs=(examples()[0], {"chunks": (40, *SHAPE)}))  # 1,200 bytes
    inputs = stored(path, sizes=Sizes(block=1000, window=3000, largest_window=6000))
    found = Windows.of(inputs, batch_size=32, seed=0)
    assert found.size % 32 == 0
    assert 30 * found.size <= 6000  # sixteen blocks would be more
    assert Windows.of(inputs, batch_size=1000, seed=0).size == 1000  # never less than a batch
