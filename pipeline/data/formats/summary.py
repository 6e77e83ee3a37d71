"""A table as it is, for a look at it: nothing is encoded, nothing refused."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.examples import Examples
from pipeline.data.formats.columns import MISSING, is_numeric, kind, numbers, side_by_side, texts
from pipeline.data.formats.naming import label_column
from pipeline.data.rows import InMemory
from pipeline.errors import one_of


def table_summary(path: Path, table: Any, label: str | None) -> Examples:
    """The columns of numbers as inputs, with what each column holds. label: the column of labels, by default one that
    is called so."""
    names = table.column_names
    if label is not None and label not in names:
        raise one_of("--labels", label, names)
    label = label or label_column(names)
    inputs = [name for name in names if name != label and is_numeric(table[name])]
    return Examples(
        str(path),
        InMemory(side_by_side(table, inputs)),
        None if label is None else _labels(table[label]),
        attributes={"features": inputs},
        columns=[_column(name, table[name]) | ({"labels": True} if name == label else {}) for name in names],
    )


def _column(name: str, values: Any) -> dict[str, object]:
    """What a column of a table holds, for a person."""
    import pyarrow as pa

    known = values.drop_null()
    if is_numeric(values):
        exact = numbers(known)
        content = f"{exact.min():.6g} to {exact.max():.6g}" if len(exact) else "none"
    else:
        try:
            distinct = known.unique().to_pylist()
            more = f" and {len(distinct) - 6} more" if len(distinct) > 6 else ""
            content = ", ".join(map(str, distinct[:6])) + more
        except pa.ArrowNotImplementedError:  # lists and records, which pyarrow does not compare
            content = "neither numbers nor text"
    return {"name": name, "type": str(values.type), "missing": values.null_count, "values": content}


def _labels(values: Any) -> np.ndarray:
    """A column as labels [n]: numbers if it has no other and lacks none, else text, as training calls the classes."""
    if kind(values.type) == "number" and not values.null_count:
        exact = values.to_numpy()
        return exact if exact.dtype.kind in "iuf" else numbers(values)
    return np.array([MISSING if text is None else text for text in texts(values)], str)
