"""Momentum averages the gradient over about 1 / (1 - beta) steps: whether a longer window wants a lower rate."""

import numpy as np

from pipeline.experiments.drawing import RATE, Drawing, best_of_each, draw_losses, drawing, panels
from pipeline.experiments.evidence import effects, finding, verdict
from pipeline.search.scales import window
from pipeline.study.finished import Results
from pipeline.tracking.curves import by_epoch

MOMENTUM = "optimizer.momentum"


def figure(results: Results) -> Drawing:
    """Left: training loss by epoch of the best learning rate for each momentum. Right: validation loss against the
    learning rate, the median of the seeds, shaded from the lowest to the highest."""
    canvas, (left, right) = panels()
    for beta, trial in best_of_each(results, MOMENTUM, "val_loss").items():
        if trial:
            losses = [epoch.value("loss") for epoch in trial.epochs]
            left.plot([epoch.epoch for epoch in trial.epochs], losses, marker=".", label=_label(beta))
    draw_losses(right, results, MOMENTUM, _label)
    by_epoch(left)
    left.set(xlabel="epoch", ylabel="training loss at the best rate (nats)", yscale="log")
    of_seeds = list(finding(effects(results, _best_rates), results).values())
    best_rates = []
    for beta in of_seeds[0]:
        rates = np.array([rates[beta] for rates in of_seeds])
        rates = rates[np.isfinite(rates)]
        mean = f"({_steps(beta)}) at {np.exp(np.log(rates).mean()):.2g}" if len(rates) else "none, every rate diverged"
        best_rates.append(f"β {beta} {mean}")
    return drawing(
        canvas,
        f"Best learning rate by effective window: {', '.join(best_rates)}. "
        + verdict("From the shortest to the longest it falls by {} decades", effects(results, _fall), results),
    )


def _best_rates(results: Results) -> dict[float, float]:
    """The best learning rate for each momentum, of one seed; NaN where every rate diverged."""
    winners = best_of_each(results, MOMENTUM, "val_loss")
    return {beta: trial.params[RATE] if trial else np.nan for beta, trial in sorted(winners.items())}


def _fall(results: Results) -> float:
    """By how many decades the best rate falls from the shortest to the longest window."""
    rates = list(_best_rates(results).values())
    return float(np.log10(rates[0] / rates[-1]))


def _steps(beta: float) -> str:
    steps = round(window(beta))
    return f"{steps} step{'s' if steps > 1 else ''}"


def _label(beta: float) -> str:
    return f"β = {beta}: {_steps(beta)}"
