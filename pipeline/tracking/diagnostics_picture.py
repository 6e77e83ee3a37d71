"""What a trial's layers did by epoch, as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from pipeline.eventlog import Diagnoses, diagnoses_of
from pipeline.tracking.curves import WIDTH, Color, band, by_epoch, legend_below, measure

Panel = tuple[str, str, str, str]
COLUMNS = 4  # of pre-activations
PANELS = (  # measure, unit, title, scale of the axis
    ("shift", "standard deviations", "mean of a unit: shift", "linear"),  # since epoch 0
    ("batch_noise", "standard deviations", "mean of a batch: noise", "linear"),
    ("gradient_norm", "L2 norm", "gradient of the kernel", "log"),
    ("weight_norm", "L2 norm", "kernel", "linear"),
    ("dead_share", "share of units", "dead units", "linear"),
)


def diagnostics_picture(folder: Path, title: str) -> Path | None:
    """Draws what the trial's layers did by epoch into diagnostics.png: the distribution of pre-activations, a panel a
    layer, and below them a panel a measure, a line a layer. None if that was not recorded."""
    diagnoses = diagnoses_of(folder)
    first = next(iter(diagnoses.values()), None)
    if not first:
        return None
    from matplotlib import colormaps
    from matplotlib.figure import Figure  # not pyplot: no global state, no display needed

    shades = colormaps["viridis"]([0.9 * i / max(1, len(first) - 1) for i in range(len(first))])
    colors = dict(zip(first, shades, strict=True))
    hidden = [name for name, measures in first.items() if "pre_activation_p50" in measures]
    rows = -(-len(hidden) // COLUMNS)
    panels = [panel for panel in PANELS if any(panel[0] in measures for measures in first.values())]
    heights = [1.5 * rows + 0.3] * bool(hidden) + [1.8 * -(-len(panels) // 3) + 0.4]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.4), layout="constrained")
    figure.suptitle(fill(title, 70))
    subfigures: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    if hidden:
        _bands(subfigures[0], diagnoses, {name: colors[name] for name in hidden})
    _lines(subfigures[-1], diagnoses, colors, panels)
    path = folder / "diagnostics.png"
    figure.savefig(path, dpi=150)
    return path


def _bands(figure: Any, diagnoses: Diagnoses, colors: Mapping[str, Color]) -> None:
    """The distributions of pre-activations, a panel a layer on common axes."""
    figure.suptitle("pre-activations: median, and from the 15th to the 85th percentile", fontsize=10)
    columns = min(COLUMNS, len(colors))
    grid = figure.subplots(-(-len(colors) // columns), columns, sharex=True, sharey=True, squeeze=False)
    axes = grid.flat[: len(colors)]
    for axis, (name, color) in zip(axes, colors.items(), strict=True):
        band(axis, diagnoses, name, color)
        axis.set_title(name, size=9)
        by_epoch(axis)
    for axis in grid.flat[len(colors) :]:
        axis.set_axis_off()
    for axis in axes[-columns:]:  # the lowest of each column
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("epoch")
    for axis in grid[:, 0]:
        axis.set_ylabel("pre-activation")


def _lines(figure: Any, diagnoses: Diagnoses, colors: Mapping[str, Color], panels: Sequence[Panel]) -> None:
    """The measures that any layer has, a panel each."""
    from matplotlib.lines import Line2D

    first = next(iter(diagnoses.values()))
    columns = min(3, len(panels))
    axes = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).flat
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (key, unit, title, scale) in zip(axes[: len(panels)], panels, strict=True):
        for name, measures in first.items():
            if key in measures:
                axis.plot(list(diagnoses), measure(diagnoses, name, key), color=colors[name], marker=".")
        axis.set(yscale=scale, ylabel=unit, xlabel="epoch")
        axis.set_title(title, size=9)
        if key == "dead_share":
            axis.set_ylim(-0.02, 1.02)
        elif scale == "linear":
            axis.set_ylim(bottom=0)
        by_epoch(axis)
    legend_below(figure, {name: Line2D([], [], color=color, marker=".") for name, color in colors.items()})
