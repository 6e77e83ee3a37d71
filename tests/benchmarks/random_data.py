"""The data set of `large_one`: the size of MNIST, made up."""

import numpy as np

from pipeline.data.splits import Split, Splits


def random_data(
    *, seed: int, n_train: int = 60_000, n_validation: int = 1_000, n_features: int = 784, n_classes: int = 10
) -> Splits:
    """Standard normal features; the label is the largest of `n_classes` random projections, so that there is
    something to learn and the accuracies of two contenders can be compared."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((n_features, n_classes), np.float32)

    def split(n: int) -> Split:
        inputs = rng.standard_normal((n, n_features), np.float32)
        return Split(inputs, (inputs @ directions).argmax(axis=1).astype(np.int32))

    names = tuple(map(str, range(n_classes)))
    return Splits(split(n_train), split(n_validation), split(n_validation), names)
