"""A picture of examples: a row a class."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cli.views.data import is_class, name_of, named
from pipeline.cli.views.text import clean
from pipeline.data.examples import Examples
from pipeline.errors import InputError

SAMPLES, CLASSES, POINTS = 8, 20, 2000


def draw(parts: Mapping[str, Examples], path: Path) -> None:
    """Draws examples of the first part into a PNG file: images as images, points of the plane as points, other
    numbers as a heat map. Up to 8 of a class, spread evenly over its examples, of the first 20 classes."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no display needed

    drawn = [(name, p) for name, p in parts.items() if p.targets is not None and 0 not in p.inputs.shape]
    if not drawn:
        raise InputError("--picture: there are no examples with labels to draw.")
    part = replace(drawn[0][1], where=drawn[0][0], class_names=named(parts))
    shape = part.inputs.shape[1:]
    figure = Figure(layout="constrained")
    if shape == (2,):
        _points(figure, part)
    elif len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        _images(figure, part)
    else:
        _heat_map(figure, part)
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as error:
        raise InputError(f"--picture={path}: can't be written ({error.strerror}).") from None


def _chosen(part: Examples, n: int) -> dict[str, np.ndarray]:
    """Class -> rows of up to n of its examples."""
    labels = part.labels()
    labels = labels.astype(str) if labels.dtype == object else labels
    values = np.unique(labels)[:CLASSES] if is_class(labels) else labels[:0]
    rows = {name_of(v.item(), part.class_names): np.flatnonzero(labels == v) for v in values} or {
        "": np.arange(len(labels))
    }
    return {
        clean(name): found[np.unique(np.linspace(0, len(found) - 1, n).astype(int))] for name, found in rows.items()
    }


def _read(part: Examples, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([part.inputs[row : row + 1] for row in rows.tolist()])


def _images(figure: Any, part: Examples) -> None:
    chosen = {name: _read(part, rows) for name, rows in _chosen(part, SAMPLES).items()}
    longest = max(map(len, chosen))
    figure.set_size_inches(1.1 * SAMPLES + 0.1 * longest, 1.1 * len(chosen) + 0.4)
    all_values = np.concatenate(list(chosen.values())).astype(np.float64)
    of_bytes = (part.dtype or part.inputs.dtype) == "uint8" and all_values.max() > 1
    low, high = (0, 255) if of_bytes else (all_values.min(), all_values.max())
    axes = figure.subplots(len(chosen), SAMPLES, squeeze=False)
    for line, (name, images) in zip(axes, chosen.items()):
        for axis in line:
            axis.set(xticks=[], yticks=[], frame_on=False)
        for axis, image in zip(line, images.astype(np.float64)):
            scaled = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
            axis.imshow(scaled.squeeze(-1) if scaled.shape[2:] == (1,) else scaled, cmap="gray", vmin=0, vmax=1)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", parse_math=False)
    figure.suptitle(_title(part), parse_math=False)


def _points(figure: Any, part: Examples) -> None:
    figure.set_size_inches(6, 5)
    axis = figure.subplots()
    chosen = _chosen(part, POINTS)
    for name, rows in chosen.items():
        points = _read(part, rows)
        axis.scatter(*points.T, s=10, alpha=0.7, linewidths=0, label=name)
    if len(chosen) > 1:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    features = _features(part)
    x, y = features or ("first input", "second input")
    axis.set_title(_title(part), parse_math=False)
    if not features:  # coordinates of one plane; columns of a table have units of their own
        axis.set_aspect("equal")
    axis.set_xlabel(x, parse_math=False)
    axis.set_ylabel(y, parse_math=False)


def _heat_map(figure: Any, part: Examples) -> None:
    """A line an example, a column an input, as deviations from the input's mean over the examples shown."""
    chosen = {name: _read(part, rows) for name, rows in _chosen(part, SAMPLES).items()}
    values = np.concatenate(list(chosen.values())).astype(np.float64)
    values = values.reshape(len(values), -1)
    spread = np.nanstd(values, 0)
    scaled = (values - np.nanmean(values, 0)) / np.where(spread > 0, spread, 1)
    figure.set_size_inches(min(12, 3 + 0.3 * values.shape[1]), min(14, 1.5 + 0.16 * len(values)))
    axis = figure.subplots()
    shown = axis.imshow(scaled, aspect="auto", cmap="RdBu_r", vmin=-3, vmax=3, interpolation="nearest")
    ends = np.cumsum([len(rows) for rows in chosen.values()])
    starts = np.r_[0, ends[:-1]]
    axis.set_yticks((starts + ends - 1) / 2, list(chosen), parse_math=False)
    for end in ends[:-1]:
        axis.axhline(end - 0.5, color="black", linewidth=0.6)
    features = _features(part)
    if features and len(features) <= 40:
        axis.set_xticks(range(len(features)), map(clean, features), rotation=45, ha="right", parse_math=False)
    else:
        axis.set_xlabel("input")
    figure.colorbar(shown, label="standard deviations from the mean")
    axis.set_title(_title(part), parse_math=False)


def _features(part: Examples) -> list[str]:
    """What the inputs are called, if they have names."""
    names = part.attributes.get("features")
    return names if isinstance(names, list) and [len(names)] == list(part.inputs.shape[1:]) else []


def _title(part: Examples) -> str:
    return f"{clean(part.where)}: {len(part):,} examples"
