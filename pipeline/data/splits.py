"""Training, validation and test examples, and what the rest of the program asks of them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.errors import InputError


@dataclass(frozen=True)
class Split:
    """inputs: float32 [n, *input_shape], raw (not normalised); labels: int32 [n], each in 0..n_classes-1."""

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """A data set, split. `class_names[c]` is the name of label c."""

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.train.inputs.shape[1:]

    @property
    def nbytes(self) -> int:
        return sum(s.inputs.nbytes + s.labels.nbytes for s in (self.train, self.validation, self.test))

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of every example in order; equal fingerprints mean the same data and the same split."""
        digest = hashlib.sha256("/".join(self.class_names).encode())
        for split in (self.train, self.validation, self.test):
            for array in (split.inputs, split.labels):
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def normalization(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the last axis over the training examples.

        A feature that never varies in training gets variance 1: dividing by almost nothing would blow up the
        first example in which it does.
        """
        axes = tuple(range(self.train.inputs.ndim - 1))
        mean = self.train.inputs.mean(axes, dtype=np.float64)
        variance = self.train.inputs.var(axes, dtype=np.float64)
        return mean.astype(np.float32), np.where(variance > 0, variance, 1).astype(np.float32)


def stratified(
    inputs: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> Splits:
    """Splits examples by seed, with every class in the same proportion in each part.

    Raises InputError if the fractions leave a part without an example of each class.
    """
    from sklearn.model_selection import train_test_split

    n, n_classes = len(labels), len(class_names)
    n_validation, n_test = round(n * validation_fraction), round(n * test_fraction)
    if min(n_validation, n_test, n - n_validation - n_test) < n_classes:
        raise InputError(
            f"dataset.validation_fraction={validation_fraction} and dataset.test_fraction={test_fraction} of "
            f"{n} examples leave a part with fewer than one example for each of the {n_classes} classes."
        )
    rarest = int(np.bincount(labels, minlength=n_classes).min())
    if rarest < 3:
        raise InputError(f"a class has {rarest} examples; it needs at least 3, one for each of the three parts.")
    rest, test = train_test_split(np.arange(n), test_size=n_test, stratify=labels, random_state=seed)
    train, validation = train_test_split(rest, test_size=n_validation, stratify=labels[rest], random_state=seed)
    for part, index in (("training", train), ("validation", validation), ("test", test)):
        if missing := n_classes - len(np.unique(labels[index])):
            raise InputError(
                f"the {part} part has no example of {missing} of the {n_classes} classes; raise its fraction."
            )
    inputs, labels = inputs.astype(np.float32), labels.astype(np.int32)
    parts = (Split(inputs[index], labels[index]) for index in (train, validation, test))
    return Splits(next(parts), next(parts), next(parts), class_names)
