import gc
import itertools
import os
import subprocess
import sys
import time
import weakref

import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.input_pipeline import FIXED, evaluation_batches, steps_per_epoch, training_batches
from pipeline.data.splits import Split
from pipeline.data.stream.stored import Stored
from tests.conftest import PATIENCE, ROOT, wait_for
from tests.data.conftest import BLOCKS, FORMATS, SHAPE, WINDOWS, examples
from tests.data.conftest import N as ROWS

N = 23
# The input says which example it is, so that a batch shows its order.
SPLIT = Split(
    np.stack([np.arange(N), 100 + np.arange(N)], axis=1).astype(np.float32), (np.arange(N) % 5).astype(np.int32)
)


def take(batches, n):
    options = tf.data.Options()
    options.autotune.enabled = False  # an iterator that tunes itself may take as long to free as it lived
    batches = batches.with_options(options)
    return [(inputs.numpy(), labels.numpy()) for inputs, labels in itertools.islice(batches, n)]


def order(batch_size, n_epochs, seed=0, start_epoch=0):
    """The indices of the examples, epoch by epoch and batch by batch."""
    steps = steps_per_epoch(N, batch_size)
    batches = take(training_batches(SPLIT, batch_size=batch_size, seed=seed, start_epoch=start_epoch), steps * n_epochs)
    indices = [inputs[:, 0].astype(int).tolist() for inputs, _ in batches]
    return [indices[i : i + steps] for i in range(0, len(indices), steps)]


def flat(epoch):
    return list(itertools.chain(*epoch))


@pytest.mark.parametrize(
    ("n", "batch_size", "steps"), [(10, 5, 2), (11, 5, 3), (1, 5, 1), (5, 5, 1), (6, 5, 2), (1437, 32, 45), (7, 1, 7)]
)
def test_steps_per_epoch(n, batch_size, steps):
    assert steps_per_epoch(n, batch_size) == steps


@pytest.mark.parametrize("batch_size", [1, 5, 8, N, 100])
def test_each_epoch_is_another_permutation_in_batches_of_which_the_last_may_be_partial(batch_size):
    epochs = order(batch_size, 3)
    assert [sorted(flat(epoch)) for epoch in epochs] == [list(range(N))] * 3
    for epoch in epochs:
        full, rest = divmod(N, batch_size)
        assert [len(batch) for batch in epoch] == [batch_size] * full + [rest] * (rest > 0)
    assert len({tuple(flat(epoch)) for epoch in epochs}) == 3
    assert list(range(N)) not in map(flat, epochs)


def test_the_order_is_a_pure_function_of_seed_and_epoch():
    epochs = order(5, 4, seed=7)
    assert order(5, 4, seed=7) == epochs
    tf.random.set_seed(1)
    np.random.seed(1)
    assert order(5, 4, seed=7) == epochs
    assert order(5, 4, seed=8) != epochs
    # and not of the batch size: the same permutation, cut otherwise
    assert [flat(epoch) for epoch in order(8, 4, seed=7)] == [flat(epoch) for epoch in epochs]


@pytest.mark.parametrize("start_epoch", [1, 2, 5])
def test_starting_at_an_epoch_equals_skipping_those_before(start_epoch):
    assert order(5, 2, start_epoch=start_epoch) == order(5, start_epoch + 2)[start_epoch:]


def test_the_largest_seed_works():
    assert sorted(flat(order(5, 1, seed=2**31 - 1)[0])) == list(range(N))


def test_batches_carry_inputs_with_their_labels():
    for inputs, labels in take(training_batches(SPLIT, batch_size=4, seed=0), 12):
        assert (inputs.dtype, labels.dtype) == (np.float32, np.int32)
        np.testing.assert_array_equal(inputs[:, 1], inputs[:, 0] + 100)
        np.testing.assert_array_equal(labels, inputs[:, 0] % 5)


def test_training_batches_do_not_end():
    assert len(take(training_batches(SPLIT, batch_size=5, seed=0), 1000)) == 1000


@pytest.mark.parametrize(("batch_size", "sizes"), [(1024, [N]), (10, [10, 10, 3]), (N, [N]), (1, [1] * N)])
def test_evaluation_batches_hold_every_example_in_order_again_and_again(batch_size, sizes):
    batches = take(evaluation_batches(SPLIT, batch_size=batch_size), 3 * steps_per_epoch(N, batch_size))
    assert [len(labels) for _, labels in batches] == 3 * sizes
    np.testing.assert_array_equal(np.concatenate([inputs for inputs, _ in batches]), np.tile(SPLIT.inputs, (3, 1)))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), np.tile(SPLIT.labels, 3))


