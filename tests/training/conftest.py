"""Small models on real data, trained in well under a second."""

import contextlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.input_pipeline import evaluation_batches, steps_per_epoch, training_batches
from pipeline.data.sets.planar import blobs
from pipeline.models.layers import normalized
from pipeline.models.mlp import mlp
from pipeline.training.solo import SoloTrainer
from tests.conftest import head

BATCH_SIZE = 16

with contextlib.suppress(RuntimeError):  # bits differ from run to run on a GPU
    tf.config.set_visible_devices([], "GPU")


@pytest.fixture(scope="session")
def splits():
    """Three overlapping clouds; 90 training examples are 5 batches of 16 and one of 10."""
    fractions = {"validation_fraction": 0.2, "test_fraction": 0.2}
    return blobs(n_classes=3, examples_per_class=50, spread=0.6, **fractions, seed=0)


@pytest.fixture(scope="session")
def two_classes():
    fractions = {"validation_fraction": 0.2, "test_fraction": 0.2}
    return blobs(n_classes=2, examples_per_class=50, spread=0.9, **fractions, seed=0)


@pytest.fixture(scope="session")
def steps(splits):
    return steps_per_epoch(len(splits.train), BATCH_SIZE)


@pytest.fixture
def make_model():
    """A network from raw inputs to logits with weights that follow from `seed`."""

    def make(
        splits, *, seed=0, head_name="softmax", hidden_layers=1, dropout_rate=0.0, norm_placement="before_activation"
    ):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input(splits.input_shape)
        logits = mlp(
            normalized(inputs, *splits.normalization()),
            head(head_name).n_outputs(splits.n_classes),
            hidden_units=8,
            hidden_layers=hidden_layers,
            activation="relu",
            norm_placement=norm_placement,
            norm_momentum=0.9,
            norm_epsilon=1e-3,
            dropout_rate=dropout_rate,
        )
        return keras.Model(inputs, logits)

    return make


def plain(dataset):
    """An iterator that tunes itself may take as long to free as it lived, and a hundred tests leave a hundred."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def batches(splits, start_epoch=0):
    return plain(training_batches(splits.train, batch_size=BATCH_SIZE, seed=0, start_epoch=start_epoch))


@pytest.fixture
def make_trainer():
    """A SoloTrainer of `model` on `splits`."""

    def make(model, optimizer, splits, *, start_epoch=0, head_name="softmax", **settings):
        return SoloTrainer(
            model,
            optimizer,
            batches=batches(splits, start_epoch),
            validation=plain(evaluation_batches(splits.validation, batch_size=BATCH_SIZE)),
            validation_steps=steps_per_epoch(len(splits.validation), BATCH_SIZE),
            head=head(head_name),
            **settings,
        )

    return make


@pytest.fixture
def batches_of():
    """The batches that make_trainer's trainer sees."""
    return batches


@pytest.fixture(scope="session")
def rates(steps):
    """The learning rates of an epoch of a constant schedule."""
    return lambda rate: np.full(steps, rate, np.float32)


@pytest.fixture(scope="session")
def conf():
    return Path(__file__).parents[2] / "conf"
