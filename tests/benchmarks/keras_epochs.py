"""The peer of `python run.py` where an epoch is measured: `fit` on Caviar's own tf.data pipeline, validation included.

Tuned: a whole epoch for each call of the training function (`steps_per_execution`). Plain: a call a step.
"""

import time

import keras

from pipeline.data.input_pipeline import steps_per_epoch, training_batches
from tests.benchmarks import peer, recipe
from tests.benchmarks.epochs import EPOCHS


class Stopwatch(keras.callbacks.Callback):
    """The seconds of each epoch, from its first batch to the end of its validation."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds.append(time.perf_counter() - self.began)


options = peer.arguments(__doc__, "--contest")
contest = EPOCHS[options.contest]
splits = contest.splits(recipe.SEED)
batch_size = contest.network.get("batch_size", recipe.BATCH_SIZE)
keras.utils.set_random_seed(recipe.SEED)
model = recipe.compiled(splits, plain=options.plain, **contest.network)
stopwatch = Stopwatch()
history = model.fit(
    training_batches(splits.train, batch_size=batch_size, seed=recipe.SEED),
    steps_per_epoch=steps_per_epoch(len(splits.train), batch_size),
    validation_data=recipe.whole_validation(splits),
    epochs=options.epochs,
    callbacks=[stopwatch],
    verbose=0,
).history
peer.write_result(options.output, [history], seconds=stopwatch.seconds)
