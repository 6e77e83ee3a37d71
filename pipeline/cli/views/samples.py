"""A picture of examples: a row a class."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.cli.views.data import named, rows_by_class
from pipeline.cli.views.text import clean
from pipeline.data.examples import Examples
from pipeline.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES, CLASSES, POINTS = 8, 20, 2000


def draw(parts: Mapping[str, Examples], path: Path) -> None:
    """Draws examples of the first part into a PNG file: images as images, points of the plane as points, other
    numbers as a heat map. Up to 8 of a class (of points, 2000), spread evenly over its examples, of the first 20
    classes."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no display needed

    labelled = {name: p for name, p in parts.items() if p.targets is not None and 0 not in p.inputs.shape}
    if not labelled:
        raise InputError("--picture: there are no examples with labels to draw.")
    name, part = next(iter(labelled.items()))
    part = replace(part, class_names=named(parts))
    title = f"{clean(name)}: {len(part):,} examples"
    shape = part.inputs.shape[1:]
    figure = Figure(layout="constrained")
    if shape == (2,):
        _points(figure, title, part)
    elif len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        _images(figure, title, part)
    else:
        _heat_map(figure, title, part)
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as error:
        raise InputError(f"--picture={path}: can't be written ({error.strerror}).") from None


def _chosen(part: Examples, n: int) -> dict[str, np.ndarray]:
    """Class -> up to n of its examples."""
    rows = rows_by_class(part.targets, part.class_names) or {"": np.arange(len(part))}
    chosen = {}
    for name, of_class in list(rows.items())[:CLASSES]:
        spread = of_class[np.unique(np.linspace(0, len(of_class) - 1, n).astype(int))]
        chosen[clean(name)] = np.concatenate([part.inputs[row : row + 1] for row in spread.tolist()])
    return chosen


def _images(figure: "Figure", title: str, part: Examples) -> None:
    chosen = _chosen(part, SAMPLES)
    longest = max(map(len, chosen))
    figure.set_size_inches(1.1 * SAMPLES + 0.1 * longest, 1.1 * len(chosen) + 0.4)
    all_values = np.concatenate(list(chosen.values())).astype(np.float64)
    of_bytes = (part.dtype or part.inputs.dtype) == "uint8" and all_values.max() > 1
    low, high = (0, 255) if of_bytes else (all_values.min(), all_values.max())
    axes = figure.subplots(len(chosen), SAMPLES, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], frame_on=False)
    for line, (name, images) in zip(axes, chosen.items()):
        for axis, image in zip(line, images.astype(np.float64)):
            scaled = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
            axis.imshow(scaled.squeeze(-1) if scaled.shape[2:] == (1,) else scaled, cmap="gray", vmin=0, vmax=1)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", parse_math=False)
    figure.suptitle(title, parse_math=False)


def _points(figure: "Figure", title: str, part: Examples) -> None:
    figure.set_size_inches(6, 5)
    axis = figure.subplots()
    chosen = _chosen(part, POINTS)
    for name, points in chosen.items():
        axis.scatter(points[:, 0], points[:, 1], s=10, alpha=0.7, linewidths=0, label=name)
    if len(chosen) > 1:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    features = _features(part)
    if not features:  # coordinates of one plane; columns of a table have units of their own
        axis.set_aspect("equal")
    x, y = features or ("first input", "second input")
    axis.set_xlabel(x, parse_math=False)
    axis.set_ylabel(y, parse_math=False)
    axis.set_title(title, parse_math=False)


def _heat_map(figure: "Figure", title: str, part: Examples) -> None:
    """A line an example, a column an input, as deviations from the input's mean over the examples drawn."""
    chosen = _chosen(part, SAMPLES)
    values = np.concatenate(list(chosen.values())).astype(np.float64)
    values = values.reshape(len(values), -1)
    spread = np.nanstd(values, 0)
    scaled = (values - np.nanmean(values, 0)) / np.where(spread > 0, spread, 1)
    figure.set_size_inches(min(12, 3 + 0.3 * values.shape[1]), min(14, 1.5 + 0.16 * len(values)))
    axis = figure.subplots()
    image = axis.imshow(scaled, aspect="auto", cmap="RdBu_r", vmin=-3, vmax=3, interpolation="nearest")
    ends = np.cumsum([len(examples) for examples in chosen.values()])
    starts = np.r_[0, ends[:-1]]
    axis.set_yticks((starts + ends - 1) / 2, list(chosen), parse_math=False)
    for end in ends[:-1]:
        axis.axhline(end - 0.5, color="black", linewidth=0.6)
    features = _features(part)
    if features and len(features) <= 40:
        axis.set_xticks(range(len(features)), map(clean, features), rotation=45, ha="right", parse_math=False)
    else:
        axis.set_xlabel("input")
    figure.colorbar(image, label="standard deviations from the mean")
    axis.set_title(title, parse_math=False)


def _features(part: Examples) -> list[str]:
    """What the inputs are called, if they have names."""
    names = part.attributes.get("features")
    return names if isinstance(names, list) and [len(names)] == list(part.inputs.shape[1:]) else []
