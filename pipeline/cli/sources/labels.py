"""The labels of examples as the classes of a model."""

from collections.abc import Sequence

import numpy as np

from pipeline.cli.views.text import clean, size
from pipeline.data.examples import Examples
from pipeline.data.formats.by_name import places
from pipeline.errors import InputError, first_of


def numbered(title: str, labels: np.ndarray, n: int, names: Sequence[str]) -> np.ndarray:
    """Labels as int64 [n], from [n] or [n, 1]: the numbers of a model's classes, or their names. Raises InputError
    unless each is that of one of the classes."""
    if labels.shape not in ((n,), (n, 1)):
        raise InputError(f"{title}: {n} inputs need {n} labels, one number each; their shape is {size(labels.shape)}.")
    labels, n_classes = labels.reshape(n), len(names)
    if _are_text(labels):
        numbers = _by_name(labels, names)
        if (bad := numbers < 0).any():
            raise InputError(
                f"{title}: the label of example {bad.argmax()} is {labels[bad.argmax()]!r}, which is none of this "
                f"model's classes {first_of(names)} (labels that are not numbers are names of classes)."
            )
        return numbers
    bad = ~((labels >= 0) & (labels < n_classes) & (labels == np.floor(labels)))
    if bad.any():
        raise InputError(
            f"{title}: the label of example {bad.argmax()} is {labels[bad.argmax()]}; this model's {n_classes} classes "
            f"have the labels 0 to {n_classes - 1}."
        )
    return labels.astype(np.int64)


def called(examples: Examples, names: Sequence[str]) -> list[str | None]:
    """The class of each example, by the name that a model has for it if it is one of its `names`; None where it is
    missing. Empty unless labels are text, or the file says what their numbers mean."""
    targets = examples.targets
    if targets is None or not (_are_text(targets) or examples.class_names):
        return []
    if examples.class_names and not _are_text(targets):
        return [clean(examples.class_names[label]) for label in targets]
    numbers = _by_name(targets, names)
    return [names[i] if i >= 0 else text and clean(text) for i, text in zip(numbers, targets.tolist())]


def named_otherwise(examples: Examples, names: Sequence[str]) -> bool:
    """Whether the numbers of classes mean others than a model's."""
    named = examples.class_names is not None and examples.targets is not None and not _are_text(examples.targets)
    return named and [clean(name) for name in examples.class_names or ()] != list(names)


def in_order(examples: Examples, names: Sequence[str]) -> np.ndarray | None:
    """Which of a model's classes each number of a class means, where the file names the same ones in another order."""
    own = [clean(name) for name in examples.class_names or ()]
    if not named_otherwise(examples, names) or sorted(own) != sorted(names):
        return None
    return np.array([list(names).index(name) for name in own], np.int64)


def _are_text(labels: np.ndarray) -> bool:
    return labels.dtype.kind in "OUS"


def _by_name(texts: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Which of the classes each text names, int64; -1 for none."""
    distinct = [text for text in dict.fromkeys(texts.tolist()) if text is not None]
    numbers = dict(zip(distinct, places([clean(text) for text in distinct], names)))
    return np.array([numbers.get(text, -1) for text in texts.tolist()], np.int64)
