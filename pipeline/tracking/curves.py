"""The learning curve of a trial, and what its layers did, as pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.jsonl import read

Diagnoses = dict[int, dict[str, dict[str, float | None]]]  # epoch -> layer -> measure -> value


def epochs_of(folder: Path) -> list[dict[str, Any]]:
    """The epoch events of a trial's folder, each epoch once: a restart repeats what followed its checkpoint."""
    return list({e["epoch"]: e for e in read(folder / "events.jsonl") if e["event"] == "epoch"}.values())


def learning_curve(folder: Path, title: str, metrics: Mapping[str, str]) -> Path | None:
    """Draws `metrics` (by name, with the axis' label) by epoch, for training and validation, into learning_curve.png;
    None if no epoch ended."""
    epochs = epochs_of(folder)
    if not epochs:
        return None
    from matplotlib.figure import Figure  # not pyplot: no global state, no display needed
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.5 * max(len(metrics), 1.4), 3.6), layout="constrained")
    x = [e["epoch"] for e in epochs]
    best = max(
        (e for e in read(folder / "events.jsonl") if e["event"] == "ended"),
        key=lambda e: e["time"],
        default={},
    ).get("best_epoch")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axis, (name, label) in zip(axes, metrics.items(), strict=True):
        for key, text in ((name, "training"), (f"val_{name}", "validation")):
            axis.plot(x, [float("nan") if e[key] is None else e[key] for e in epochs], label=text, marker=".")
        if best:
            axis.axvline(best, color="0.6", linestyle=":", label=f"best epoch, {best}")
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(title)
    path = folder / "learning_curve.png"
    figure.savefig(path, dpi=110)
    return path


def diagnoses_of(folder: Path) -> Diagnoses:
    """What a trial recorded of its layers with train.diagnostics=true; epoch 0 is before training."""
    events = read(folder / "events.jsonl")
    return {e["epoch"]: e["diagnostics"] for e in events if "diagnostics" in e}


def measure(diagnoses: Diagnoses, layer: str, name: str) -> list[float]:
    """A measure of a layer by epoch; NaN where it was not finite, or there is none."""
    values = (layers.get(layer, {}).get(name) for layers in diagnoses.values())
    return [float("nan") if value is None else value for value in values]


def band(axis: Any, diagnoses: Diagnoses, layer: str, color: str, **options: Any) -> None:
    """Draws the distribution of a layer's pre-activations by epoch: the median, and the 15 to 85 % band."""
    low, median, high = (measure(diagnoses, layer, f"pre_activation_p{q}") for q in (15, 50, 85))
    axis.plot(list(diagnoses), median, color=color, **options)
    axis.fill_between(list(diagnoses), low, high, color=color, alpha=0.25, linewidth=0)


def diagnostics_picture(folder: Path, title: str) -> Path | None:
    """Draws what the trial's layers did by epoch into diagnostics.png; None if that was not recorded."""
    diagnoses = diagnoses_of(folder)
    names = list(next(iter(diagnoses.values()), {}))
    if not names:
        return None
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    colors = dict(zip(names, colormaps["viridis"]([0.9 * i / max(1, len(names) - 1) for i in range(len(names))])))
    hidden = [name for name in names if "pre_activation_p50" in next(iter(diagnoses.values()))[name]]
    rows = max(1, -(-len(hidden) // 4))
    figure = Figure(figsize=(15, 3.4 + 2.4 * rows), layout="constrained")
    upper: Any = None
    lower: Any = figure
    if hidden:
        subfigures: Any = figure.subfigures(2, 1, height_ratios=[2.4 * rows, 3.2])
        upper, lower = subfigures
        upper.suptitle("pre-activations: median, and from the 15th to the 85th percentile")
        bands = upper.subplots(rows, min(4, len(hidden)), sharex=True, sharey=True, squeeze=False)
        for axis, name in zip(bands.flat, hidden):
            band(axis, diagnoses, name, colors[name])
            axis.set_title(name, size=10)
        for axis in bands.flat[len(hidden) :]:
            axis.set_axis_off()
        for axis in bands.flat[max(0, len(hidden) - bands.shape[1]) : len(hidden)]:  # the lowest of each column
            axis.tick_params(labelbottom=True)
        for axis in bands[:, 0]:
            axis.set_ylabel("pre-activation")
    panels = (
        ("shift", "standard deviations", "mean of a unit: shift since epoch 0", "linear"),
        ("gradient_norm", "L2 norm", "gradient of the kernel", "log"),
        ("weight_norm", "L2 norm", "kernel", "linear"),
        ("dead_share", "share of units", "dead units", "linear"),
    )
    shown = [panel for panel in panels if any(panel[0] in layer for layer in next(iter(diagnoses.values())).values())]
    axes = lower.subplots(1, len(shown), squeeze=False)[0]
    for axis, (key, unit, text, scale) in zip(axes, shown):
        for name in names:
            if key in next(iter(diagnoses.values()))[name]:
                axis.plot(list(diagnoses), measure(diagnoses, name, key), color=colors[name], marker=".")
        axis.set(yscale=scale, ylabel=unit)
        axis.set_title(text, size=10)
        if scale == "linear":
            axis.set_ylim(bottom=0)
        if key == "dead_share":
            axis.set_ylim(-0.02, 1.02)
    for axis in (*axes, *(bands[-1] if upper is not None else ())):
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (*axes, *(bands.flat if upper is not None else ())):
        axis.grid(alpha=0.3)
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colors[name], marker=".", label=name) for name in names]
    lower.legend(handles=handles, loc="outside lower center", ncols=min(10, len(names)))
    figure.suptitle(title)
    path = folder / "diagnostics.png"
    figure.savefig(path, dpi=110)
    return path
