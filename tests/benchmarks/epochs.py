"""The contests of one trial: the seconds of an epoch after the first, or of the whole run."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.data.splits import Splits
from tests.benchmarks import readings
from tests.benchmarks.peer import default_splits
from tests.benchmarks.random_data import random_data
from tests.benchmarks.stopwatch import Contender
from tests.benchmarks.sweeps import caviar_command, peer_command, variant

RANDOM_DATA = (
    "--config-dir=tests/benchmarks/conf",
    "dataset=random",
    "allowed_targets=[pipeline.,keras.optimizers.,tests.benchmarks.]",
)


@dataclass(frozen=True)
class Epoch:
    """settings: of Caviar; network: the same as keywords of recipe.compiled(); splits: the data, by seed."""

    what: str
    epochs: int
    target: float
    settings: tuple[str, ...] = ()
    network: dict[str, Any] = field(default_factory=dict)
    splits: Callable[[int], Splits] = default_splits

    def title(self, options: Namespace) -> str:
        last = options.epochs or self.epochs
        return f"{self.what}, seconds of an epoch with its validation, median of epochs 2 to {last}"

    def contenders(self, name: str, folder: Path, options: Namespace) -> list[Contender]:
        epochs = f"{options.epochs or self.epochs}"

        def caviar(output: Path) -> list[str]:
            return caviar_command(output, epochs, *self.settings, "tracking=none", *options.set)

        contenders = [Contender("Caviar", caviar, readings.caviar_epoch)]
        for plain in options.variants:
            arguments = (f"--contest={name}",)
            command = partial(peer_command, module="keras_epochs", epochs=epochs, plain=plain, arguments=arguments)
            rival = f"Keras fit, {variant(plain)}"
            contenders.append(Contender(rival, command, readings.peer_epoch, self.target, binding=plain))
        return contenders


@dataclass(frozen=True)
class Single:
    """One model with the default hyperparameters, against a script that trains and records the same."""

    epochs: int = 20

    def title(self, options: Namespace) -> str:
        return f"one run of {options.epochs or self.epochs} epochs, seconds of whole processes"

    def contenders(self, name: str, folder: Path, options: Namespace) -> list[Contender]:
        epochs = f"{options.epochs or self.epochs}"
        contenders = [Contender("Caviar", lambda o: caviar_command(o, epochs, *options.set), readings.caviar)]
        for plain in options.variants:
            command = partial(peer_command, module="keras_single", epochs=epochs, plain=plain)
            contenders.append(Contender(f"Keras script, {variant(plain)}", command, readings.peer))
        return contenders


EPOCHS = {
    "epoch_one": Epoch("one trial on digits", epochs=40, target=2),
    "large_one": Epoch(
        "one MLP of 3 x 2048 on 60,000 x 784, batch 256",
        epochs=4,
        target=1 / 1.03,
        settings=(*RANDOM_DATA, "model.hidden_units=2048", "model.hidden_layers=3", "train.batch_size=256"),
        network={"hidden_units": 2048, "hidden_layers": 3, "batch_size": 256},
        splits=lambda seed: random_data(seed=seed),
    ),
}
SINGLE = {"single": Single()}
