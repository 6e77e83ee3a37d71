"""Every optimizer minimises J(W) = W^2 - 10 W + 25, least at W = 5: how fast, and at which learning rates."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.experiments.results import Drawing, Results, Trial

RATE, OPTIMIZER = "optimizer.learning_rate", "optimizer"
NEAR = 0.01  # so close to 5 counts as there
# Closer to 5, J in float32 does not tell: (a W + b) W is near -25, where the next numbers are 2e-6 away.
LEAST = 1e-3
MARKERS = "osv^<>DPX"


def distances(trial: Trial) -> np.ndarray:
    """|W - 5| after each epoch, from the validation loss (W - 5)^2; at least LEAST, NaN where that is not finite."""
    losses = np.array([np.nan if e["val_loss"] is None else e["val_loss"] for e in trial.epochs], float)
    return np.maximum(np.sqrt(np.maximum(losses, 0)), LEAST)


def arrival(path: np.ndarray) -> float:
    """The epoch, counted from 1, from which on distances [epochs] are at most NEAR; infinite if there is none."""
    away = np.flatnonzero(~(path <= NEAR))
    if not len(away):
        return 1.0
    return float(away[-1] + 2) if away[-1] + 1 < len(path) else float("inf")


def figure(results: Results) -> Drawing:
    """Left: |W - 5| by epoch of each optimizer at its best learning rate, the one that is there first (or else comes
    nearest). Right: |W - 5| after the last epoch against the learning rate."""
    canvas = Figure(figsize=(12, 5), layout="constrained")
    left, right = canvas.subplots(1, 2, sharey=True)
    told, missed = [], []
    for i, (name, trials) in enumerate(results.by(OPTIMIZER)):
        ordered = sorted((t for t in trials if t.epochs), key=lambda trial: trial.params[RATE])
        paths = {trial.number: distances(trial) for trial in ordered}
        rates = np.array([trial.params[RATE] for trial in ordered])
        ends = np.array([paths[t.number][-1] if t.status == "completed" else np.nan for t in ordered])
        completed = [trial for trial in ordered if trial.status == "completed"]
        if not completed:
            missed.append(name)
            continue
        winner = min(completed, key=lambda trial: (arrival(paths[trial.number]), paths[trial.number][-1]))
        w = float(results.predict(winner.number, np.array([[0, 1, 0]], np.float32))[0, 0])
        if abs(w - 5) > NEAR:
            missed.append(name)
        told.append(f"{name} {abs(w - 5):.1g} ({_range(rates[ends <= NEAR])})")
        path, rate = paths[winner.number], winner.params[RATE]
        style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4, "linewidth": 1, "alpha": 0.75, "color": f"C{i}"}
        path = path[: np.flatnonzero(path > LEAST).max(initial=-1) + 2]  # the rest is one line for all
        left.plot(range(1, len(path) + 1), path, label=f"{name}, best at {rate:.2g}", markevery=0.05, **style)
        right.plot(rates, ends, **style)
    for axis in (left, right):
        axis.axhline(NEAR, color="0.4", linestyle=":", linewidth=1)
        axis.grid(alpha=0.3)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="epoch, at the best learning rate",
        ylabel=f"|W - 5| (down to {LEAST}: float32)",
    )
    right.set(xscale="log", xlabel="learning rate (no point: diverged)")
    canvas.legend(loc="outside right upper", fontsize=9)
    verdict = f"All but {', '.join(missed)} reach" if missed else "All reach"
    return canvas, (
        f"{verdict} W = 5 within {NEAR}. |W - 5| at the best learning rate, and the rates that end there: "
        f"{', '.join(told)}."
    )


def _range(rates: np.ndarray) -> str:
    return f"{rates.min():.2g} to {rates.max():.2g}" if len(rates) else "none"
