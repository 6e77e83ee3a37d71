"""How inputs and labels are called in files of several arrays, and columns of labels in tables."""

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pipeline.errors import InputError, first_of, nearest

Shapes = Mapping[str, tuple[int, ...]]
Keys = dict[str, str]  # what a reader is to be given for a part of a file

LABELLED = (("x", "y"), ("inputs", "labels"))  # the names that inputs and labels have unless the user says others
INPUTS = re.compile(r"(?<![a-z])(inputs|images|data|x)(?![a-z])", re.IGNORECASE)
LABELS = ("labels", "label", "y", "targets", "target")  # how labels are called beside inputs, and columns of them
LABEL_COLUMNS = (*LABELS, "class")


def label_column(columns: Collection[str]) -> str | None:
    """The column of a table that is called as labels are."""
    return next((name for name in columns if name.lower() in LABEL_COLUMNS), None)


def labelled(where: str, names: Collection[str]) -> tuple[str, str]:
    """The names of inputs and labels among others. Raises InputError if they are not called so."""
    for inputs, labels in LABELLED:
        if inputs in names and labels in names:
            return inputs, labels
    listed = ", ".join(sorted(names)) or "nothing"
    allowed = " or ".join(f"'{inputs}' and '{labels}'" for inputs, labels in LABELLED)
    raise InputError(f"{where}: holds {listed}; inputs and labels must be called {allowed}.")


def unlabelled(path: Path, key: str | None, shapes: Shapes, what: str) -> str:
    """The name of the inputs for which no labels are needed: the one that the user says, or its part of a file; else
    the only one, or that beside which labels lie. Raises InputError if there is none. what: `datasets`, say."""
    if key is not None:
        candidates = [key.strip("/"), *(f"{key.strip('/')}/{inputs}" for inputs, _ in LABELLED)]
    elif len(shapes) == 1:
        candidates = list(shapes)
    else:
        candidates = [x for x, y in LABELLED if x in shapes and y in shapes and _are_labels(shapes[y], shapes[x])]
    if name := next((candidate for candidate in candidates if candidate in shapes), None):
        return name
    problem = f"has no {what[:-1]} '{key}'" if key is not None else f"has {len(shapes)} {what}; name one as {path}:KEY"
    listed = first_of(shapes) or "none"
    raise InputError(f"{path}: {problem}. {what.capitalize()}: {listed}.{nearest(key or '', shapes)}")


def pairs(shapes: Shapes) -> Iterator[tuple[str, str]]:
    """(inputs, labels): the names differ in one word, and there is a label for every row."""
    by_name = {name.lower(): name for name in shapes}
    for name, shape in shapes.items():
        for match in list(INPUTS.finditer(name))[-1:]:
            beside = (by_name.get((name[: match.start()] + word + name[match.end() :]).lower()) for word in LABELS)
            if labels := next((b for b in beside if b and len(shape) > 1 and _are_labels(shapes[b], shape)), None):
                yield name, labels


def _are_labels(labels: tuple[int, ...], inputs: tuple[int, ...]) -> bool:
    """Whether an array of a shape has a number for each row of another."""
    return [n for n in labels if n != 1] == [n for n in inputs[:1] if n != 1]


def keys_for(parts: Mapping[str, Keys]) -> str:
    """The words of a command line that name the training part of a file, and the others beside it; empty if it is not
    known which that is."""
    places = {name: next((p for p in ("train", "val", "test") if p in name.lower()), "") for name in parts}
    known = {place: parts[name] for name, place in places.items() if place}
    if len(parts) == 1:
        known = {"train": next(iter(parts.values()))}
    if "train" not in known or len(known) < len(parts):
        return ""
    prefix = {"train": "", "val": "validation.", "test": "test."}
    words = [(f"dataset.{prefix[place]}{key}", name) for place, keys in known.items() for key, name in keys.items()]
    plain = re.compile(r"[\w/]+", re.ASCII)
    return " ".join(
        f"{key}={name}" if plain.fullmatch(name) else shlex.quote(f"{key}={json.dumps(name)}") for key, name in words
    )


def ordered(parts: Mapping[str, Keys]) -> dict[str, Keys]:
    """Parts by their names, the training part first and the test part last, where they say which they are."""

    def place(name: str) -> int:
        return next((i for i, part in enumerate(("train", "val", "test")) if part in name.lower()), -1)

    return {name: parts[name] for name in sorted(parts, key=place)}
