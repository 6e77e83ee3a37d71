"""What is measured against what: each contest is a title and its contenders, Caviar first."""

import csv
import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.stopwatch import Contender, Failed, Outcome

SEARCHED = {"optimizer.learning_rate": float, "model.hidden_units": int, "train.batch_size": int}


def sweep(folder: Path, options: Namespace) -> tuple[str, list[Contender]]:
    """The default sweep. All train the same configurations: those that Caviar draws in its first run are given to
    the peers, because a batch size of 16 costs 8 times the steps of 128 and the luck of the draw would decide.
    Early stopping is off, so that all train the same number of epochs."""
    points = folder / "points.json"

    def caviar(workers: int) -> Contender:
        def command(output: Path) -> list[str]:
            settings = [f"executor.workers={workers}", f"sweep.n_trials={options.trials}"]
            return _caviar("-m", output, options.epochs, *settings)

        def outcome(output: Path) -> Outcome:
            _agree(points, *output.glob("sweeps/*/leaderboard.csv"))
            return _from_events(output)

        return Contender(f"Caviar, {workers} worker{'s' * (workers > 1)}", command, outcome)

    def peer(name: str, module: str) -> Contender:
        def command(output: Path) -> list[str]:
            return [*_peer(module, output, options), f"--points={points}"]

        return Contender(name, command, _from_result)

    return f"sweep: {options.trials} trials of {options.epochs} epochs{_kind(options)}", [
        caviar(1),
        caviar(2),
        peer("Optuna + Keras", "optuna_sweep"),
        peer("Keras Tuner", "keras_tuner_sweep"),
    ]


def single(folder: Path, options: Namespace) -> tuple[str, list[Contender]]:
    """One model with the default hyperparameters, against a script that trains and records the same."""

    def caviar(output: Path) -> list[str]:
        return _caviar("", output, options.epochs)

    def script(output: Path) -> list[str]:
        return _peer("keras_single", output, options)

    return f"single: one run of {options.epochs} epochs{_kind(options)}", [
        Contender("Caviar", caviar, _from_events),
        Contender("Keras script", script, _from_result),
    ]


Contest = Callable[[Path, Namespace], tuple[str, list[Contender]]]
CONTESTS: dict[str, Contest] = {"single": single, "sweep": sweep}


def _kind(options: Namespace) -> str:
    return ", peers with plain fit" if options.plain else ""


def _caviar(mode: str, output: Path, epochs: int, *settings: str) -> list[str]:
    fixed = [f"output_dir={output}", f"train.epochs={epochs}", "train.early_stopping=null"]
    return [sys.executable, "run.py", *([mode] if mode else []), *fixed, *settings]


def _peer(module: str, output: Path, options: Namespace) -> list[str]:
    plain = ["--plain"] if options.plain else []
    return [sys.executable, "-m", f"tests.benchmarks.{module}", str(output), f"--epochs={options.epochs}", *plain]


def _from_events(output: Path) -> Outcome:
    lines = [line for path in output.rglob("events.jsonl") for line in path.read_text().splitlines()]
    epochs = [event for event in map(json.loads, lines) if event["event"] == "epoch"]
    return Outcome(max(event["val_accuracy"] for event in epochs), len(epochs))


def _from_result(output: Path) -> Outcome:
    return Outcome(**json.loads((output / "result.json").read_text()))


def _agree(points: Path, leaderboard: Path) -> None:
    """Keeps what Caviar's first sweep tried for the peers; a later one must have tried the same."""
    with leaderboard.open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["trial"]))
    tried = [{key: kind(row[key]) for key, kind in SEARCHED.items()} for row in rows]
    if not points.exists():
        points.write_text(json.dumps(tried))
    elif json.loads(points.read_text()) != tried:
        raise Failed("two sweeps with the same seed tried different configurations")
