"""Says which class a model gives to each example, and how probable it is; or its cost, where that is the output.

INPUT is FILE.npy, FILE.csv (numbers, with or without a header line), FILE.h5, FILE.h5:KEY or, of a file that `convert`
wrote, FILE.h5:PART (FILE.h5 means its part `test`); or a part of a data set in conf/dataset: digits:test,
digits:test[17], digits:validation[0:10]. Inputs are raw: normalisation is in the model.
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
    parser.add_argument("--top", metavar="K", type=int, default=3, help="classes to show an example (default 3)")
    parser.add_argument("--proba", metavar="FILE", type=Path, help="write all probabilities to FILE.csv or FILE.npy")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from pipeline.cli.sources.classifier import CostModel, saved_model
    from pipeline.cli.sources.examples import for_predict

    if options.top < 1:
        raise InputError(f"--top={options.top} must be at least 1.")
    if options.proba:
        _check_output(options.proba)
    model = saved_model(options.model)
    if isinstance(model, CostModel) and options.proba:
        raise InputError(f"--proba={options.proba}: the output of {options.model} is a cost, not probabilities.")
    examples = for_predict(options.input, options.model, model.description)
    inputs, names = model.fitted(examples), model.class_names
    if isinstance(model, CostModel):
        _show_costs(options, examples.first, model.costs(inputs))
        return 0
    probabilities = model.probabilities(inputs)
    if options.proba:
        _write(options.proba, probabilities, names)
    # Labels have a meaning only in the data set's own classes, which need not be the model's.
    true = None
    if examples.labels is not None and examples.class_names is not None:
        true = [clean(examples.class_names[label]) for label in examples.labels]
        if [clean(name) for name in examples.class_names] != names:
            warn(f"the classes of {examples.title} are not those of {options.model}.")
    rows = [
        {"example": examples.first + i, "class": names[row.argmax()], "probability": row.max(), "probabilities": row}
        | ({} if true is None else {"true": true[i]})
        for i, row in enumerate(probabilities)
    ]
    if options.json:
        print_json({"model": str(options.model), "input": options.input, "class_names": names, "predictions": rows})
    else:
        _show(rows, names, options.top)
        if options.proba:
            print(f"probabilities: {options.proba} ({len(rows)} x {len(names)})")
    return 0


def _show_costs(options: argparse.Namespace, first: int, costs: np.ndarray) -> None:
    """A line an example: `0: cost 25.0000`."""
    rows = [{"example": i, "cost": cost} for i, cost in enumerate(costs.tolist(), start=first)]
    if options.json:
        print_json({"model": str(options.model), "input": options.input, "predictions": rows})
        return
    digits = len(str(rows[-1]["example"]))
    for row in rows:
        print(f"{row['example']:>{digits}}: cost {row['cost']:.4f}")


def _show(rows: list[dict[str, Any]], names: list[str], top: int) -> None:
    """A line an example: `17: 7 0.9921  (then 9 0.0051, 1 0.0012)  true 7`."""
    digits, width = len(str(rows[-1]["example"])), max(len(row["class"]) for row in rows)
    for row in rows:
        order = np.argsort(-row["probabilities"], kind="stable")[1:top]
        others = ", ".join(f"{names[label]} {row['probabilities'][label]:.4f}" for label in order)
        line = f"{row['example']:>{digits}}: {row['class']:<{width}} {row['probability']:.4f}"
        line += f"  (then {others})" if others else ""
        if "true" in row:
            line += f"  true {row['true']}" + ("" if row["true"] == row["class"] else ", wrong")
        print(line)


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
