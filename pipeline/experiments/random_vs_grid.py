"""Random search tries 25 values of what matters where a 5 x 5 grid tries 5 (Bergstra & Bengio 2012)."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.experiments.results import Drawing, Results, axis_name
from pipeline.experiments.table import Table, told, verdict

SIDE = 5  # of the grid


def figure(results: Results) -> Drawing:
    """Searches among the trials of a fine grid of n x n, n a multiple of 5: every 5 x 5 grid with equal steps, one for
    each place of its corner, against as many times 100 random searches of 25 trials.

    Left: the trials of one search of each kind. Right: the lowest validation losses found.
    """
    table, rng = Table(results), np.random.default_rng(0)
    keys = list(table.space)
    points = [sorted({one[key] for one in table.params}) for key in keys]
    step = len(points[0]) // SIDE
    place = {(one[keys[0]], one[keys[1]]): i for i, one in enumerate(table.params)}
    losses = table.losses[:, -1]
    grids = np.array(
        [
            [place[a, b] for a in points[0][i::step][:SIDE] for b in points[1][j::step][:SIDE]]
            for i in range(step)
            for j in range(step)
        ]
    )
    draws = np.array([rng.choice(len(losses), SIDE**2, replace=False) for _ in range(100 * len(grids))])
    canvas = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = canvas.subplots(1, 2)
    sentences, best = [], {}
    for name, searches, marker, color in (("grid", grids, "s", "#ee6677"), ("random", draws, "o", "#4477aa")):
        one = searches[len(searches) // 2]
        x, y = ([table.params[i][key] for i in one] for key in keys)
        left.scatter(x, y, marker=marker, color=color, label=f"{name} search, {len(set(x))} x {len(set(y))} values")
        found = best[name] = losses[searches].min(1)
        ordered = np.sort(found)
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        right.plot(ordered, share, color=color, label=f"{name}: {len(searches)} searches")
        values = np.mean([len({table.params[i][keys[0]] for i in search}) for search in searches])
        sentences.append(f"{name} search tries {values:.1f} values of the {axis_name(keys[0])} and finds {told(found)}")
    wins = verdict(best["random"], best["grid"])
    left.set(xscale="log", yscale="log", xlabel=axis_name(keys[0]), ylabel=axis_name(keys[1]))
    right.set(xscale="log", xlabel="lowest validation loss of 25 trials (nats)", ylabel="share of searches at or below")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    return canvas, f"Of {len(losses)} trained trials, 25 at a time: {'; '.join(sentences)}. Random search is {wins}."
