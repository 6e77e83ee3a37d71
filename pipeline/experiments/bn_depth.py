"""Batch norm lets deep networks train: the best accuracy by depth, with and without it."""

from matplotlib.figure import Figure

from pipeline.experiments.bn_learning_rate import LABELS, PLACEMENT, RATE
from pipeline.experiments.lines import best
from pipeline.experiments.results import Drawing, Results

DEPTH = "model.hidden_layers"


def figure(results: Results) -> Drawing:
    """Validation accuracy of the best learning rate, and that rate, against the number of hidden layers."""
    canvas = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = canvas.subplots(1, 2)
    found = {}
    for placement, trials in results.by(PLACEMENT):
        depths = sorted({trial.params[DEPTH] for trial in trials})
        winners = [best([t for t in trials if t.params[DEPTH] == depth], "val_accuracy") for depth in depths]
        scores = [winner.score("val_accuracy") for winner in winners]
        left.plot(depths, scores, marker="o", label=LABELS[placement])
        right.plot(depths, [winner.params[RATE] for winner in winners], marker="o", label=LABELS[placement])
        found[placement] = (depths[-1], scores[-1], scores[0])
    left.set(ylabel="validation accuracy of the best rate")
    right.set(ylabel="best learning rate", yscale="log")
    for axis in (left, right):
        axis.set(xlabel="hidden layers", xticks=depths)
        axis.grid(alpha=0.3)
        axis.legend()
    told = "; ".join(
        f"{LABELS[name]} {deep:.3f} ({shallow:.3f} with {depths[0]})" for name, (_, deep, shallow) in found.items()
    )
    return canvas, f"Validation accuracy with {depths[-1]} hidden layers, each at its best learning rate: {told}."
