"""Examples with labels, as a person wants to know them before training: shapes, values, class balance."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.cli.views.text import clean, show, size
from pipeline.data.examples import Examples
from pipeline.data.rows import sample

MOST = 30  # classes in a table; of more, the most and the least frequent are what matters


def measured(parts: Mapping[str, Examples]) -> dict[str, Any]:
    """What is printed, as `--json` has it. Every label is read; of inputs in a file a sample, of some 100 MB."""
    class_names = named(parts)
    counted = {name: _counted(part.targets, class_names) for name, part in parts.items()}
    classes = list(class_names or sorted({name for counts in counted.values() for name in counts}, key=_order))
    classes += sorted({name for counts in counted.values() for name in counts} - set(classes), key=_order)
    first = next(iter(parts.values()))
    return {
        "parts": [
            {"name": name, "n": len(part), **_inputs(part)}
            | {"labels": "none" if part.targets is None else str(part.targets.dtype)}
            | {"classes": {label: counted[name].get(label, 0) for label in classes}}
            for name, part in parts.items()
            if part.targets is not None or not part.columns
        ],
        "columns": list(first.columns),
        "attributes": {} if first.columns else dict(first.attributes),
    }


def named(parts: Mapping[str, Examples]) -> tuple[str, ...] | None:
    """What the labels of examples mean, as any part says."""
    return next((part.class_names for part in parts.values() if part.class_names), None)


def is_class(labels: np.ndarray) -> bool:
    """Whether labels are names or whole numbers; others are something to predict by regression."""
    return labels.dtype.kind != "f" or bool((labels == np.floor(labels)).all())


def name_of(label: Any, class_names: tuple[str, ...] | None) -> str:
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    named = isinstance(label, int) and class_names is not None and 0 <= label < len(class_names)
    return class_names[label] if named and class_names else str(label)


def _counted(labels: np.ndarray | None, class_names: tuple[str, ...] | None) -> dict[str, int]:
    if labels is None or not is_class(labels):
        return {}
    values, counts = np.unique(labels.astype(str) if labels.dtype == object else labels, return_counts=True)
    return {name_of(value, class_names): int(n) for value, n in zip(values.tolist(), counts)}


def _order(name: str) -> tuple[bool, float, str]:
    """Numbers by size, before names."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0, name


def _inputs(part: Examples) -> dict[str, Any]:
    if 0 in part.inputs.shape[1:]:  # a table without a column of numbers
        return {}
    values = sample(part.inputs) if part.inputs.streamed else part.inputs.load()
    return {
        "shape": list(part.inputs.shape[1:]),
        "dtype": part.dtype or str(part.inputs.dtype),
        "storage": part.storage,
        "low": values.min() if values.size else None,
        "high": values.max() if values.size else None,
        "range_of": len(values),
    }


def show_data(found: dict[str, Any]) -> None:
    if found["columns"]:
        rows = [
            (c["name"], c["type"], "labels" if c.get("labels") else "", c["values"], c["missing"])
            for c in found["columns"]
        ]
        show(("column", "type", "", "values", "missing"), rows, title=f"{len(rows)} columns", words=4)
        if not found["parts"]:
            print("which column holds the labels? --labels NAME counts its classes")
    elif found["parts"]:
        lines = [
            (p["name"], f"{p['n']:,}", size(p["shape"]), p["dtype"], _range(p), p["labels"], p["storage"])
            for p in found["parts"]
        ]
        headings = ("part", "examples", "shape", "type", "values", "labels", "kept")
        show(headings, lines, title=f"{sum(p['n'] for p in found['parts']):,} examples", words=len(headings))
    if found["parts"]:
        _show_balance(found["parts"])


def _range(part: dict[str, Any]) -> str:
    sample = f" in {part['range_of']:,} examples" if part["range_of"] < part["n"] else ""
    return "none" if part["low"] is None else f"{part['low']:.5g} to {part['high']:.5g}{sample}"


def _show_balance(parts: list[dict[str, Any]]) -> None:
    """A line a class: how many examples of each part, and what share of it."""
    classes = list(parts[0]["classes"])
    if not classes:
        unlabelled = all(part["labels"] == "none" for part in parts)
        print("there are no labels" if unlabelled else "the labels are no classes: they are not whole numbers")
        return
    total = {name: sum(part["classes"][name] for part in parts) for name in classes}
    title = f"{len(classes)} classes"
    if len(classes) > MOST:
        ranked = sorted(classes, key=lambda name: -total[name])
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
    for part in parts:
        headings += [clean(part["name"]), "share"]
    rows = []
    for name in classes:
        cells: list[str] = [name]
        for part in parts:
            n = part["classes"][name]
            cells += [f"{n:,}", f"{n / max(1, part['n']):.1%}"]
        rows.append(cells)
    show(headings, rows, title=title, words=1)
