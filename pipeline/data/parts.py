"""What file formats share: the parts of a data set as they were found, checked and divided into Splits."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import memory as machine
from pipeline.data.splits import Split, Splits, divided
from pipeline.data.stream.stored import Rows
from pipeline.errors import InputError, first_of

IN_MEMORY_SHARE = 1 / 16  # of the memory: every worker holds the data, and TensorFlow a copy of it
NAMES = ("train", "validation", "test")
Place = Mapping[str, str | None]  # file, inputs, labels of a part; None: as those of the training part


@dataclass(frozen=True)
class Part:
    """Examples that lie together.

    where: the file or folder, key and label_key: what its inputs and labels are called there, for messages; inputs:
    from row numbers, ascending, to their examples [n, *shape]; labels [n]: as the file has them, numbers or text;
    class_names and attributes: what the file says of itself; whole: whether the file has whole numbers as inputs,
    None if they are of one kind in all parts; digest: stands for all its inputs.
    """

    where: str
    key: str
    label_key: str
    inputs: Callable[[np.ndarray], Rows]
    labels: np.ndarray
    class_names: tuple[str, ...] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    whole: bool | None = None
    digest: str | None = None

    def split(self, rows: np.ndarray, labels: np.ndarray) -> Split:
        """Some of its rows, ascending. All of them have its digest."""
        digest = self.digest
        if digest and len(rows) < len(self.labels):
            digest = hashlib.sha256(digest.encode() + rows.astype("<i8").tobytes()).hexdigest()
        return Split(self.inputs(rows), labels, digest)


def located(
    read: Callable[[Place], Part],
    place: Place,
    others: Mapping[str, Place | None],
    known: Mapping[str, Place] | None = None,
) -> dict[str, Part]:
    """The training part, read from its place, and each of the others that has a place of its own: as the user names
    it, else where `known` says that the file has it.

    Raises InputError for a place that is none, and for one at which the training part lies.
    """
    given: dict[str, Place] = {}
    for name, other in others.items():
        if not isinstance(other, Mapping | None):
            raise InputError(
                f"dataset.{name}={other}: the place of a part is a file and its keys; write dataset.{name}.file={other}"
            )
        given[name] = {**(known or {}).get(name, {}), **{key: value for key, value in (other or {}).items() if value}}
    own = {"train": read(place)}
    for name, named in given.items():
        if named:
            found = {**place, **named}
            own[name] = read(found)
            if _same(found, place):
                raise InputError(
                    f"{own[name].where}: {own[name].key} is to be the {name} part and the training part; name other "
                    f"examples as dataset.{name}.file or .inputs, or none: then some are split off."
                )
    return own


def _same(one: Place, other: Place) -> bool:
    """Whether two places that exist have the same inputs."""
    keys = [[step for step in str(place["inputs"]).split("/") if step] for place in (one, other)]
    return keys[0] == keys[1] and Path(str(one["file"])).samefile(str(other["file"]))


def divide(own: Mapping[str, Part], fractions: Mapping[str, float], seed: int) -> Splits:
    """Splits of the training part and those others that exist; the rest is split off the training part by seed, as
    large as `fractions` (validation, test) says.

    Raises InputError for labels that are no classes or mean other ones than in training, for parts of different shapes
    or kinds of numbers, and for classes too rare to be divided.
    """
    names = _class_names(own)
    numbers = {name: _numbered(part, names) for name, part in own.items()}
    _check_names(own)
    index = {name: np.arange(len(part.labels)) for name, part in own.items()}
    if lacking := {name: fraction for name, fraction in fractions.items() if name not in own}:
        try:
            index |= divided(numbers["train"], names, lacking, seed)
        except InputError as error:
            raise InputError(f"{own['train'].where}: {own['train'].label_key}: {error}") from None
    parts: dict[str, Split] = {}
    attributes: dict[str, Any] = {}
    for name in NAMES:
        owner = name if name in own else "train"
        rows = np.sort(index[name])
        parts[name] = own[owner].split(rows, numbers[owner][rows])
        if parts[name].inputs.shape[1:] != parts["train"].inputs.shape[1:]:
            raise InputError(
                f"{own[owner].where}: {own[owner].key} ({name}) has examples of {parts[name].inputs.shape[1:]}, those "
                f"to train on are {parts['train'].inputs.shape[1:]}; give them the same shape."
            )
        if own[owner].whole != own["train"].whole:  # bytes of an image and the same divided by 255, as a rule
            kinds = ["whole numbers" if part.whole else "floats" for part in (own[owner], own["train"])]
            raise InputError(
                f"{own[owner].where}: {own[owner].key} ({name}) holds {kinds[0]}, but the inputs to train on are "
                f"{kinds[1]}; store both alike, on the same scale."
            )
        for key, value in own[owner].attributes.items():  # where they contradict each other, training's count
            attributes.setdefault(key, value)
    return Splits(**parts, class_names=names, attributes=attributes)


def room() -> float:
    """Bytes of data that are held in memory unless the user says otherwise."""
    return IN_MEMORY_SHARE * machine.total()


def check_memory(where: str, nbytes: int, memory: str, source: str) -> None:
    """Raises InputError if data of a source that can't be streamed is too large to be held by every worker, unless
    `dataset.memory` is `always`."""
    hint = (
        f"Write it to an HDF5 file: `python -m pipeline convert dataset={source} ... dataset.memory=always FILE.h5`, "
        "and train with dataset=hdf5 dataset.file=FILE.h5."
    )
    if memory == "never":
        raise InputError(f"dataset.memory=never: dataset={source} is held in memory, HDF5 files are not.\n{hint}")
    if memory == "auto" and nbytes > room():
        raise InputError(
            f"{where}: its examples take {nbytes / 2**30:,.1f} GB, more than a sixteenth of the memory "
            f"({machine.total() / 2**30:,.1f} GB).\n{hint}"
        )


def check_pair(where: str, inputs: tuple[str, tuple[int, ...], str | None], labels: tuple[str, tuple[int, ...]]) -> int:
    """The number of examples. inputs: their key, shape, and what they are if no numbers; labels: key and shape.

    Raises InputError unless inputs are numbers [n, ...] and labels [n], n > 0.
    """
    (key, shape, other), (label_key, label_shape) = inputs, labels
    for name, sizes in ((key, shape), (label_key, label_shape)):
        if not sizes or 0 in sizes:
            raise InputError(f"{where}: {name} is empty." if sizes else f"{where}: {name} is a single value, no rows.")
    if other:
        raise InputError(f"{where}: {key} holds {other}, not numbers; name the key of the inputs.")
    n = shape[0]
    if len(shape) < 2:
        raise InputError(
            f"{where}: {key} has the shape {shape}; inputs are [n, ...], a row an example: store one number a row as "
            f"({n}, 1)."
        )
    if (tuple(d for d in label_shape if d != 1) or (1,)) != (n,):
        hint = "one-hot labels: store the number of the class instead" if len(label_shape) > 1 else "a label a row"
        raise InputError(
            f"{where}: {label_key} has the shape {label_shape}, but {key} has {n} rows; wanted are {n} labels ({hint})."
        )
    return n


def check_finite(where: str, key: str, rows: np.ndarray, first: int = 0) -> None:
    """Raises InputError for values of `rows`, which begin with row `first`, that are not finite."""
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        bad = ~np.isfinite(rows).reshape(len(rows), -1).all(1)
        raise InputError(
            f"{where}: {key} has values that are not finite as {rows.dtype}, first in row "
            f"{first + int(bad.argmax())}; remove or replace such rows."
        )


def _class_names(own: Mapping[str, Part]) -> tuple[str, ...]:
    """As the training part says; else the texts that its labels are, sorted; else their numbers."""
    part = own["train"]
    for other in own.values():
        if not part.class_names and _is_text(other) != _is_text(part):
            raise InputError(
                f"{other.where}: {other.label_key} holds {'text' if _is_text(other) else 'numbers'}, but the labels to "
                f"train on are {'text' if _is_text(part) else 'numbers'}; store both alike."
            )
    if part.class_names:
        names = part.class_names
    elif _is_text(part):
        names = tuple(sorted(set(part.labels.tolist())))
    else:
        numbers = np.unique(np.concatenate([np.unique(_whole(p)) for p in own.values()]))
        if (gap := np.flatnonzero(numbers != np.arange(len(numbers)))).size:  # a wrong one may be in the billions
            raise InputError(
                f"{part.where}: {part.label_key} has labels up to {numbers[-1]}, but none is {gap[0]}; number the "
                "classes from 0 without gaps."
            )
        names = tuple(map(str, range(len(numbers))))
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{part.where}: its class names have {twice!r} twice; give every class a name of its own.")
    if len(names) < 2:
        raise InputError(f"{part.where}: {part.label_key} has one class only, {names[0]}; wanted are at least two.")
    return names


def _check_names(own: Mapping[str, Part]) -> None:
    """Raises InputError if a number means one class in training and another elsewhere."""
    part = own["train"]
    for other in own.values():
        if part.class_names and other.class_names and not _is_text(other):
            for i, (theirs, ours) in enumerate(zip_longest(other.class_names, part.class_names)):
                if theirs != ours:
                    raise InputError(
                        f"{other.where}: {other.label_key} has other class names than the labels to train on: "
                        f"class {i} is {theirs!r}, in {part.where} it is {ours!r}; number the classes alike."
                    )


def _numbered(part: Part, names: tuple[str, ...]) -> np.ndarray:
    """The labels as numbers of `names`, int32 [n]."""
    where = f"{part.where}: {part.label_key} has the label"
    if _is_text(part):
        numbers = {name: i for i, name in enumerate(names)}
        if unknown := sorted(set(part.labels.tolist()) - set(names)):
            raise InputError(f"{where} {unknown[0]!r}, which is none of the classes {first_of(names)}.")
        return np.array([numbers[label] for label in part.labels.tolist()], np.int32)
    labels = _whole(part)
    if (high := int(labels.max())) >= len(names):
        raise InputError(f"{where} {high}; the {len(names)} classes have the numbers 0 to {len(names) - 1}.")
    return labels.astype(np.int32)


def _is_text(part: Part) -> bool:
    return part.labels.dtype.kind in "OUS"


def _whole(part: Part) -> np.ndarray:
    """The labels, if they can be numbers of classes."""
    labels, where = part.labels, f"{part.where}: {part.label_key}"
    if labels.dtype.kind not in "biuf":
        raise InputError(f"{where} holds {labels.dtype}; labels are whole numbers from 0, or text.")
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise InputError(f"{where} has labels that are not whole numbers; number the classes from 0.")
    if (low := int(labels.min())) < 0:
        raise InputError(f"{where} has the label {low}; number the classes from 0.")
    return labels
