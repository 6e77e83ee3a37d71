"""Training on examples that stay in their file, alone and fused."""

import time
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.formats.hdf5 import hdf5
from pipeline.data.input_pipeline import evaluation_batches, steps_per_epoch, training_batches
from pipeline.data.rows import Sizes
from pipeline.data.splits import Split, Splits
from pipeline.data.stream.stored import Stored
from pipeline.data.stream.windows import Windows
from pipeline.training.fused.trainer import FusedTrainer
from pipeline.training.solo import SoloTrainer
from tests.conftest import head
from tests.data.conftest import order
from tests.training.conftest import plain
from tests.training.fused.test_fused import assert_states_equal, beginning, model_of, rates_of, trial

pytestmark = pytest.mark.slow
BATCH_SIZE = 16
EPOCHS = 2
SMALL = Sizes(block=64, window=256, largest_window=256)  # several windows of several blocks in some kilobytes


@pytest.fixture
def in_file(splits, tmp_path):
    """`splits` in a file, each part under keys of its own: 90 examples to train on, 30 to validate with."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, part in splits.parts.items():
            file.create_dataset(f"{name}/x", data=part.inputs, chunks=(8, 2), compression="gzip")
            file[f"{name}/y"] = part.labels
    places = {name: {"inputs": f"{name}/x", "labels": f"{name}/y"} for name in ("validation", "test")}
    fractions = {"validation_fraction": 0.2, "test_fraction": 0.2}
    train = {"inputs": "train/x", "labels": "train/y"}
    whole = hdf5(file=str(tmp_path / "x.h5"), **train, **places, **fractions, memory="never", seed=0)
    streamed = {name: replace(part, inputs=in_small_blocks(part.inputs)) for name, part in whole.parts.items()}
    assert len(Windows.of(streamed["train"].inputs, BATCH_SIZE, 0)) > 2
    return replace(whole, **streamed)


def in_small_blocks(inputs):
    return Stored(inputs.path, inputs.key, inputs.rows, SMALL)


def solo(one, splits, batches=None):
    if batches is None:
        batches = training_batches(splits.train, batch_size=BATCH_SIZE, seed=one["seed"])
    return SoloTrainer(
        model_of(one, splits),
        one["optimizer"](),
        batches=batches,
        validation=evaluation_batches(splits.validation, batch_size=7),
        validation_steps=steps_per_epoch(len(splits.validation), 7),
        label_smoothing=one["label_smoothing"],
        head=head(),
    )


def fused(trials, splits, **options):
    return FusedTrainer(
        [beginning(one, splits) for one in trials],
        [one["optimizer"]() for one in trials],
        [splits] * len(trials),
        seeds=[one["seed"] for one in trials],
        batch_size=BATCH_SIZE,
        label_smoothing=[one["label_smoothing"] for one in trials],
        head=head(),
        **{"xla": False, **options},
    )


def train(trainer, trials, splits, n=EPOCHS):
    steps = steps_per_epoch(len(splits.train), BATCH_SIZE)
    return [trainer.epoch(rates_of([one["rate"] for one in trials], steps)) for _ in range(n)]


def loaded(splits):
    parts = [Split(part.inputs[:], part.labels) for part in splits.parts.values()]
    return Splits(*parts, splits.class_names)


def test_a_streamed_trial_learns_what_it_learns_from_memory_in_that_order(in_file):
    one = trial(dropout_rate=0.2)
    whole, windows = loaded(in_file), Windows.of(in_file.train.inputs, BATCH_SIZE, one["seed"])

    def batches():
        for epoch in range(EPOCHS):
            epoch_rows = order(windows, epoch)
            for start in range(0, len(epoch_rows), BATCH_SIZE):
                rows = epoch_rows[start : start + BATCH_SIZE]
                yield whole.train.inputs[rows], whole.train.labels[rows]

    signature = (tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([None], tf.int32))
    streamed = solo(one, in_file)
    held = solo(one, whole, plain(tf.data.Dataset.from_generator(batches, output_signature=signature)))
    assert train(streamed, [one], in_file) == train(held, [one], whole)
    assert_states_equal(streamed.state(), held.state())


@pytest.mark.parametrize("validation", ["streamed", "in memory"])
def test_a_fused_streamed_trial_is_the_trial_alone(in_file, validation):
    splits = in_file
    if validation == "in memory":
        held = Split(in_file.validation.inputs[:], in_file.validation.labels)
        splits = Splits(in_file.train, held, in_file.test, in_file.class_names)
    trials = [trial(dropout_rate=0.1, rate=0.003), trial(dropout_rate=0.4, label_smoothing=0.2)]
    curves = {xla: train(fused(trials, splits, resident=False, xla=xla), trials, splits) for xla in (True, False)}
    for i, one in enumerate(trials):
        alone = train(solo(one, splits), [one], splits)
        for xla, curve in curves.items():
            for ours, (theirs,) in zip(curve, alone, strict=True):
                for name in ("loss", "val_loss"):
                    assert ours[i][name] == pytest.approx(theirs[name], rel=1e-5), xla
                for name in ("accuracy", "val_accuracy"):
                    assert ours[i][name] == pytest.approx(theirs[name], abs=0.03), xla


def test_a_streamed_trial_goes_on_to_the_bit(in_file):
    one = trial(dropout_rate=0.2)
    whole, first = (fused([one], in_file, resident=False) for _ in range(2))
    curve = train(whole, [one], in_file, 4)
    assert train(first, [one], in_file, 2) == curve[:2]
    second = fused([one], in_file, resident=False, epoch=2)
    second.restore(0, first.state(0))
    assert train(second, [one], in_file, 2) == curve[2:]
    assert_states_equal(second.state(0), whole.state(0))


def test_no_epoch_after_the_first_traces_anything(in_file):
    """90 examples in batches of 16 and one of 10; validation of 30 in batches of 7 and one of 2."""
    one = trial()
    alone, together = solo(one, in_file), fused([one, trial(rate=0.02)], in_file, resident=False)
    program = together.program
    functions = {
        "solo steps": alone.run_steps,
        "solo evaluation": alone.run_evaluation,
        "stream": program.stream,
        "step": program.stream_step,
        "evaluation": program.evaluate,
    }
    counts = []
    for _ in range(3):
        train(alone, [one], in_file, 1)
        train(together, [one, trial(rate=0.02)], in_file, 1)
        counts.append({name: function.experimental_get_tracing_count() for name, function in functions.items()})
    assert counts[0] == counts[1] == counts[2]
    assert counts[0]["solo steps"] == counts[0]["solo evaluation"] == 1


@pytest.mark.parametrize("resident", [True, False])
def test_bytes_train_as_the_floats_they_are_to_the_bit(resident):
    """Images of bytes take a quarter of the room on the device and mean the same."""
    rng = np.random.default_rng(0)
    labels = np.arange(120).astype(np.int32) % 3
    images = (rng.integers(0, 200, (120, 6, 6, 1)) + 25 * labels[:, None, None, None]).astype(np.uint8)
    curves, states = [], []
    for dtype in (np.uint8, np.float32):
        cuts = [slice(0, 72), slice(72, 96), slice(96, 120)]
        splits = Splits(*[Split(images[cut].astype(dtype), labels[cut]) for cut in cuts], ("a", "b", "c"))
        one = trial(filters=[2], l2=0.01)
        trainer = fused([one], splits, resident=resident)
        curves.append(train(trainer, [one], splits))
        states.append(trainer.state(0))
    assert curves[0] == curves[1]
    assert_states_equal(*states)


@pytest.mark.parametrize("takes", [0, 50])
def test_waiting_is_what_each_batch_takes_and_not_what_training_does(takes, in_file, monkeypatch):
    """By a clock that only fetching moves: a machine that is slow trains longer, and sleeps longer than it is told."""
    clock = [0.0]
    monkeypatch.setattr(tf, "timestamp", lambda: tf.constant(clock[0], tf.float64))

    def fetched(inputs, labels):
        def fetch(x):
            clock[0] += takes
            return x

        return tf.ensure_shape(tf.numpy_function(fetch, [inputs], tf.float32), inputs.shape), labels

    one = trial()
    trainer = solo(one, in_file, training_batches(in_file.train, batch_size=BATCH_SIZE, seed=0).map(fetched))
    for name in ("run_steps", "run_evaluation"):  # a graph would ask for the time while it is traced
        monkeypatch.setattr(trainer, name, getattr(trainer, name).python_function)
    train(trainer, [one], in_file, 1)
    assert trainer.waited == takes * steps_per_epoch(len(in_file.train), BATCH_SIZE)


def test_waiting_for_data_is_measured(in_file):
    one = trial()
    alone = solo(one, in_file)
    began = time.perf_counter()
    train(alone, [one], in_file, 1)
    assert 0 < alone.waited <= time.perf_counter() - began
    on_device = fused([one], loaded(in_file))
    train(on_device, [one], in_file)
    assert on_device.waited == 0
    through_host = fused([one], in_file, resident=False)
    train(through_host, [one], in_file)
    assert through_host.waited > 0


def test_a_file_that_changes_stops_training_with_its_reason(in_file):
    one = trial()
    trainer = solo(one, in_file)
    train(trainer, [one], in_file, 1)
    path = in_file.train.inputs.path
    path.touch()
    with pytest.raises(tf.errors.OpError):
        train(trainer, [one], in_file, 20)
    assert str(in_file.failure) == f"{path}: the file changed after training on it began; start again."


def test_a_model_of_bytes_has_its_statistics_from_the_file(in_file):
    whole = loaded(in_file)
    for ours, theirs in zip(in_file.normalization(), whole.normalization(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert isinstance(model_of(trial(), in_file), keras.Model)
