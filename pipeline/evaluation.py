"""How good a saved model is on a split: loss and, if it classifies, accuracy and confusion matrix."""

from typing import Any

import numpy as np

from pipeline.data.splits import Split
from pipeline.data.stream.stored import Rows
from pipeline.models.heads import HEADS


def outputs(model: Any, inputs: Rows) -> np.ndarray:
    """What a saved model gives for inputs [n, *input_shape], a thousand at a time: [n, numbers an example]."""
    return np.concatenate([np.asarray(model(inputs[i : i + 1024])) for i in range(0, len(inputs), 1024)])


def probabilities(model: Any, inputs: Rows) -> np.ndarray:
    """Class probabilities [n, C] of a saved model; a sigmoid head's one column becomes two."""
    found = outputs(model, inputs)
    return np.hstack([1 - found, found]) if found.shape[1] == 1 else found


def evaluate(model: Any, split: Split, n_classes: int, head: str = "softmax") -> dict[str, Any]:
    """measures() of a saved model on a split; `loss`, the mean cost, and `n` if its head is cost."""
    if not HEADS[head].classifies:
        return {"loss": float(outputs(model, split.inputs).mean()), "n": len(split)}
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