@pytest.mark.parametrize(
    "make", [lambda: training_batches(SPLIT, batch_size=5, seed=0), lambda: evaluation_batches(SPLIT, batch_size=5)]
)
def test_the_last_step_is_a_prefetch(make):
    # The next batch is made while the model trains on this one; anything behind it would wait again.
    assert type(make()).__name__ == "_PrefetchDataset"


def test_what_waits_is_bounded_however_often_the_reader_falls_behind():
    """TensorFlow doubles the buffer of a prefetch each time that a full one ran empty."""
    small = tf.data.Options()
    small.autotune.enabled, small.autotune.ram_budget = False, 2**20
    assert FIXED.autotune.ram_budget == 2**27
    split = Split(np.zeros((64, 2**15), np.uint8), np.zeros(64, np.int32))  # batches of 2**17 bytes: eight
    made = []

    def counted(inputs, seed):
        found = tf.numpy_function(lambda x: (made.append(1), x)[1], [inputs], tf.uint8)
        return tf.ensure_shape(found, inputs.shape)

    batches = iter(training_batches(split, batch_size=4, seed=0, augment=counted, options=small))
    for _ in range(10):
        for _ in range(200):
            next(batches)
        time.sleep(0.1)
    wait_for(lambda: len(made) - 10 * 200 >= 2)
    assert len(made) - 10 * 200 <= 8 + 2 * (os.cpu_count() or 1)


TWO_DEVICES = """
import tensorflow as tf
from pipeline.data.input_pipeline import iterator, training_batches
from pipeline.data.sets.planar import blobs

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
split = blobs(n_classes=3, examples_per_class=20, spread=0.2, validation_fraction=0.2, test_fraction=0.2, seed=0).train
make = lambda: training_batches(split, batch_size=8, seed=1)
here, there = iterator(make(), None), iterator(make(), "/CPU:1")


@tf.function(autograph=False)
def total(batches):
    body = lambda i, found: (i + 1, found + tf.reduce_sum(next(batches)[0]))
    return tf.while_loop(lambda i, _: i < 20, body, (tf.constant(0), tf.constant(0.0)))[1]


for _ in range(15):  # two epochs
    (x, y), (a, b) = next(here), next(there)
    assert a.device.endswith("CPU:1") and x.device.endswith("CPU:0"), (a.device, x.device)
    assert (x.numpy() == a.numpy()).all() and (y.numpy() == b.numpy()).all()
assert total(here).numpy() == total(there).numpy()
print("the same")
"""


