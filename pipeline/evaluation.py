"""How good a saved model is on a split: loss, accuracy, confusion matrix."""

from typing import Any

import numpy as np

from pipeline.data.splits import Split
from pipeline.data.stored import Rows


def probabilities(model: Any, inputs: Rows) -> np.ndarray:
    """Class probabilities [n, C] of a saved model; a sigmoid head's one column becomes two."""
    outputs = np.concatenate([np.asarray(model(inputs[i : i + 1024])) for i in range(0, len(inputs), 1024)])
    return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs


def evaluate(model: Any, split: Split, n_classes: int) -> dict[str, Any]:
    """measures() of a saved model on a split."""
    return measures(probabilities(model, split.inputs), split.labels, n_classes)


def measures(probs: np.ndarray, labels: np.ndarray, n_classes: int) -> dict[str, Any]:
    """`loss` (cross-entropy), `accuracy`, `n` and `confusion` [true class][predicted class].

    probs: [n, C]; labels: [n], each in 0..C-1.
    """
    chosen = np.clip(probs[np.arange(len(labels)), labels], 1e-12, 1)
    predicted = probs.argmax(axis=1)
    confusion = np.zeros((n_classes, n_classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    return {
        "loss": float(-np.log(chosen).mean()),
        "accuracy": float((predicted == labels).mean()),
        "n": len(labels),
        "confusion": confusion.tolist(),
    }
