import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from pipeline.training import checkpoint
from pipeline.training.progress import Progress
from tests.conftest import PATIENCE, ROOT

STATE = {
    "model/0000": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "model/0001": np.array([1, 2], np.uint32),
    "optimizer/0000": np.array(7, np.int64),
    "optimizer/0001": np.array(0.001, np.float32),
    "optimizer/0002": np.array([[0.1, -0.0, 1e-42]], np.float32),
}
BEST = [np.full((2, 2), i, np.float32) for i in range(12)]
PROGRESS = Progress(5, 3, {"loss": 0.1, "val_loss": 1 / 3, "val_accuracy": 0.9}, 12.75)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.h5"


def assert_same(one, other):
    """Equal to the bit, whatever the container."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = one.values(), other.values()
    for a, b in zip(one, other, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("best", [BEST, BEST[:1], []])
@pytest.mark.parametrize("progress", [PROGRESS, Progress()])
def test_what_is_saved_is_loaded(path, best, progress):
    checkpoint.save(path, STATE, best, progress)
    state, best_again, progress_again = checkpoint.load(path)
    assert_same(state, STATE)
    assert_same(best_again, best)
    assert progress_again == progress


def test_saving_again_replaces(path):
    checkpoint.save(path, STATE, BEST, PROGRESS)
    checkpoint.save(path, STATE, BEST[:2], Progress(6))
    _, best, progress = checkpoint.load(path)
    assert (len(best), progress.epoch) == (2, 6)
    assert list(path.parent.iterdir()) == [path]


def test_no_file_is_no_state(path):
    assert checkpoint.load(path) is None


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("not HDF5")


def flip_a_weight(path):
    whole = bytearray(path.read_bytes())
    at = bytes(whole).index(STATE["model/0000"].tobytes())
    whole[at + 5] ^= 1
    path.write_bytes(whole)


def flip_the_progress(path):
    path.write_bytes(path.read_bytes().replace(b'"epoch": 5', b'"epoch": 4'))


def drop_a_weight(path):
    with h5py.File(path, "r+") as file:
        del file["model/0001"]


def drop_the_progress(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["progress"]


@pytest.mark.parametrize(
    "damage", [truncate, empty, text, flip_a_weight, flip_the_progress, drop_a_weight, drop_the_progress]
)
def test_a_damaged_file_is_no_state(path, damage):
    checkpoint.save(path, STATE, BEST, PROGRESS)
    before = path.read_bytes()
    damage(path)
    assert path.read_bytes() != before
    assert checkpoint.load(path) is None


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "loss scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01), initial_scale=256.0, dynamic_growth_steps=5
    ),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_resuming_after_k_epochs_equals_not_stopping_to_the_bit(
    make_model, make_trainer, splits, rates, path, optimizer
):
    """With dropout, batch norm and optimizer slots, into a model that began with other weights and seeds."""

    def train(trainer, epochs):
        return [{**trainer.train_epoch(rates(0.01 / (1 + epoch))), **trainer.evaluate()} for epoch in epochs]

    whole = make_trainer(make_model(splits, dropout_rate=0.3), optimizer(), splits)
    history = train(whole, range(4))

    first = make_trainer(make_model(splits, dropout_rate=0.3), optimizer(), splits)
    assert train(first, range(2)) == history[:2]
    checkpoint.save(path, first.state(), first.weights(), Progress(2))
    train(first, range(2, 3))  # what happens after the checkpoint is lost

    state, best, progress = checkpoint.load(path)
    other = make_model(splits, seed=99, dropout_rate=0.3)
    second = make_trainer(other, optimizer(), splits, start_epoch=progress.epoch)
    second.restore(0, state)
    assert_same(second.weights(), best)
    assert train(second, range(2, 4)) == history[2:]
    assert_same(second.state(), whole.state())


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from pipeline.training import checkpoint
from pipeline.training.progress import Progress
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
checkpoint.save(path, {"model/0000": np.zeros(5), "optimizer/0000": np.zeros(5)}, [], Progress(epoch=1))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    checkpoint.save(path, {"model/0000": np.random.default_rng(0).random(50_000)}, [], Progress(epoch=2))
except OSError as error:
    print(error.strerror, checkpoint.load(path)[2].epoch, [p.name for p in path.parent.iterdir()])
"""


@pytest.mark.parametrize("limit", [1000, 10_000, 100_000, 300_000])
def test_a_full_disk_is_an_error_and_the_state_before_it_stays(path, limit):
    """A limit on the size of files fails writes as a full disk does, on which HDF5 itself crashes."""
    line = [sys.executable, "-c", FULL, str(path), str(limit)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    assert done.stdout == "File too large 1 ['state.h5']\n", done.stderr
