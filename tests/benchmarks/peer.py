"""What every peer's script has in common, without TensorFlow: arguments, data, progress, result."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from pipeline.data.sets.digits import digits
from pipeline.data.splits import Splits

History = dict[str, list[float]]  # a metric's value of each epoch, by its name


def arguments(description: str | None, *needed: str) -> argparse.Namespace:
    """OUTPUT --epochs N [--plain], and the options `needed` by name, such as `--contest`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("output", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--plain", action="store_true")
    for option in needed:
        parser.add_argument(option, required=True)
    return parser.parse_args()


def read_points(path: str) -> list[dict[str, Any]]:
    """The configurations to try, as keywords of recipe.compiled()."""
    points: list[dict[str, Any]] = json.loads(Path(path).read_text())
    return points


def default_splits(seed: int) -> Splits:
    """The very split that Caviar trains on by default."""
    return digits(validation_fraction=0.1, test_fraction=0.1, seed=seed)


def finished(trial: int) -> None:
    """Says when a trial was done; readings.extrapolated() reads it."""
    print(f"finished trial {trial} at {time.time():.4f}", flush=True)


def write_result(output: Path, histories: list[History], **more: Any) -> None:
    """For the table: what the work came to."""
    best = max(value for history in histories for value in history["val_accuracy"])
    epochs = sum(len(history["val_accuracy"]) for history in histories)
    (output / "result.json").write_text(json.dumps({"val_accuracy": best, "epochs": epochs, **more}))
