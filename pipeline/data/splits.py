"""Training, validation and test examples, and what the rest of the program asks of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.data.encoding import Encoding
from pipeline.data.rows import SAMPLE_BYTES, InMemory, Rows, as_rows, sample
from pipeline.data.stream.stored import as_read
from pipeline.errors import InputError

SLICE_BYTES = 2**24


@dataclass(frozen=True)
class Split:
    """Examples with their labels."""

    inputs: Rows  # numbers [n, *input_shape], raw (not normalised); may be given as an array
    labels: np.ndarray  # int32 [n], each in 0..n_classes-1
    digest: str | None = None  # stands for the inputs, where that is known without reading them once more

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", as_rows(self.inputs))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        return self.inputs.nbytes + self.labels.nbytes

    @property
    def streamed(self) -> bool:
        """Whether the inputs stay in their file."""
        return self.inputs.streamed


@dataclass(frozen=True)
class Splits:
    """A data set, split. `class_names[c]` is the name of label c; attributes: what else the data says of itself (its
    units, its source), which goes with every run and model."""

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    encoding: Encoding | None = None  # of a table: which columns the inputs are
    warnings: Sequence[str] = ()  # what the user should know of how the files were understood
    sample_bytes: int = SAMPLE_BYTES  # from which statistics of larger parts are taken

    @property
    def parts(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.train.inputs.shape[1:]

    @property
    def nbytes(self) -> int:
        return sum(split.nbytes for split in self.parts.values())

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def streamed(self) -> bool:
        """Whether any part stays in its file."""
        return any(split.streamed for split in self.parts.values())

    @property
    def failure(self) -> InputError | None:
        """Why reading from a file has failed, if it has."""
        return next((f for split in self.parts.values() if (f := split.inputs.failure)), None)

    def describe(self) -> str:
        """What a person is told of the data before training: how much, of what, and where it is held."""
        counts = " + ".join(f"{len(split):,}" for split in self.parts.values())
        shape = " x ".join(map(str, self.input_shape)) or "1"
        where = "streamed from its file" if self.train.streamed else "held in memory"
        size = f"{self.nbytes / 2**20:,.0f} MB" if self.nbytes >= 2**20 else f"{self.nbytes / 2**10:,.0f} kB"
        return (
            f"{counts} examples (train, validation, test) of {shape} {self.train.inputs.dtype}, {self.n_classes} "
            f"classes, {size}, {where}"
        )

    @cached_property
    def fingerprint(self) -> str:
        """A hash by which changed data is noticed: of every example in order, wherever it is held. A part larger than
        a sample that has a digest counts by that instead of being read. Equal fingerprints mean the same data and the
        same split."""
        digest = hashlib.sha256("/".join(self.class_names).encode())
        for split in self.parts.values():
            digest.update(f"{split.inputs.dtype}{split.inputs.shape}".encode())
            if split.digest and split.inputs.nbytes > self.sample_bytes:
                digest.update(split.digest.encode())
            else:
                for block in split.inputs.blocks():
                    digest.update(np.ascontiguousarray(block).data)
            digest.update(f"{split.labels.dtype}{split.labels.shape}".encode())
            digest.update(np.ascontiguousarray(split.labels).data)
        return digest.hexdigest()[:16]

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        return moments(sample(self.train.inputs, self.sample_bytes))

    def normalization(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the last axis over the training examples; of more than `sample_bytes` over a sample,
        which is as good, and the same in memory and in a file.

        A feature that never varies in training gets variance 1: dividing by almost nothing would blow up the
        first example in which it does.
        """
        mean, variance = self._moments
        return mean.astype(np.float32), np.where(variance > 0, variance, 1).astype(np.float32)


def moments(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the last axis, float64; a slice at a time, whose squares take eight times a byte's room."""
    axes, count = tuple(range(inputs.ndim - 1)), inputs.size // inputs.shape[-1]
    rows = max(1, SLICE_BYTES * len(inputs) // max(1, inputs.nbytes))
    slices = [inputs[start : start + rows] for start in range(0, len(inputs), rows)]
    mean = sum(part.sum(axes, dtype=np.float64) for part in slices) / count
    return mean, sum(np.square(part - mean).sum(axes) for part in slices) / count


def stratified(
    inputs: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> Splits:
    """Splits examples [n, ...] by seed, with every class in the same proportion in each part.

    Raises InputError unless there is a label [n] for each, a whole number from 0, and if the fractions leave a part
    without an example of each class.
    """
    inputs, labels = np.asarray(inputs), np.asarray(labels)
    labels = labels.astype(np.int32) if labels.dtype == bool else labels
    check_labels("stratified()", labels, len(inputs), class_names)
    index = divided(labels, class_names, {"validation": validation_fraction, "test": test_fraction}, seed)
    inputs, labels = inputs.astype(as_read(inputs.dtype)), labels.astype(np.int32)
    parts = {name: Split(InMemory(inputs[rows]), labels[rows]) for name, rows in index.items()}
    return Splits(parts["train"], parts["validation"], parts["test"], class_names)


def check_labels(where: str, labels: np.ndarray, n: int, class_names: Sequence[str]) -> None:
    """Raises InputError unless `labels` are `n` whole numbers [n], each of a class if there are classes."""
    if labels.shape != (n,):
        raise InputError(f"{where}: labels have the shape {labels.shape}; wanted is one for each of the {n} inputs.")
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"{where}: labels are {labels.dtype}; wanted are the numbers of the classes, from 0, as integers."
        )
    for label in (int(labels.min()), int(labels.max())) if n and len(class_names) else ():
        if not 0 <= label < len(class_names):
            known = f"the {len(class_names)} classes have the numbers 0 to {len(class_names) - 1}"
            raise InputError(f"{where}: labels have {label}; {known}.")


def divided(
    labels: np.ndarray, class_names: Sequence[str], fractions: Mapping[str, float], seed: int
) -> dict[str, np.ndarray]:
    """The rows of `train` and of each part that `fractions` names (validation, test), by seed, with every class in the
    same proportion in each.

    Raises InputError if a part has no example of some class.
    """
    from sklearn.model_selection import train_test_split

    n, n_classes = len(labels), len(class_names)
    counts = {name: round(n * fraction) for name, fraction in fractions.items()}
    if min(*counts.values(), n - sum(counts.values()), n) < n_classes:
        keys = " and ".join(f"dataset.{name}_fraction={fraction}" for name, fraction in fractions.items())
        raise InputError(
            f"{keys} of {n} examples leave a part with fewer than one example for each of the {n_classes} classes."
        )
    sizes = np.bincount(labels, minlength=n_classes)
    rarest, least = int(sizes.argmin()), int(sizes.min())
    if least <= len(counts):
        raise InputError(
            f"the class {class_names[rarest]!r} has {least} example{'s' * (least != 1)}; it needs at least "
            f"{len(counts) + 1}, one for each of the {len(counts) + 1} parts."
        )
    index = {"train": np.arange(n)}
    for name in reversed(counts):  # test first: other validation fractions leave it as it is
        rest = index["train"]
        index["train"], index[name] = train_test_split(
            rest, test_size=counts[name], stratify=labels[rest], random_state=seed
        )
    for name, rows in index.items():
        if (missing := np.flatnonzero(np.bincount(labels[rows], minlength=n_classes) == 0)).size:
            lacks = f"the {name} part has no example of {len(missing)} of the {n_classes} classes"
            raise InputError(f"{lacks}, first {class_names[missing[0]]!r}; raise its fraction.")
    return index
