"""Two-dimensional data sets with C classes, for pictures of decision boundaries and for fast tests."""

import numpy as np

from pipeline.data.splits import Splits, stratified


def spirals(
    *,
    n_classes: int,
    examples_per_class: int,
    noise: float,
    turns: float,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> Splits:
    """Interleaved spiral arms, one a class, in the disc of radius 1.

    noise: standard deviation of the angle in radians; turns: how often an arm winds around the origin.
    """
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), examples_per_class)
    radius = np.tile(np.linspace(0.05, 1, examples_per_class), n_classes)
    angle = 2 * np.pi * (labels / n_classes + turns * radius) + rng.normal(0, noise, len(labels))
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    names = tuple(f"class {c}" for c in range(n_classes))
    return stratified(
        points, labels, names, validation_fraction=validation_fraction, test_fraction=test_fraction, seed=seed
    )


def blobs(
    *,
    n_classes: int,
    examples_per_class: int,
    spread: float,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> Splits:
    """Gaussian clouds with standard deviation `spread` around evenly spaced points of the unit circle."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), examples_per_class)
    angle = 2 * np.pi * labels / n_classes
    centers = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = centers + rng.normal(0, spread, centers.shape)
    names = tuple(f"class {c}" for c in range(n_classes))
    return stratified(
        points, labels, names, validation_fraction=validation_fraction, test_fraction=test_fraction, seed=seed
    )
