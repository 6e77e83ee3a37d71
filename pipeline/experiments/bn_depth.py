"""Whether batch norm lets deep networks train: the best accuracy by depth, with and without it."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.experiments.batch_norm import LABELS, PLACEMENT, WITHOUT
from pipeline.experiments.bn_learning_rate import NEAR
from pipeline.experiments.lines import best
from pipeline.experiments.wording import RATE, Drawing, judged
from pipeline.study.finished import Results

DEPTH = "model.hidden_layers"


def figure(results: Results) -> Drawing:
    """Validation accuracy of the best learning rate, and that rate, against the number of hidden layers; a depth at
    which every rate diverged leaves a gap."""
    results.needs(PLACEMENT, [WITHOUT])
    canvas = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = canvas.subplots(1, 2)
    depths = sorted({trial.params[DEPTH] for trial in results.trials})
    found = {}
    for placement, trials in results.by(PLACEMENT):
        winners = [best([t for t in trials if t.params[DEPTH] == depth], "val_accuracy") for depth in depths]
        found[placement] = [w.score("val_accuracy") if w else np.nan for w in winners]
        left.plot(depths, found[placement], marker="o", label=LABELS[placement])
        rates = [w.params[RATE] if w else np.nan for w in winners]
        right.plot(depths, rates, marker="o", label=LABELS[placement])
    left.set(ylabel="validation accuracy of the best rate")
    right.set(ylabel="best learning rate", yscale="log")
    for axis in (left, right):
        axis.set(xlabel="hidden layers", xticks=depths)
        axis.grid(alpha=0.3)
        axis.legend()
    told = "; ".join(
        f"{LABELS[name]} {_told(scores[-1])} ({_told(scores[0])} with {depths[0]})" for name, scores in found.items()
    )
    deep = {name: np.nan_to_num(scores[-1]) for name, scores in found.items()}  # what diverged has learned nothing
    gains = [score - deep[WITHOUT] for name, score in deep.items() if name != WITHOUT]
    return canvas, (
        f"Validation accuracy with {depths[-1]} hidden layers, each at its best learning rate: {told}. "
        + judged(f"Batch norm adds {min(gains):.3f} (what counts: more than {NEAR})", min(gains) > NEAR)
    )


def _told(score: float) -> str:
    return "diverged" if np.isnan(score) else f"{score:.3f}"
