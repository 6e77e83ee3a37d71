"""Whether batch norm lets deep networks train: the best accuracy by depth, with and without it."""

import numpy as np

from pipeline.experiments.batch_norm import LABELS, NEAR, PLACEMENT, WITHOUT
from pipeline.experiments.drawing import RATE, Drawing, best, drawing, judged, panels
from pipeline.study.finished import Results

DEPTH = "model.hidden_layers"


def figure(results: Results) -> Drawing:
    """Validation accuracy of the best learning rate, and that rate, against the number of hidden layers; a depth at
    which every rate diverged leaves a gap."""
    results.needs(PLACEMENT, [WITHOUT])
    canvas, (left, right) = panels()
    depths = sorted({trial.params[DEPTH] for trial in results.trials})
    scores = {}
    for placement, trials in results.by(PLACEMENT):
        winners = [best([t for t in trials if t.params[DEPTH] == depth], "val_accuracy") for depth in depths]
        scores[placement] = [w.score("val_accuracy") if w else np.nan for w in winners]
        left.plot(depths, scores[placement], marker="o", label=LABELS[placement])
        rates = [w.params[RATE] if w else np.nan for w in winners]
        right.plot(depths, rates, marker="o", label=LABELS[placement])
    left.set(ylabel="validation accuracy of the best rate")
    right.set(ylabel="best learning rate", yscale="log")
    for axis in (left, right):
        axis.set(xlabel="hidden layers", xticks=depths)
    accuracies = ", ".join(f"{LABELS[name]} {_accuracy(by_depth[-1])}" for name, by_depth in scores.items())
    deepest = {name: np.nan_to_num(by_depth[-1]) for name, by_depth in scores.items()}  # diverged: has learned nothing
    gain = min(score - deepest[WITHOUT] for name, score in deepest.items() if name != WITHOUT)
    return drawing(
        canvas,
        f"Validation accuracy with {depths[-1]} hidden layers at the best rate: {accuracies}. "
        + judged(f"Batch norm adds {gain:.3f} (more than {NEAR} counts)", gain > NEAR),
    )


def _accuracy(score: float) -> str:
    return "diverged" if np.isnan(score) else f"{score:.3f}"
