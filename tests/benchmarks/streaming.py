"""Reports on data that streams: whether loading hides behind training, how fast files are read, how well they are
shuffled, and that memory stays bounded."""

import os
import resource
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import h5py
import numpy as np

from tests.benchmarks.stopwatch import ENVIRONMENT, ROOT, Failed

IMAGE = (32, 32, 3)
FORMATS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunks": {"chunks": (256, *IMAGE)},
    "chunks, lzf": {"chunks": (256, *IMAGE), "compression": "lzf"},
    "chunks, gzip": {"chunks": (256, *IMAGE), "compression": "gzip", "compression_opts": 1},
}
BATCH_SIZE = 256
MANY = 64  # batches, of 50 MB, which are in no processor's cache


def images(n: int, seed: int = 0) -> np.ndarray:
    """Smooth images of bytes, which compress to about a half, as photographs do."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 16, (n, *IMAGE), np.uint8)
    noise += np.linspace(0, 200, IMAGE[0]).astype(np.uint8)[:, None, None]
    return noise


def written(path: Path, n: int, settings: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        inputs = file.create_dataset("inputs", (n, *IMAGE), np.uint8, **settings)
        for start in range(0, n, 4096):
            inputs[start : start + 4096] = images(min(4096, n - start), seed=start)
        file["labels"] = np.arange(n) % 10
    return path


def split_of(path: Path) -> Any:
    from pipeline.data.splits import Split
    from pipeline.data.stream.stored import Stored

    with h5py.File(path) as file:
        labels = file["labels"][()].astype(np.int32)
    return Split(Stored(path, "inputs", np.arange(len(labels))), labels)


def medians(repeats: int, *contenders: Callable[[], float]) -> list[float]:
    """The median seconds of each, run in turn."""
    return [median(column) for column in zip(*rounds(repeats, *contenders))]


def rounds(repeats: int, *contenders: Callable[[], float]) -> list[list[float]]:
    return [[contender() for contender in contenders] for _ in range(repeats)]


def trainer_on(batches: Any, units: int) -> Any:
    """A network of a hidden layer."""
    import keras

    from pipeline.data.splits import Split
    from pipeline.heads.metrics import Accuracy, Loss
    from pipeline.heads.softmax import Softmax
    from pipeline.training.solo import SoloTrainer

    keras.utils.set_random_seed(0)
    inputs = keras.Input(IMAGE)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Dense(units, "relu")(x)))
    from pipeline.data.input_pipeline import evaluation_batches

    few = Split(images(8), np.zeros(8, np.int32))
    validation = evaluation_batches(few, batch_size=8)
    optimizer = keras.optimizers.SGD(0.01)
    head = Softmax("softmax", (Loss("loss"), Accuracy("accuracy")))
    return SoloTrainer(model, optimizer, batches=batches, validation=validation, validation_steps=1, head=head)


def seconds_of_an_epoch(batches: Any, steps: int, units: int = 128) -> Callable[[], float]:
    trainer = trainer_on(batches, units)
    rates = np.full(steps, 0.01, np.float32)

    def epoch() -> float:
        trainer.train_epoch(rates)  # so that as much is read ahead before the timed epoch as after it
        began = time.perf_counter()
        trainer.train_epoch(rates)
        return time.perf_counter() - began

    return epoch


def overlap(folder: Path, options: Namespace) -> Iterator[str]:
    """Loading that takes as long as training: an epoch with prefetch, and without; 1.15 of the larger is the target."""
    import tensorflow as tf

    from pipeline.data.input_pipeline import training_batches
    from pipeline.data.splits import Split
    from pipeline.data.stream.stored import Stored

    folder.mkdir(parents=True, exist_ok=True)
    n = 400 * BATCH_SIZE
    split = split_of(written(folder / "data.h5", n, FORMATS["chunks"]))
    steps = n // BATCH_SIZE
    fixed = tf.data.Dataset.from_tensors((images(BATCH_SIZE), np.zeros(BATCH_SIZE, np.int32))).repeat()
    training = seconds_of_an_epoch(fixed, steps)
    (alone,) = medians(options.repeats, training)
    delay = alone / n

    medium = threading.Lock()

    class Slow(Stored):
        """Rows of a medium that takes as long as training on them, whoever reads."""

        def read(self, start: int, stop: int) -> np.ndarray:
            with medium:
                time.sleep(delay * (stop - start))
            return super().read(start, stop)

    slow = Split(Slow(split.inputs.path, "inputs", split.inputs.rows), split.labels)

    def batches() -> Any:
        return training_batches(slow, batch_size=BATCH_SIZE, seed=0)

    endless = iter(batches())

    def loading() -> float:
        for _ in range(steps):
            next(endless)
        began = time.perf_counter()
        for _ in range(steps):
            next(endless)
        return time.perf_counter() - began

    original = tf.data.Dataset.map
    with (
        mock.patch.object(tf.data.Dataset, "prefetch", lambda self, *_: self),
        mock.patch.object(tf.data.Dataset, "map", lambda self, function, *_, **__: original(self, function)),
    ):
        unbuffered = seconds_of_an_epoch(batches(), steps)
    buffered = seconds_of_an_epoch(batches(), steps)
    load, train, both, serial = medians(options.repeats, loading, training, buffered, unbuffered)
    yield f"an epoch of {steps} steps of {BATCH_SIZE} images {IMAGE}: loading {load:.2f} s, training {train:.2f} s"
    yield f"with prefetch     {both:.2f} s, {both / max(load, train):.2f} of the larger (target: at most 1.15)"
    yield f"without prefetch  {serial:.2f} s, {serial / (load + train):.2f} of the sum"


def reading(folder: Path, options: Namespace) -> Iterator[str]:
    """Batches shuffled from an HDF5 file, against h5py reading it from begin to end; 0.9 is the target."""
    import tensorflow as tf

    from pipeline.data.input_pipeline import training_batches

    @tf.function
    def taken(batches: Any, steps: tf.Tensor) -> None:
        """As training takes them: by a loop that TensorFlow runs."""
        for _ in tf.range(steps):
            next(batches)

    folder.mkdir(parents=True, exist_ok=True)
    yield f"Images {IMAGE} in batches of {BATCH_SIZE}; an epoch, MB/s"
    yield "                     MB   from          h5py, in order   streamed, shuffled   ratio"
    for name, size, cached in [*((name, 512, True) for name in FORMATS), ("contiguous", 2048, False)]:
        n = size * BATCH_SIZE
        path = written(folder / "images.h5", n, FORMATS[name])
        split, megabytes = split_of(path), n * np.prod(IMAGE) / 1e6
        batches = training_batches(split, batch_size=BATCH_SIZE, seed=0)

        def plain(path: Path = path, n: int = n, cached: bool = cached) -> float:
            if not cached:
                forgotten(path)
            with h5py.File(path) as file:
                began = time.perf_counter()
                for start in range(0, n, BATCH_SIZE):
                    _ = file["inputs"][start : start + BATCH_SIZE]
                return time.perf_counter() - began

        def streamed(batches: Any = batches, path: Path = path, size: int = size, cached: bool = cached) -> float:
            ahead, steps = iter(batches), tf.constant(size)
            if cached:
                taken(ahead, steps)  # as much is read ahead before the timed epoch as after it
            else:
                forgotten(path)
            began = time.perf_counter()
            taken(ahead, steps)
            return time.perf_counter() - began

        streamed()
        a, b = (megabytes / seconds for seconds in medians(options.repeats, plain, streamed))
        place = "page cache" if cached else "disk"
        yield f"{name:<16} {megabytes:>6.0f}   {place:<10} {a:>17.0f} {b:>20.0f} {b / a:>7.2f}"
        path.unlink()


def forgotten(path: Path) -> None:
    """Nothing of a file stays in the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def from_memory(folder: Path, options: Namespace) -> Iterator[str]:
    """Training on data in memory, against training on batches that are there already; 5 % of loss is the target.

    One batch again and again stays in the processor's cache, where no data could be that is trained on; many do not.
    """
    import tensorflow as tf

    from pipeline.data.input_pipeline import training_batches
    from pipeline.data.splits import Split

    n = 400 * BATCH_SIZE
    held = Split(images(n), (np.arange(n) % 10).astype(np.int32))

    def there(n_batches: int) -> Any:
        """Some batches in turn, without a copy."""
        spans = [slice(i * BATCH_SIZE, (i + 1) * BATCH_SIZE) for i in range(n_batches)]
        single = [tf.data.Dataset.from_tensors((held.inputs[span], held.labels[span])) for span in spans]
        return reduce(tf.data.Dataset.concatenate, single).repeat()

    contenders = {
        "one batch": there(1),
        f"{MANY} batches": there(MANY),
        "all data": training_batches(held, batch_size=BATCH_SIZE, seed=0),
    }
    yield f"{n // BATCH_SIZE} batches of {BATCH_SIZE} images {IMAGE}; seconds an epoch"
    yield "hidden units   " + "".join(f"{name:>12}" for name in contenders) + "   beside one, beside many"
    for units in (128, 1024):
        epochs = [seconds_of_an_epoch(batches, n // BATCH_SIZE, units) for batches in contenders.values()]
        found = rounds(max(9, options.repeats), *epochs)
        seconds = "".join(f"{median(column):>12.3f}" for column in zip(*found))
        beside = "".join(f"{median(r[2] / r[i] for r in found) - 1:>+13.1%}" for i in range(2))  # of each round
        yield f"{units:>12}   {seconds}{beside}"


def shuffle(folder: Path, options: Namespace) -> Iterator[str]:
    """How mixed batches of a file sorted by class are: classes in a batch, by the size of the window."""
    from pipeline.data.stream.windows import Windows
    from tests.data.conftest import order

    n, block, n_classes, batch = 100 * 640, 640, 10, 32
    labels = np.arange(n) // (n // n_classes)
    yield f"{n // block} blocks, {n_classes} classes one after another, batches of {batch}"
    yield "window       classes in a batch   neighbours of the same block"
    for blocks in (1, 4, 16, 64, 100):
        rows = order(Windows(n, np.arange(0, n, block), blocks * block, 0), 0)
        classes = np.mean([len(np.unique(part)) for part in labels[rows].reshape(-1, batch)])
        same = np.mean(np.diff(rows // block) == 0)
        yield f"{blocks:>3} blocks {classes:>18.1f} {same:>28.1%}"


LIMIT = 2 * 10**9


def larger(folder: Path, options: Namespace) -> Iterator[str]:
    """A 6 GB file under a limit of 2 GB of memory: an epoch, and the most that any process held."""
    folder.mkdir(parents=True, exist_ok=True)
    n = 6 * 10**9 // int(np.prod(IMAGE))
    path = folder / "large.h5"
    try:
        began = time.perf_counter()
        written(path, n, FORMATS["chunks"])
        yield f"{path.stat().st_size / 1e9:.1f} GB, {n:,} images, written in {time.perf_counter() - began:.0f} s"
        line = [sys.executable, str(ROOT / "run.py"), "dataset=hdf5", f"dataset.file={path}", "tracking=none"]
        line += ["model=softmax_regression", "train.epochs=2", "train.batch_size=512"]
        began = time.perf_counter()
        done = subprocess.run(
            line,
            cwd=folder,
            capture_output=True,
            text=True,
            env={**os.environ, **ENVIRONMENT},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT)),
        )
        if done.returncode:
            raise Failed(done.stdout[-2000:] + done.stderr[-2000:])
        seconds = time.perf_counter() - began
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
        yield f"two epochs in {seconds:.0f} s; the largest process held {most:.2f} GB"
        yield from done.stdout.splitlines()[-6:]
    finally:
        path.unlink(missing_ok=True)


REPORTS = {"overlap": overlap, "reading": reading, "from_memory": from_memory, "shuffle": shuffle, "larger": larger}
