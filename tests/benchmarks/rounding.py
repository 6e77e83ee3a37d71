"""A report without a peer: how far a fused trial's curve is from its own alone, beside what rounding by itself does.

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

EPOCHS, BATCH_SIZE, TRIALS = 10, 64, 8
RATES = (1e-4, 1e-3, 1e-2)


def rounding(folder: Path, options: Namespace) -> Iterator[str]:
    """Relative difference of the training loss: fused against alone, and alone with each batch in another order."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from pipeline.data.input_pipeline import steps_per_epoch

    splits = default_splits(0)
    steps = steps_per_epoch(len(splits.train), BATCH_SIZE)
    epochs = options.epochs or EPOCHS
    yield f"largest relative difference of the loss   epoch 1            all {epochs} epochs"
    yield "learning rate                      fused     permuted      fused     permuted"
    for rate in RATES:
        rates = np.full((TRIALS, steps), rate, np.float32)

        def curve(trainer: Any, rates: np.ndarray) -> np.ndarray:
            return np.array([trainer.epoch(rates, lambda: False)[0]["loss"] for _ in range(epochs)])

        alone = curve(_solo(splits, rate, permuted=False), rates[:1])
        others = curve(_fused(splits, rate), rates), curve(_solo(splits, rate, permuted=True), rates[:1])
        fused, permuted = (np.abs(other - alone) / alone for other in others)
        yield f"{rate:<13g} {fused[0]:>25.1e} {permuted[0]:>12.1e} {fused.max():>10.1e} {permuted.max():>12.1e}"


def _model(splits: Any) -> Any:
    import keras

    from pipeline.models.layers import normalized
    from pipeline.models.mlp import mlp

    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    inputs = keras.Input(splits.input_shape)
    settings = {"activation": "relu", "norm_placement": "before_activation", "norm_momentum": 0.9, "norm_epsilon": 1e-3}
    x = normalized(inputs, *splits.normalization())
    return keras.Model(inputs, mlp(x, splits.n_classes, hidden_units=64, hidden_layers=2, dropout_rate=0.0, **settings))


def _solo(splits: Any, rate: float, *, permuted: bool) -> Any:
    import keras
    import tensorflow as tf

    from pipeline.data.input_pipeline import evaluation_batches, training_batches
    from pipeline.heads.metrics import Loss
    from pipeline.heads.softmax import Softmax
    from pipeline.training.solo import SoloTrainer

    batches = training_batches(splits.train, batch_size=BATCH_SIZE, seed=0)
    if permuted:
        batches = batches.map(lambda inputs, labels: (tf.reverse(inputs, [0]), tf.reverse(labels, [0])))
    validation = evaluation_batches(splits.validation, batch_size=len(splits.validation))
    optimizer = keras.optimizers.Adam(rate)
    head = Softmax("softmax", (Loss("loss"),))
    return SoloTrainer(_model(splits), optimizer, batches=batches, validation=validation, validation_steps=1, head=head)


def _fused(splits: Any, rate: float) -> Any:
    import keras

    from pipeline.heads.metrics import Loss
    from pipeline.heads.softmax import Softmax
    from pipeline.training.fused.trainer import FusedTrainer

    return FusedTrainer(
        [_model(splits) for _ in range(TRIALS)],
        [keras.optimizers.Adam(rate) for _ in range(TRIALS)],
        [splits] * TRIALS,
        seeds=[0] * TRIALS,
        batch_size=BATCH_SIZE,
        label_smoothing=[0.0] * TRIALS,
        head=Softmax("softmax", (Loss("loss"),)),
    )
