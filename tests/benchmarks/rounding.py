"""A report without a peer: how far a fused trial's curve is from its own alone, beside what rounding by itself does,
and from its own in a cohort of other trials with the same widest layer, as `repeat=FOLDER` trains it.

Two lone runs that differ only in the order of the examples within each batch compute the same sums in another order:
what separates them is rounding, which training then makes grow.
"""

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.peer import default_splits

EPOCHS, BATCH_SIZE = 20, 16
WIDTHS = (23, 54, 79, 120, 170, 221)  # of the cohort's trials: narrow ones are padded to the widest
RATES = (1e-4, 1e-3, 1e-2, 4e-2, 1e-1)
COLUMNS = ("alone, fused", "alone, permuted", "fused, repeated")


def rounding(folder: Path, options: Namespace) -> Iterator[str]:
    """By learning rate: relative difference of the first epoch's training loss, the largest of six trials; and the mean
    difference of val_accuracy over all epochs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from pipeline.data.input_pipeline import steps_per_epoch

    splits = default_splits(0)
    epochs, steps = options.epochs or EPOCHS, steps_per_epoch(len(splits.train), BATCH_SIZE)
    yield f"{'':<14}" + "".join(f"{column:>24}" for column in COLUMNS)
    yield f"{'learning rate':<14}" + f"{'loss':>13}{'accuracy':>11}" * len(COLUMNS)
    for rate in RATES:
        rates = np.full((len(WIDTHS), steps), rate, np.float32)

        def curves(trainer: Any, rates: np.ndarray) -> np.ndarray:
            """[trials, epochs, 2]"""
            results = [trainer.epoch(rates, lambda: False) for _ in range(epochs)]
            return np.array([[[m["loss"], m["val_accuracy"]] for m in epoch] for epoch in results]).swapaxes(0, 1)

        def alone(rate: float, rates: np.ndarray, permuted: bool) -> np.ndarray:
            return np.concatenate([curves(_solo(splits, width, rate, permuted), rates[:1]) for width in WIDTHS])

        fused = curves(_fused(splits, WIDTHS, rate), rates)
        # Each in the place it had, beside others of whom only the number and the widest layer are as they were.
        repeated = np.stack(
            [
                curves(_fused(splits, [*[8] * i, width, *[221] * (len(WIDTHS) - 1 - i)], rate), rates)[i]
                for i, width in enumerate(WIDTHS[:-1])
            ]
        )
        plain = alone(rate, rates, permuted=False)
        pairs = ((plain, fused), (plain, alone(rate, rates, permuted=True)), (fused[:-1], repeated))
        cells = ""
        for one, other in pairs:
            loss = np.abs(one - other)[:, 0, 0] / one[:, 0, 0]
            cells += f"{loss.max():>13.1e}{np.abs(one - other)[..., 1].mean():>11.4f}"
        yield f"{rate:<14g}{cells}"


def _model(splits: Any, width: int) -> Any:
    import keras

    from pipeline.models.layers import normalized
    from pipeline.models.mlp import mlp

    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    inputs = keras.Input(splits.input_shape)
    settings = {"activation": "relu", "norm_placement": "before_activation", "norm_momentum": 0.9, "norm_epsilon": 1e-3}
    x = normalized(inputs, *splits.normalization())
    logits = mlp(x, splits.n_classes, hidden_units=width, hidden_layers=2, dropout_rate=0.0, **settings)
    return keras.Model(inputs, logits)


def _head() -> Any:
    from pipeline.heads.metrics import Accuracy, Loss
    from pipeline.heads.softmax import Softmax

    return Softmax("softmax", (Loss("loss"), Accuracy("accuracy")))


def _solo(splits: Any, width: int, rate: float, permuted: bool) -> Any:
    import keras
    import tensorflow as tf

    from pipeline.data.input_pipeline import evaluation_batches, training_batches
    from pipeline.training.solo import SoloTrainer

    batches = training_batches(splits.train, batch_size=BATCH_SIZE, seed=0)
    if permuted:
        batches = batches.map(lambda inputs, labels: (tf.reverse(inputs, [0]), tf.reverse(labels, [0])))
    validation = evaluation_batches(splits.validation, batch_size=len(splits.validation))
    settings = {"batches": batches, "validation": validation, "validation_steps": 1, "head": _head()}
    return SoloTrainer(_model(splits, width), keras.optimizers.Adam(rate), **settings)


def _fused(splits: Any, widths: Any, rate: float) -> Any:
    import keras

    from pipeline.training.fused.trainer import FusedTrainer

    n = len(widths)
    return FusedTrainer(
        [_model(splits, width) for width in widths],
        [keras.optimizers.Adam(rate) for _ in widths],
        [splits] * n,
        seeds=[0] * n,
        batch_size=BATCH_SIZE,
        label_smoothing=[0.0] * n,
        head=_head(),
    )
