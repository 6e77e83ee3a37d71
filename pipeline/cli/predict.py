"""Says which class a model gives to each example, and how probable it is; or its cost, where that is the output.

INPUT is FILE.npy, FILE.npz, FILE.csv (numbers, with or without a header line), FILE.parquet, FILE.h5, FILE.h5:KEY or,
of a file that `convert` wrote, FILE.h5:PART (FILE.h5 means its part `test`), an image, a folder of images, or a file of
a format of your own; or a part of a data set in conf/dataset: digits:test, digits:test[17], digits:validation[0:10].
A model that learned from a table takes the columns of another by their names. dataset.KEY=VALUE goes to the reader of
the file. Inputs are raw: normalisation is in the model.
"""

import argparse
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cli.views.text import clean, print_json, warn
from pipeline.errors import InputError
from pipeline.jsonl import write_atomically


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="model.h5")
    parser.add_argument("input", metavar="INPUT", help="a file or a part of a data set")
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", help="for the reader of the file")
    parser.add_argument("--top", metavar="K", type=int, default=3, help="classes to show an example (default 3)")
    parser.add_argument("--proba", metavar="FILE", type=Path, help="write all probabilities to FILE.csv or FILE.npy")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from pipeline.cli.sources.classifier import saved_model
    from pipeline.cli.sources.examples import read_input
    from pipeline.cli.sources.labels import called, named_otherwise

    if options.top < 1:
        raise InputError(f"--top={options.top} must be at least 1.")
    if options.proba:
        _check_output(options.proba)
    model = saved_model(options.model, options.words)
    head = model.head
    if options.proba and not head.classifies:
        raise InputError(
            f"--proba={options.proba}: the output of {options.model} is a {head.prediction}, not probabilities."
        )
    source = read_input(options.input, options.words, model, labelled=False)
    names, predictions = model.class_names, model.predictions(model.fitted(source.title, source.examples.inputs))
    if not head.classifies:
        _show_values(options, head.prediction, source.first, predictions)
        return 0
    if options.proba:
        _write(options.proba, predictions, names)
    if named_otherwise(source.examples, names):
        warn(f"the classes of {source.title} are not those of {options.model}.")
    true, files = called(source.examples, names), source.examples.names
    rows = [
        {"example": source.first + i, "class": names[row.argmax()], "probability": row.max(), "probabilities": row}
        | ({"file": clean(files[i])} if files else {})
        | ({"true": true[i]} if true and true[i] is not None else {})
        for i, row in enumerate(predictions)
    ]
    if options.json:
        print_json({"model": str(options.model), "input": options.input, "class_names": names, "predictions": rows})
    else:
        _show(rows, names, options.top)
        if options.proba:
            print(f"probabilities: {options.proba} ({len(rows)} x {len(names)})")
    return 0


def _show_values(options: argparse.Namespace, name: str, first: int, values: np.ndarray) -> None:
    """A line an example: `0: cost 25.0000`. values: [n, numbers]."""
    listed = (values[:, 0] if values.shape[1] == 1 else values).tolist()
    rows = [{"example": i, name: value} for i, value in enumerate(listed, start=first)]
    if options.json:
        print_json({"model": str(options.model), "input": options.input, "predictions": rows})
        return
    digits = len(str(rows[-1]["example"]))
    for row in rows:
        print(f"{row['example']:>{digits}}: {name} {' '.join(f'{value:.4f}' for value in np.ravel(row[name]))}")


def _show(rows: list[dict[str, Any]], names: list[str], top: int) -> None:
    """A line an example: `17: 7 0.9921  (then 9 0.0051, 1 0.0012)  true 7`; an image has its file's name there."""
    digits, width = max(len(str(_called(row))) for row in rows), max(len(row["class"]) for row in rows)
    for row in rows:
        order = np.argsort(-row["probabilities"], kind="stable")[1:top]
        others = ", ".join(f"{names[label]} {row['probabilities'][label]:.4f}" for label in order)
        line = f"{_called(row):>{digits}}: {row['class']:<{width}} {row['probability']:.4f}"
        line += f"  (then {others})" if others else ""
        if "true" in row:
            line += f"  true {row['true']}" + ("" if row["true"] == row["class"] else ", wrong")
        print(line)


def _called(row: dict[str, Any]) -> str:
    return str(row.get("file", row["example"]))


def _check_output(path: Path) -> None:
    if path.suffix.lower() not in (".csv", ".npy"):
        raise InputError(f"--proba={path}: must end in .csv or .npy.")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"--proba={path}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}.")


def _write(path: Path, probabilities: np.ndarray, names: list[str]) -> None:
    """[n, C] as float32 .npy, or as .csv under a header of class names, with the digits that give it back exactly."""
    if path.suffix.lower() == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, probabilities.astype(np.float32))
        content = buffer.getvalue()
    else:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([f"{value:.9g}" for value in row] for row in probabilities)
        content = text.getvalue().encode()
    try:
        write_atomically(path, [content])
    except OSError as error:
        raise InputError(f"--proba={path}: can't be written ({error.strerror}).") from None
