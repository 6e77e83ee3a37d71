"""Momentum averages the gradient over about 1 / (1 - beta) steps: whether a longer window wants a lower rate."""

from itertools import pairwise

from pipeline.experiments.drawing import RATE, Drawing, best_of_each, draw_losses, drawing, judged, panels
from pipeline.search.scales import window
from pipeline.study.finished import Results
from pipeline.tracking.curves import by_epoch

MOMENTUM = "optimizer.momentum"


def figure(results: Results) -> Drawing:
    """Left: training loss by epoch of the best learning rate for each momentum. Right: validation loss against the
    learning rate."""
    canvas, (left, right) = panels()
    winners = best_of_each(results, MOMENTUM, "val_loss")
    best_rates = []
    for beta, trial in winners.items():
        if not trial:
            best_rates.append(f"β {beta} none, every rate diverged")
            continue
        losses = [epoch.value("loss") for epoch in trial.epochs]
        left.plot([epoch.epoch for epoch in trial.epochs], losses, marker=".", label=_label(beta))
        best_rates.append(f"β {beta} ({_steps(beta)}) at {trial.params[RATE]:.2g}")
    draw_losses(right, results, MOMENTUM, _label)
    by_epoch(left)
    left.set(xlabel="epoch", ylabel="training loss at the best rate (nats)", yscale="log")
    rates = [trial.params[RATE] for _, trial in sorted(winners.items()) if trial]
    falls = sum(after < before for before, after in pairwise(rates))
    return drawing(
        canvas,
        f"Best learning rate by effective window: {', '.join(best_rates)}. "
        + judged(f"It falls with {falls} of {len(rates) - 1} longer windows", falls == len(rates) - 1 > 0),
    )


def _steps(beta: float) -> str:
    steps = round(window(beta))
    return f"{steps} step{'s' if steps > 1 else ''}"


def _label(beta: float) -> str:
    return f"β = {beta}: {_steps(beta)}"
