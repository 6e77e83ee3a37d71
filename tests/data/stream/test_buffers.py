import gc
import threading

import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.stream.buffers import ALIGNMENT, IDLE, Buffers


@pytest.mark.parametrize(("shape", "dtype"), [((4, 3), "u1"), ((2, 2, 2), "f4"), ((33,), "u1")])
def test_an_array_has_its_shape_and_begins_where_tensorflow_wants_it(shape, dtype):
    found = Buffers().array(shape, np.dtype(dtype))
    assert (found.shape, found.dtype) == (shape, np.dtype(dtype))
    assert found.ctypes.data % ALIGNMENT == 0


def test_idle_memory_is_bounded_and_given_to_what_it_suits():
    buffers = Buffers()

    def ask(*sizes):
        return [buffers.array((size,), np.dtype(np.uint8)) for size in sizes]

    arrays = ask(*[1000] * 10)
    assert len(buffers.idle) == 0
    del arrays
    assert len(buffers.idle) == IDLE
    (small,) = ask(10)
    assert small.base is not None and len(buffers.idle) == IDLE - 1  # within a large one
    (large,) = ask(2000)
    assert len(buffers.idle) == IDLE - 2  # what was too small is let go
    del small, large
    ask(5)
    assert max(map(len, buffers.idle)) == 2000 + ALIGNMENT


def piped(array, use):
    """What tf.data makes of an array that Python gives it."""
    box = [array]  # TensorFlow holds the function for as long as the data set lives
    del array

    def read(_):
        return tf.ensure_shape(tf.numpy_function(box.pop, [], tf.float32), [8, 16])

    given = tf.data.Dataset.range(1).map(read)
    return next(iter(given.map(tf.autograph.experimental.do_not_convert(use))))


@pytest.mark.parametrize(
    ("hold", "shared"),
    [
        (lambda array: array, True),
        (lambda array: array[1:, 2], True),
        (lambda array: array.reshape(-1).view(np.uint8)[3:].data, True),
        (lambda array: piped(array, lambda x: x), True),
        (lambda array: piped(array, lambda x: x[:, 2:]), False),
        (lambda array: piped(array, lambda x: x[4:]), True),  # TensorFlow shares rows of whole 64 bytes
        (lambda array: memoryview(piped(array, lambda x: x[4:])), True),
        (lambda array: piped(array, lambda x: tf.reduce_sum(x)), False),
    ],
    ids=["itself", "a part", "its bytes", "a tensor", "columns of it", "a slice", "its bytes in Python", "a sum"],
)
def test_memory_is_given_again_once_nothing_holds_it(hold, shared):
    buffers = Buffers()
    array = buffers.array((8, 16), np.dtype(np.float32))
    address = array.ctypes.data
    array[:] = np.arange(128).reshape(8, 16)
    held = hold(array)
    before = np.array(held).copy()
    del array
    flush()
    other = buffers.array((8, 16), np.dtype(np.float32))
    other[:] = -1
    np.testing.assert_array_equal(np.array(held), before, strict=True)
    assert (other.ctypes.data != address) == shared
    del held, other
    flush()
    several = [buffers.array((8, 16), np.dtype(np.float32)) for _ in range(2)]
    assert address in {array.ctypes.data for array in several}
    assert several[0].ctypes.data != several[1].ctypes.data


def flush():
    """TensorFlow lets go of arrays when it next calls Python, and of functions when they are collected."""
    gc.collect()
    piped(np.zeros((8, 16), np.float32), lambda x: x + 1)


def test_threads_get_memory_of_their_own():
    buffers, seen, gate = Buffers(), [], threading.Barrier(8)

    def take():
        gate.wait()
        seen.append(buffers.array((1024,), np.dtype(np.uint8)))

    for _ in range(20):
        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({array.ctypes.data for array in seen}) == 8
        seen.clear()
