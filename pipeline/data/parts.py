"""What file formats share: the parts of a data set as they were found, checked and divided into Splits."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.examples import Examples
from pipeline.data.rows import InMemory
from pipeline.data.splits import Split, Splits, divided
from pipeline.data.trainable import memory_budget
from pipeline.errors import InputError, first_of

MANY_NUMBERS = 20  # labels, that may be a quantity
NAMES = ("train", "validation", "test")
Place = Mapping[str, Any]  # the file of a part and what its reader is given, the keys of inputs and labels, say


def located(
    read: Callable[[Place], Examples],
    place: Place,
    others: Mapping[str, Place | None],
    known: Mapping[str, Place] | None = None,
) -> dict[str, Examples]:
    """The training part, read from its place, and each of the others that has a place of its own: as the user names
    it, else where `known` says that the file has it. A place that lacks something has it from the training part.

    Raises InputError for a place that is none, and for one at which the training part lies.
    """
    places: dict[str, Place] = {}
    for name, other in others.items():
        if not isinstance(other, Mapping | None):
            raise InputError(
                f"dataset.{name}={other}: the place of a part is a file and its keys; write dataset.{name}.file={other}"
            )
        if keys := {**(known or {}).get(name, {}), **{key: value for key, value in (other or {}).items() if value}}:
            places[name] = {**place, **keys}
    own = {"train": read(place)}
    for name, other in places.items():
        own[name] = read(other)
        if _same(other, place):
            raise InputError(
                f"{own[name].where}: {own[name].key} is to be the {name} part and the training part; name other "
                f"examples as dataset.{name}.file or .inputs, or none: then some are split off."
            )
    return own


def _same(place: Place, other: Place) -> bool:
    """Whether two places that exist have the same inputs."""
    steps = [[s for key in ("key", "inputs") for s in str(p.get(key) or "").split("/") if s] for p in (place, other)]
    return steps[0] == steps[1] and Path(str(place["file"])).samefile(str(other["file"]))


def divide(own: Mapping[str, Examples], fractions: Mapping[str, float], seed: int) -> Splits:
    """Splits of the training part and those others that exist; the rest is split off the training part by seed, as
    large as `fractions` (validation, test) says.

    Raises InputError for labels that are no classes or mean other ones than in training, for parts of different shapes
    or kinds of numbers, and for classes too rare to be divided.
    """
    train = own["train"]
    own = {name: _by_name(part, train) for name, part in own.items()}
    names = _class_names(own)
    labels = {name: _numbered(part, names) for name, part in own.items()}
    _check_names(own)
    index = {name: np.arange(len(part)) for name, part in own.items()}
    if lacking := {name: fraction for name, fraction in fractions.items() if name not in own}:
        try:
            index |= divided(labels["train"], names, lacking, seed)
        except InputError as error:
            quantity = len(names) > MANY_NUMBERS and all(name.lstrip("-").isdigit() for name in names)
            hint = " If it is a quantity: that can't be predicted, classes can." if quantity else ""
            raise InputError(f"{train.where}: {train.label_key}: {error}{hint}") from None
    attributes: dict[str, object] = {}
    for name, part in own.items():
        if part.inputs.shape[1:] != train.inputs.shape[1:]:
            raise InputError(
                f"{part.where}: {part.key} ({name}) has examples of {part.inputs.shape[1:]}, those "
                f"to train on are {train.inputs.shape[1:]}; give them the same shape."
            )
        if _kind(part) != _kind(train):  # bytes of an image and the same divided by 255, as a rule
            raise InputError(
                f"{part.where}: {part.key} ({name}) holds {_kind(part)}, but the inputs to train on are "
                f"{_kind(train)}; store both alike, on the same scale."
            )
        for key, value in part.attributes.items():  # where they contradict each other, training's count
            attributes.setdefault(key, value)

    def split(name: str) -> Split:
        owner = name if name in own else "train"
        rows = np.sort(index[name])
        digest = own[owner].digest  # of all rows
        if digest and len(rows) < len(own[owner]):
            digest = hashlib.sha256(digest.encode() + rows.astype("<i8").tobytes()).hexdigest()
        return Split(own[owner].inputs.select(rows), labels[owner][rows], digest)

    warnings = [warning for part in own.values() for warning in part.warnings]
    return Splits(split("train"), split("validation"), split("test"), names, attributes, train.encoding, warnings)


def held(splits: Splits, memory: str) -> Splits:
    """The splits with as many parts of files in memory, small ones first, as `dataset.memory` says: `always` all,
    `never` none, `auto` as long as all take no more than a sixteenth of the memory."""
    left = {"always": math.inf, "never": 0.0, "auto": memory_budget()}[memory]
    parts = dict(splits.parts)
    for name, split in sorted(parts.items(), key=lambda item: item[1].nbytes):  # what is read most often comes last
        left -= split.nbytes
        if left >= 0:
            parts[name] = replace(split, inputs=InMemory(split.inputs.load()))
    return replace(splits, train=parts["train"], validation=parts["validation"], test=parts["test"])


def _kind(part: Examples) -> str:
    """What its inputs are in the file."""
    return "floats" if np.dtype(part.dtype or part.inputs.dtype).kind == "f" else "whole numbers"


def _class_names(own: Mapping[str, Examples]) -> tuple[str, ...]:
    """As the training part says; else the texts that its labels are, sorted; else their numbers."""
    train = own["train"]
    where, names = f"{train.where}: {train.label_key}", train.class_names
    if not names:
        for part in own.values():
            if _is_text(part) != _is_text(train):
                raise InputError(
                    f"{part.where}: {part.label_key} holds {'text' if _is_text(part) else 'numbers'}, but the labels "
                    f"to train on are {'text' if _is_text(train) else 'numbers'}; store both alike."
                )
        if _is_text(train):
            names = tuple(sorted(set(train.labels().tolist())))
        else:
            numbers = np.unique(np.concatenate([np.unique(_whole(part)) for part in own.values()]))
            if (gap := np.flatnonzero(numbers != np.arange(len(numbers)))).size:  # a wrong one may be in the billions
                raise InputError(
                    f"{where} has labels up to {numbers[-1]}, but none is {gap[0]}; number the classes from 0 without "
                    "gaps."
                )
            names = tuple(map(str, range(len(numbers))))
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{train.where}: its class names have {twice!r} twice; give every class a name of its own.")
    if len(names) < 2:
        raise InputError(f"{where} has one class only, {names[0]}; wanted are at least two.")
    return names


def _check_names(own: Mapping[str, Examples]) -> None:
    """Raises InputError if a number means one class in training and another elsewhere."""
    train = own["train"]
    for part in own.values():
        if train.class_names and part.class_names and not _is_text(part):
            for i, (theirs, ours) in enumerate(zip_longest(part.class_names, train.class_names)):
                if theirs != ours:
                    raise InputError(
                        f"{part.where}: {part.label_key} has other class names than the labels to train on: "
                        f"class {i} is {theirs!r}, in {train.where} it is {ours!r}; number the classes alike."
                    )


def _by_name(part: Examples, train: Examples) -> Examples:
    """With the names of its labels for their numbers, if the labels to train on are names, such as those of an HDF5
    enumeration that does not count from 0."""
    if train.class_names or not _is_text(train) or _is_text(part) or not part.class_names:
        return part
    return replace(part, targets=np.array(part.class_names, object)[_numbered(part, part.class_names)])


def _numbered(part: Examples, names: tuple[str, ...]) -> np.ndarray:
    """The labels as numbers of `names`, int32 [n]."""
    where = f"{part.where}: {part.label_key} has the label"
    if _is_text(part):
        numbers = {name: i for i, name in enumerate(names)}
        if unknown := sorted(set(part.labels().tolist()) - set(names)):
            raise InputError(f"{where} {unknown[0]!r}, which is none of the classes {first_of(names)}.")
        return np.array([numbers[label] for label in part.labels().tolist()], np.int32)
    labels = _whole(part)
    if (high := int(labels.max())) >= len(names):
        raise InputError(f"{where} {high}; the {len(names)} classes have the numbers 0 to {len(names) - 1}.")
    return labels.astype(np.int32)


def _is_text(part: Examples) -> bool:
    return part.labels().dtype.kind in "OUS"


def _whole(part: Examples) -> np.ndarray:
    """The labels, if they can be numbers of classes."""
    labels, where = part.labels(), f"{part.where}: {part.label_key}"
    if labels.dtype.kind not in "biuf":
        raise InputError(f"{where} holds {labels.dtype}; labels are whole numbers from 0, or text.")
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise InputError(f"{where} has labels that are not whole numbers; number the classes from 0.")
    if (low := int(labels.min())) < 0:
        raise InputError(f"{where} has the label {low}; number the classes from 0.")
    return labels
