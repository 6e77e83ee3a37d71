"""A job as the parent hands it to a worker, without Hydra."""

from pathlib import Path
from typing import Any


def job(folder: Path, number: int, epochs: int = 1) -> dict[str, Any]:
    fractions = {"validation_fraction": 0.2, "test_fraction": 0.2}
    config = {
        "seed": 0,
        "dataset": {
            "_target_": "pipeline.data.sets.planar.blobs",
            "n_classes": 3,
            "examples_per_class": 30,
            "spread": 0.25,
            **fractions,
        },
        "model": {
            "_target_": "pipeline.models.mlp.mlp",
            "hidden_units": 4,
            "hidden_layers": 1,
            "activation": "relu",
            "norm_placement": "none",
            "norm_momentum": 0.9,
            "norm_epsilon": 1e-3,
            "dropout_rate": 0.0,
            "head": "softmax",
        },
        "optimizer": {"_target_": "keras.optimizers.SGD", "learning_rate": 0.1},
        "schedule": {"_target_": "pipeline.training.schedules.constant"},
        "train": {
            "batch_size": 32,
            "epochs": epochs,
            "label_smoothing": 0.0,
            "early_stopping": None,
            "checkpoint_seconds": 30,
            "augment": {"flip": False, "shift": 0},
            "diagnostics": False,
        },
        "device": {"name": "cpu", "precision": "float32"},
        "sweep": {"metric": "val_accuracy", "direction": "maximize"},
    }
    (folder / str(number)).mkdir(exist_ok=True)
    trial = {"number": number, "config": config, "record": config, "folder": str(folder / str(number))}
    return {"kind": "train", "number": number, "trials": [trial], "export": True}


def config_of(one: dict[str, Any]) -> dict[str, Any]:
    """The config of a job's only trial."""
    return one["trials"][0]["config"]
