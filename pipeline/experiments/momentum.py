"""Momentum averages the gradient over about 1 / (1 - beta) steps: whether a longer window wants a lower rate."""

from itertools import pairwise

from matplotlib.figure import Figure

from pipeline.experiments import lines
from pipeline.experiments.wording import RATE, Drawing, judged
from pipeline.search.scales import window
from pipeline.study.finished import Results

MOMENTUM = "optimizer.momentum"


def _steps(beta: float) -> str:
    steps = round(window(beta))
    return f"{steps} step{'s' if steps > 1 else ''}"


def figure(results: Results) -> Drawing:
    """Left: training loss by epoch of the best learning rate for each momentum. Right: validation loss against the
    learning rate."""
    canvas = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = canvas.subplots(1, 2)
    told, best = [], {}
    for beta, trials in results.by(MOMENTUM):
        winner = lines.best(trials, "val_loss")
        if winner is None:
            told.append(f"β {beta} none, every rate diverged")
            continue
        best[beta] = winner.params[RATE]
        label = f"β = {beta}: {_steps(beta)}"
        left.plot([e.epoch for e in winner.epochs], [e.value("loss") for e in winner.epochs], marker=".", label=label)
        told.append(f"β {beta} ({_steps(beta)}) at {winner.params[RATE]:.2g}")
    lines.draw(right, results, RATE, MOMENTUM, "val_loss", label=lambda beta: f"β = {beta}: {_steps(beta)}")
    left.set(xlabel="epoch", ylabel="training loss at the best rate (nats)", yscale="log")
    right.set(ylabel="validation loss (nats; x: diverged)", yscale="log")
    left.grid(alpha=0.3)
    for axis in (left, right):
        axis.legend(title="momentum: effective window")
    rates = [best[beta] for beta in sorted(best)]
    falls = sum(after < before for before, after in pairwise(rates))
    return canvas, (
        f"Best learning rate by effective window: {', '.join(told)}. "
        + judged(f"It falls with {falls} of {len(rates) - 1} longer windows", falls == len(rates) - 1 > 0)
    )