@pytest.mark.slow
def test_batches_wait_on_the_device_that_trains():
    """A second logical CPU stands for the GPU; a process of its own, for devices can't be added later."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout == "the same\n", done.stderr


def streamed(write, settings=FORMATS["gzip"], rows=None, sizes=WINDOWS, kind=Stored):
    """Of the 1,000 examples of a file, whose first number says which they are."""
    rows = np.arange(ROWS) if rows is None else rows
    inputs, labels = examples()
    return Split(kind(write(inputs=(inputs, settings)), "inputs", rows, sizes), labels[rows].astype(np.int32))


def streamed_order(split, batch_size, n_epochs, **settings):
    steps = steps_per_epoch(len(split), batch_size)
    batches = take(training_batches(split, batch_size=batch_size, **{"seed": 0, **settings}), steps * n_epochs)
    indices = [inputs[:, 0, 0].astype(int).tolist() for inputs, _ in batches]
    return [indices[i : i + steps] for i in range(0, len(indices), steps)]


@pytest.mark.parametrize("batch_size", [1, 7, 64, ROWS, 3000])
@pytest.mark.parametrize("sizes", [BLOCKS, WINDOWS], ids=["one window", "small windows"])
def test_each_streamed_epoch_is_another_permutation_with_a_partial_last_batch(write, sizes, batch_size):
    epochs = streamed_order(streamed(write, sizes=sizes), batch_size, 3)
    assert [sorted(flat(epoch)) for epoch in epochs] == [list(range(ROWS))] * 3
    full, rest = divmod(ROWS, batch_size)
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [batch_size] * full + [rest] * (rest > 0)
    assert len({tuple(flat(epoch)) for epoch in epochs}) == 3
    assert list(range(ROWS)) not in map(flat, epochs)


def test_some_rows_of_a_file_are_streamed_and_no_others(write):
    rows = np.sort(np.random.default_rng(0).choice(ROWS, 333, replace=False))
    for epoch in streamed_order(streamed(write, rows=rows), 10, 2):
        assert sorted(flat(epoch)) == rows.tolist()


def test_the_streamed_order_is_a_pure_function_of_seed_and_epoch(write):
    split = streamed(write)
    epochs = streamed_order(split, 7, 3, seed=7)
    assert streamed_order(split, 7, 3, seed=7) == epochs
    chunked = streamed(lambda **datasets: write("chunked.h5", **datasets), FORMATS["chunked"])
    assert streamed_order(chunked, 7, 3, seed=7) == epochs  # how it is stored changes nothing
    assert streamed_order(split, 7, 3, seed=8) != epochs
    for start in (1, 2):
        assert streamed_order(split, 7, 3 - start, seed=7, start_epoch=start) == epochs[start:]


@pytest.mark.parametrize("make", [training_batches, evaluation_batches])
@pytest.mark.parametrize("settings", FORMATS.values(), ids=FORMATS)
def test_streamed_batches_carry_inputs_with_their_labels(write, make, settings):
    split = streamed(write, settings)
    offsets = 7 * np.arange(np.prod(SHAPE)).reshape(SHAPE)
    seeds = {"seed": 0} if make is training_batches else {}
    for inputs, labels in take(make(split, batch_size=48, **seeds), 25):
        assert (inputs.dtype, labels.dtype) == (split.inputs.dtype, np.int32)
        np.testing.assert_array_equal(inputs, inputs[:, :1, :1] + offsets)
        np.testing.assert_array_equal(labels, inputs[:, 0, 0] % 4)


@pytest.mark.parametrize("batch_size", [1, 64, 100, ROWS, 5000])
def test_streamed_evaluation_is_in_order_again_and_again(write, batch_size):
    split = streamed(write)
    batches = take(evaluation_batches(split, batch_size=batch_size), 2 * steps_per_epoch(ROWS, batch_size))
    found = np.concatenate([inputs[:, 0, 0] for inputs, _ in batches])
    np.testing.assert_array_equal(found, np.tile(np.arange(ROWS), 2))
    assert len(batches[0][1]) == min(batch_size, ROWS)


def test_windows_are_read_into_memory_that_is_used_again(write):
    """Whatever TensorFlow remembers of data sets that are gone."""
    addresses, arrays = [], []

    class Noted(Stored):
        def gather(self, spans, places, into):
            addresses.append(into.ctypes.data)
            arrays.append(weakref.ref(into))
            return super().gather(spans, places, into)

    split = streamed(write, kind=Noted)
    for make in (lambda: training_batches(split, batch_size=50, seed=0), lambda: evaluation_batches(split)) * 4:
        assert len(take(make(), 100)) == 100
        gc.collect()
    assert len(set(addresses)) < len(addresses) / 4
    assert sum(array() is not None for array in arrays) <= 8


def test_streamed_batches_can_be_gone_through_twice(write):
    """An iterator that is made anew begins anew: no data set here is used up by reading it."""
    split = streamed(write)
    for batches in (training_batches(split, batch_size=64, seed=0), evaluation_batches(split, batch_size=64)):
        epochs = [np.concatenate([inputs[:, 0, 0] for inputs, _ in take(batches, 16)]) for _ in range(2)]
        np.testing.assert_array_equal(*epochs)
        assert sorted(epochs[0]) == list(range(ROWS))


@pytest.mark.parametrize("make", [training_batches, evaluation_batches])
def test_the_last_streamed_step_is_a_prefetch(write, make):
    seeds = {"seed": 0} if make is training_batches else {}
    assert type(make(streamed(write), batch_size=5, **seeds)).__name__ == "_PrefetchDataset"


def test_a_window_is_read_while_another_one_is_trained_on(write):
    """What has been read when the first batch is taken: its own window and the next, not the whole file."""
    read = []

    class Noted(Stored):
        def gather(self, spans, places, into):
            read.append(spans)
            return super().gather(spans, places, into)

    split = streamed(write, kind=Noted)
    batches = iter(training_batches(split, batch_size=50, seed=0))
    next(batches)
    wait_for(lambda: len(read) >= 2)
    time.sleep(0.3)
    assert len(read) <= 4


def test_what_goes_wrong_while_streaming_is_known_by_its_split(write):
    split = streamed(write)
    batches = iter(training_batches(split, batch_size=10, seed=0))
    next(batches)
    os.utime(split.inputs.path, ns=(1, 1))
    with pytest.raises(tf.errors.OpError):
        for _ in range(300):
            next(batches)
    assert "the file changed after training on it began" in str(split.inputs.failure)
