"""Softmax regression draws straight boundaries between classes, a network with hidden layers curved ones."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
from matplotlib.colors import ListedColormap

from pipeline.data.sources import load_splits
from pipeline.errors import InputError
from pipeline.experiments.drawing import Drawing, drawing, panels
from pipeline.experiments.evidence import SHARE, estimate, finding, verdict
from pipeline.study.finished import SEED, Results

CLASSES, LAYERS = "dataset.n_classes", "model.hidden_layers"
COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")  # told apart by colour-blind readers, too
CELLS = 240  # of the picture, on each side


def figure(results: Results) -> Drawing:
    """A column a number of classes, a row a depth: which class is predicted where, under the training examples, of the
    first seed.
    Raises InputError for more classes than there are colours."""
    columns, rows = list(results.by(CLASSES)), sorted({trial.params[LAYERS] for trial in results.trials})
    most = max(n_classes for n_classes, _ in columns)
    if most > len(COLORS):
        raise InputError(f"{CLASSES}={most} must be at most {len(COLORS)}: no more colours are told apart.")
    letters = np.arange(len(rows) * len(columns)).reshape(len(rows), len(columns))
    canvas, flat = panels(letters.tolist(), sharex=True, sharey=True)
    axes = np.array(flat).reshape(letters.shape)
    bends: dict[int, dict[int, list[float]]] = {depth: defaultdict(list) for depth in rows}  # of each seed
    first = results.trials[0].params.get(SEED)
    for column, (n_classes, trials) in zip(axes.T, columns):
        arguments = {**results.config.dataset.arguments, "n_classes": n_classes}
        dataset = replace(results.config.dataset, arguments=arguments)
        train = load_splits(replace(results.config, dataset=dataset)).train
        side = 1.1 * float(np.abs(train.inputs[:]).max())
        ticks = np.linspace(-side, side, CELLS, dtype=np.float32)
        grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        colors = {"cmap": ListedColormap(COLORS[:n_classes]), "vmin": 0, "vmax": n_classes - 1}
        for trial in trials:
            depth = trial.params[LAYERS]
            axis = column[rows.index(depth)]
            predicted = results.predict(trial.number, grid).argmax(1).reshape(CELLS, CELLS)
            bends[depth][trial.params.get(SEED, 0)].append(bent_share(predicted))
            if trial.params.get(SEED) != first:
                continue
            axis.imshow(predicted, origin="lower", extent=(-side, side, -side, side), alpha=0.35, **colors)
            axis.scatter(*train.inputs[:].T, c=train.labels, s=4, **colors)
            axis.set_title(f"{n_classes} classes: accuracy {trial.score('val_accuracy'):.2f}", size=9)
    for axis in axes[-1]:
        axis.set_xlabel("$x_1$")
    for axis, depth in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(f"{depth} hidden layers: $x_2$" if depth else "softmax regression: $x_2$")
    for i, color in enumerate(COLORS[:most]):
        axes[0, 0].plot([], [], "o", color=color, label=f"class {i}")
    shares = {depth: {seed: float(np.mean(of_seed)) for seed, of_seed in bends[depth].items()} for depth in rows}
    straight = estimate(finding(shares[rows[0]], results).values(), SHARE).text("{:.1%}")
    more = {seed: share - shares[rows[0]].get(seed, np.nan) for seed, share in shares[rows[-1]].items()}
    return drawing(
        canvas,
        f"Of segments between two points of one predicted class, {straight} leave that class with {rows[0]} hidden "
        "layers. " + verdict(f"With {rows[-1]} it is {{}} more", more, results, "{:.1%}"),
    )


def bent_share(predicted: np.ndarray, n_pairs: int = 20_000) -> float:
    """How far the predicted classes [n, n] are from what linear scores give: the share of pairs of cells of one class
    whose midpoint is of another. The class of the largest of several linear functions is convex, so that it is 0."""
    rng = np.random.default_rng(0)
    # Even differences, so that the midpoint is a cell.
    first = rng.integers(0, len(predicted), (n_pairs, 2))
    second = (rng.integers(0, len(predicted) // 2, (n_pairs, 2)) * 2 + first % 2).clip(max=len(predicted) - 1)
    second -= (first + second) % 2
    middle = (first + second) // 2
    same = predicted[tuple(first.T)] == predicted[tuple(second.T)]
    left = predicted[tuple(middle.T)] != predicted[tuple(first.T)]
    return float((same & left).sum() / same.sum())
