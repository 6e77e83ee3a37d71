"""Examples with labels, as a person wants to know them before training: shapes, values, class balance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline import hdf5
from pipeline.cli.views.text import brief, clean, print_fact, show, size
from pipeline.data.examples import Examples
from pipeline.data.rows import sample

MOST = 30  # classes in a table; of more, the most and the least frequent are what matters


@dataclass(frozen=True)
class Inputs:
    shape: list[int]  # of one example
    dtype: str  # in the file
    storage: str  # how the file keeps them
    low: float | None  # None of no values
    high: float | None
    range_of: int  # of how many examples the lowest and the highest value are

    @classmethod
    def of(cls, part: Examples) -> "Inputs":
        values = sample(part.inputs) if part.inputs.streamed else part.inputs.load()
        low, high = (values.min(), values.max()) if values.size else (None, None)
        dtype = part.dtype or str(part.inputs.dtype)
        return cls(list(part.inputs.shape[1:]), dtype, part.storage, low, high, len(values))


@dataclass(frozen=True)
class Part:
    name: str
    n: int  # of examples
    inputs: Inputs | None  # None of a table without a column of numbers
    labels: str  # their type, or none
    classes: Mapping[str, int]  # how many examples each has, in the order in which they are shown

    def to_json(self) -> dict[str, object]:
        inputs = asdict(self.inputs) if self.inputs else {}
        return {"name": self.name, "n": self.n, **inputs, "labels": self.labels, "classes": self.classes}

    def row(self) -> tuple[str, ...]:
        """Of a table whose lines are parts."""
        assert self.inputs is not None
        x = self.inputs
        sampled = f" in {x.range_of:,} examples" if x.range_of < self.n else ""
        values = "none" if x.low is None else f"{x.low:.5g} to {x.high:.5g}{sampled}"
        return self.name, f"{self.n:,}", size(x.shape), x.dtype, values, self.labels, x.storage


@dataclass(frozen=True)
class Data:
    kind: ClassVar = "data"

    parts: list[Part]
    columns: Sequence[Mapping[str, Any]]  # of a table
    attributes: Mapping[str, Any]  # what the file says of itself

    @classmethod
    def of(cls, parts: Mapping[str, Examples], attributes: Mapping[str, Any] | None = None) -> "Data":
        """Every label is read; of inputs in a file a sample, of some 100 MB. attributes: of the file, if the reader is
        not asked for them."""
        class_names = named(parts)
        counts = {
            name: {label: len(rows) for label, rows in rows_by_class(part.targets, class_names).items()}
            for name, part in parts.items()
        }
        known = list(class_names or ())
        classes = known + sorted({label for count in counts.values() for label in count} - set(known), key=_order)
        examined = [
            Part(
                name,
                len(part),
                None if part.columns and 0 in part.inputs.shape[1:] else Inputs.of(part),
                "none" if part.targets is None else str(part.targets.dtype),
                {label: counts[name].get(label, 0) for label in classes},
            )
            for name, part in parts.items()
            if part.targets is not None or not part.columns
        ]
        first = next(iter(parts.values()))
        if attributes is None:
            attributes = {} if first.columns else first.attributes
        return cls(examined, first.columns, attributes)

    def show(self) -> None:
        for key, value in self.attributes.items():
            if key not in ("class_names", hdf5.DIGEST):  # both are told in words
                print_fact(key.removeprefix("caviar_"), brief(value, 200))
        print()
        if self.columns:
            rows = [
                (c["name"], c["type"], "labels" if c.get("labels") else "", c["values"], c["missing"])
                for c in self.columns
            ]
            show(("column", "type", "", "values", "missing"), rows, title=f"{len(rows)} columns", words=4)
            if not self.parts:
                print("which column holds the labels? --labels NAME counts its classes")
        elif self.parts:
            headings = ("part", "examples", "shape", "type", "values", "labels", "kept")
            total = sum(part.n for part in self.parts)
            show(headings, [part.row() for part in self.parts], title=f"{total:,} examples", words=len(headings))
        if self.parts:
            self._show_balance()

    def _show_balance(self) -> None:
        """A line a class: how many examples of each part, and what share of it."""
        classes = list(self.parts[0].classes)
        if not classes:
            unlabelled = all(part.labels == "none" for part in self.parts)
            print("there are no labels" if unlabelled else "the labels are no classes: they are not whole numbers")
            return
        total = {label: sum(part.classes[label] for part in self.parts) for label in classes}
        title = f"{len(classes)} classes"
        if len(classes) > MOST:
            ranked = sorted(classes, key=lambda label: -total[label])
            classes = ranked[: MOST // 2] + ranked[-MOST // 2 :]
            title += f", of which the {MOST // 2} most and the {MOST // 2} least frequent"
        most, least = max(total, key=total.__getitem__), min(total, key=total.__getitem__)
        if not total[least]:
            title += f"; no example of {least}"
        elif total[most] == total[least]:
            title += ", equally frequent"
        else:
            title += f"; {most} is {total[most] / total[least]:.3g} times as frequent as {least}"
        headings = ["class"]
        for part in self.parts:
            headings += [clean(part.name), "share"]
        rows = []
        for label in classes:
            cells = [label]
            for part in self.parts:
                n = part.classes[label]
                cells += [f"{n:,}", f"{n / max(1, part.n):.1%}"]
            rows.append(cells)
        show(headings, rows, title=title, words=1)


def named(parts: Mapping[str, Examples]) -> tuple[str, ...] | None:
    """What the labels of examples mean, as any part says."""
    return next((part.class_names for part in parts.values() if part.class_names), None)


def rows_by_class(labels: np.ndarray | None, class_names: tuple[str, ...] | None) -> dict[str, np.ndarray]:
    """The rows of each class, in the order of labels that are names or whole numbers; empty for others, which are
    something to predict by regression, and without labels."""
    if labels is None or (labels.dtype.kind == "f" and not (labels == np.floor(labels)).all()):
        return {}
    labels = labels.astype(str) if labels.dtype == object else labels
    values, counts = np.unique(labels, return_counts=True)
    rows = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    return {_name_of(value, class_names): of_class for value, of_class in zip(values.tolist(), rows)}


def _name_of(label: Any, class_names: tuple[str, ...] | None) -> str:
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if class_names and isinstance(label, int) and 0 <= label < len(class_names):
        return class_names[label]
    return str(label)


def _order(name: str) -> tuple[bool, float, str]:
    """Numbers by size, before names."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0, name
