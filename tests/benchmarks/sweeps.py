"""The contests of whole sweeps, from the shell to the finished leaderboard, as a table.

All contenders train the same configurations: those that Caviar draws in its first run are given to the peers, because
a batch size of 32 costs 4 times the steps of 128 and the luck of the draw would decide. So it does not matter that no
peer can draw uniformly in the exponent of 1 - value: they declare that range as a linear one. Early stopping is off,
so that all train the same number of epochs.
"""

import csv
import json
import sys
from argparse import Namespace
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Distribution, Interval
from tests.benchmarks import readings
from tests.benchmarks.stopwatch import Contender, Failed, Process, Run

JOBS = 2  # of Hydra's launcher
OPTUNA, KERAS_TUNER, HYDRA = "Optuna + Keras fit", "Keras Tuner", f"Hydra + joblib, {JOBS} jobs"
RIVALS = {OPTUNA: ("optuna_sweep", 1), KERAS_TUNER: ("keras_tuner_sweep", 1), HYDRA: ("hydra_sweep", JOBS)}


@dataclass(frozen=True)
class Sweep:
    """rivals: the target for each, how many times Caviar's seconds it should take."""

    what: str
    space: dict[str, Distribution]
    n_trials: int
    rivals: dict[str, float | None]
    model: str = "mlp"
    epochs: int = 20

    def parameters(self) -> dict[str, Distribution]:
        """The space as the peers name it, by the last part of Caviar's keys."""
        return {key.split(".")[-1]: values for key, values in self.space.items()}

    def title(self, options: Namespace) -> str:
        trials, epochs = options.trials or self.n_trials, options.epochs or self.epochs
        return f"{trials} trials of {epochs} epochs {self.what}, seconds of whole processes"

    def contenders(self, name: str, folder: Path, options: Namespace) -> list[Contender]:
        trials = options.trials or self.n_trials
        epochs = f"{options.epochs or self.epochs}"
        points = folder / "points.json"
        whole = options.trials is None and options.epochs is None  # less work is not what the target is for

        def caviar(output: Path) -> list[str]:
            space = [f"{key}={values}" for key, values in self.space.items()]
            settings = [f"sweep.n_trials={trials}", "sweep.max_tier=0", f"model={self.model}", *space]
            return caviar_command(output, epochs, "-m", *settings, *options.set)

        def measure(process: Process) -> Run:
            self._agree(points, options.peer_trials or trials, process.output)
            return readings.caviar(process)

        contenders = [Contender("Caviar", caviar, measure)]
        for rival, target in self.rivals.items():
            module, jobs = RIVALS[rival]
            for plain in options.variants:
                arguments = (f"--contest={name}", f"--points={points}")
                command = partial(peer_command, module=module, epochs=epochs, plain=plain, arguments=arguments)
                measured = partial(readings.extrapolated, trials=trials, jobs=jobs)
                contenders.append(
                    Contender(f"{rival}, {variant(plain)}", command, measured, target, binding=plain and whole)
                )
        return contenders

    def _agree(self, points: Path, peer_trials: int, output: Path) -> None:
        """Keeps what Caviar's first sweep tried for the peers; a later one must have tried the same."""
        (leaderboard,) = output.glob("sweeps/*/leaderboard.csv")
        with leaderboard.open() as file:
            rows = sorted(csv.DictReader(file), key=lambda row: int(row["trial"]))
        tried = [{key.split(".")[-1]: json.loads(row[key]) for key in self.space} for row in rows]
        text = json.dumps(thinned(tried, peer_trials))
        if not points.exists():
            points.write_text(text)
        elif points.read_text() != text:
            raise Failed("two sweeps with the same seed tried different configurations")


def thinned(points: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """`n` of the points in their order, with each batch size in about the same proportion, since it decides what a
    trial costs."""
    if n >= len(points):
        return points
    by_cost = sorted(range(len(points)), key=lambda i: points[i].get("batch_size", 0))
    return [points[i] for i in sorted(by_cost[(2 * k + 1) * len(points) // (2 * n)] for k in range(n))]


def caviar_command(output: Path, epochs: str, *arguments: str) -> list[str]:
    fixed = [f"output_dir={output}", f"train.epochs={epochs}", "train.early_stopping=null"]
    return [sys.executable, "run.py", *arguments, *fixed]


def variant(plain: bool) -> str:
    return "plain" if plain else "tuned"


def peer_command(output: Path, *, module: str, epochs: str, plain: bool, arguments: tuple[str, ...] = ()) -> list[str]:
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", str(output), f"--epochs={epochs}", *arguments]
    return [*command, "--plain"] if plain else command


RATE_BETA: dict[str, Distribution] = {
    "optimizer.learning_rate": Interval(1e-4, 1e-1, LOG),
    "optimizer.beta_1": Interval(0.5, 0.999, ONE_MINUS_LOG),
}
MIXED: dict[str, Distribution] = {
    **RATE_BETA,
    "model.hidden_units": Interval(50, 100, integer=True),
    "model.hidden_layers": Interval(2, 4, integer=True),
    "train.batch_size": Choice((32, 64, 128)),
}
DEFAULT: dict[str, Distribution] = {  # what conf/ searches
    "optimizer.learning_rate": Interval(1e-4, 1e-1, LOG),
    "model.hidden_units": Interval(16, 256, LOG, integer=True),
    "train.batch_size": Choice((16, 32, 64, 128)),
}
SWEEPS = {
    "lr_beta64": Sweep("over learning rate and beta_1", RATE_BETA, 64, {OPTUNA: 15, KERAS_TUNER: 15, HYDRA: 10}),
    "lr_beta256": Sweep("over learning rate and beta_1", RATE_BETA, 256, {OPTUNA: 30}),
    "mixed64": Sweep("over learning rate, beta_1, width, depth and batch size", MIXED, 64, {OPTUNA: 6}),
    "cnn64": Sweep("of the CNN over learning rate and beta_1", RATE_BETA, 64, {OPTUNA: 2}, model="cnn"),
    "sweep": Sweep("over the default ranges", DEFAULT, 24, {OPTUNA: None, KERAS_TUNER: None}),
}
