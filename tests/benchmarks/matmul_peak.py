"""What this machine can do at most: `python -m tests.benchmarks.matmul_peak` prints the floating-point operations a
second of one large float32 matrix multiplication in TensorFlow, the best of some."""

import time

import tensorflow as tf

SIZE = 4096
REPEATS = 8

a = tf.random.normal([SIZE, SIZE])
tf.matmul(a, a).numpy()
seconds = []
for _ in range(REPEATS):
    began = time.perf_counter()
    tf.matmul(a, a)[0, 0].numpy()
    seconds.append(time.perf_counter() - began)
print(2 * SIZE**3 / min(seconds))
