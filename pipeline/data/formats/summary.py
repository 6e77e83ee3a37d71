"""A table as it is, for a look at it: nothing is encoded, nothing refused."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.examples import Examples
from pipeline.data.formats.columns import MISSING, kind, numbers, texts
from pipeline.data.formats.naming import LABEL_COLUMNS
from pipeline.data.rows import InMemory
from pipeline.errors import one_of


def table_summary(path: Path, table: Any, label: str | None) -> Examples:
    """The columns of numbers as inputs, with what each column holds. label: the column of labels, by default one that
    is called so."""
    names = table.column_names
    if label is not None and label not in names:
        raise one_of("--labels", label, names)
    label = label or next((name for name in names if name.lower() in LABEL_COLUMNS), None)
    inputs = {name: numbers(table[name]) for name in names if name != label and _is_number(table[name])}
    return Examples(
        str(path),
        InMemory(np.stack([*inputs.values()], 1) if inputs else np.empty((table.num_rows, 0))),
        None if label is None else _labels(table[label]),
        attributes={"features": list(inputs)},
        columns=[_column(name, table[name]) | ({"labels": True} if name == label else {}) for name in names],
    )


def _is_number(values: Any) -> bool:
    return kind(values.type) in ("number", "bool")


def _column(name: str, values: Any) -> dict[str, Any]:
    """What a column of a table holds, for a person."""
    import pyarrow as pa

    known = values.drop_null()
    if _is_number(values):
        exact = numbers(known)
        shown = f"{exact.min():.6g} to {exact.max():.6g}" if len(exact) else "none"
    else:
        try:
            distinct = known.unique().to_pylist()
            more = f" and {len(distinct) - 6} more" if len(distinct) > 6 else ""
            shown = ", ".join(map(str, distinct[:6])) + more
        except pa.ArrowNotImplementedError:  # lists and records, which pyarrow does not compare
            shown = "neither numbers nor text"
    return {"name": name, "type": str(values.type), "missing": values.null_count, "values": shown}


def _labels(values: Any) -> np.ndarray:
    """A column as labels [n]: numbers if it has no other and lacks none, else text, as training calls the classes."""
    if kind(values.type) == "number" and not values.null_count:
        exact = values.to_numpy()
        return exact if exact.dtype.kind in "iuf" else numbers(values)
    return np.array([MISSING if text is None else text for text in texts(values)], str)
