"""What `inspect` found, for reading."""

import math
from typing import Any

from pipeline import hdf5
from pipeline.cli.views.data import show_data
from pipeline.cli.views.text import clean, show, size

# What a reader wants first; the rest follows by name.
ORDER = ("created", "epoch", "metrics", "class_names", "input_shape", "input_dtype", "data_fingerprint")


def show_examples(found: dict[str, Any]) -> None:
    for key, value in found["attributes"].items():
        if key not in ("class_names", hdf5.DIGEST):  # both are told in words
            _line(key.removeprefix("caviar_"), _brief(value, 200))
    print()
    show_data(found)


def _line(key: str, value: Any) -> None:
    print(f"{key:<17} {clean(value)}")


def _values(value: Any) -> str:
    """`a 1, b 2` for a dict, `1, 2` for a list."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_values(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        more = f", ... ({len(value)} in all)" if len(value) > 20 else ""
        return ", ".join(map(_values, value[:20])) + more
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_model(found: dict[str, Any]) -> None:
    description = dict(found["description"])
    config = description.pop("caviar_config", None)
    description.pop("table_encoding", None)  # for predict; data_attributes say it for a person
    for key in sorted(description, key=lambda key: (ORDER.index(key) if key in ORDER else len(ORDER), key)):
        value = description[key]
        shown = size(value) if key == "input_shape" and isinstance(value, list) else _values(value)
        _line("best epoch" if key == "epoch" else key.replace("_", " "), shown)
    if isinstance(config, dict):
        import yaml

        # Search ranges belong to the sweep; --json shows them too.
        groups = {key: _without_search(value) for key, value in config.items()}
        print("\nconfig")
        for line in yaml.safe_dump(groups, sort_keys=False).splitlines():
            print(f"  {line}")
    print()
    rows = []
    for layer in found["layers"]:
        weights = ", ".join(f"{name} {size(shape)}" for name, shape in layer["weights"].items())
        shape = "?" if layer["output_shape"] is None else size(layer["output_shape"])
        rows.append((layer["name"], layer["class"], shape, weights, f"{layer['parameters']:,}"))
    show(
        ("layer", "class", "output", "weights", "parameters"),
        rows,
        title=f"{len(rows)} layers, {found['parameters']:,} parameters",
        words=4,
    )


def _without_search(group: Any) -> Any:
    return {key: value for key, value in group.items() if key != "search"} if isinstance(group, dict) else group


def show_state(found: dict[str, Any]) -> None:
    progress = dict(found["progress"])
    for key, title in (("epoch", "epoch"), ("best_epoch", "best epoch")):
        _line(title, progress.pop(key, "?"))
    for key, value in progress.items():
        _line(key.replace("_", " "), _values(value))
    _show_items(found["items"], "variables")


def show_tree(found: dict[str, Any]) -> None:
    for key, value in found["attributes"].items():
        _line(key, _brief(value))
    _show_items(found["items"], "datasets")


def _show_items(items: list[dict[str, Any]], what: str) -> None:
    rows = []
    for item in items:
        attributes = ", ".join(f"{key}={_brief(value)}" for key, value in item["attributes"].items())
        shape = "" if item["shape"] is None else size(item["shape"])
        rows.append((item["name"], shape, item["dtype"] or "", attributes))
    sizes = [math.prod(item["shape"]) for item in items if item["shape"] is not None]
    headings = ("name", "shape", "dtype", "attributes" if any(row[3] for row in rows) else "")
    print()
    show(headings, rows, title=f"{len(sizes)} {what}, {sum(sizes):,} values", words=4)


def _brief(value: Any, longest: int = 60) -> str:
    text = clean(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
