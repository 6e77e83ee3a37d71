"""Whether batch norm lets deep networks train: the best accuracy by depth, with and without it."""

import numpy as np

from pipeline.experiments.batch_norm import LABELS, PLACEMENT, WITHOUT
from pipeline.experiments.drawing import RATE, Drawing, best, draw_seeds, drawing, panels
from pipeline.experiments.evidence import SHARE, effects, estimate, finding, verdict
from pipeline.study.finished import SEED, FinishedTrial, Results

DEPTH = "model.hidden_layers"


def figure(results: Results) -> Drawing:
    """Validation accuracy of the best learning rate, and that rate, against the number of hidden layers: the median of
    the seeds, shaded from the lowest to the highest; a depth at which every rate diverged leaves a gap."""
    results.needs(PLACEMENT, [WITHOUT])
    canvas, (left, right) = panels()
    depths = sorted({trial.params[DEPTH] for trial in results.trials})
    deepest = []
    for placement, trials in results.by(PLACEMENT):
        seeds = list(dict.fromkeys(trial.params.get(SEED) for trial in trials))
        winners = [[_winner(trials, depth, seed) for seed in seeds] for depth in depths]
        scores = np.array([[w.score("val_accuracy") if w else np.nan for w in row] for row in winners])
        draw_seeds(left, depths, scores, marker="o", label=LABELS[placement])
        rates = np.array([[w.params[RATE] if w else np.nan for w in row] for row in winners])
        draw_seeds(right, depths, rates, marker="o", label=LABELS[placement])
        of_seeds = dict(zip((seed or 0 for seed in seeds), scores[-1].tolist(), strict=True))
        own = estimate(finding(of_seeds, results).values(), SHARE)
        deepest.append(f"{LABELS[placement]} {own.text('{:.3f}') if own.n else 'diverged'}")
    left.set(ylabel="validation accuracy of the best rate")
    right.set(ylabel="best learning rate", yscale="log")
    for axis in (left, right):
        axis.set(xlabel="hidden layers", xticks=depths)
    return drawing(
        canvas,
        f"Validation accuracy with {depths[-1]} hidden layers at the best rate: {', '.join(deepest)}. "
        + verdict("Batch norm adds {}", effects(results, _gain), results, "{:.3f}"),
    )


def _gain(results: Results) -> float:
    """How much accuracy batch norm adds to the deepest network, where it stands worst. What diverged has learned
    nothing."""
    deepest = max(trial.params[DEPTH] for trial in results.trials)
    scores = {}
    for placement, trials in results.by(PLACEMENT):
        winner = best([trial for trial in trials if trial.params[DEPTH] == deepest], "val_accuracy")
        scores[placement] = winner.score("val_accuracy") if winner else 0.0
    return min(score - scores[WITHOUT] for placement, score in scores.items() if placement != WITHOUT)


def _winner(trials: list[FinishedTrial], depth: int, seed: int | None) -> FinishedTrial | None:
    return best([t for t in trials if t.params[DEPTH] == depth and t.params.get(SEED) == seed], "val_accuracy")
