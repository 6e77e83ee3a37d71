"""Says what a model predicts of each example: its class and how probable that is, or what value its head gives.

INPUT is FILE.npy, FILE.npz, FILE.csv (numbers, with or without a header line), FILE.parquet, FILE.h5, FILE.h5:KEY or,
of a file that `convert` wrote, FILE.h5:PART (FILE.h5 means its part `test`), an image, a folder of Parquet files or of
images, or a file of a format of your own; or a part of a data set in conf/dataset: digits:test, digits:test[17],
digits:validation[0:10]. A model that learned from a table takes the columns of another by their names.
dataset.KEY=VALUE goes to the reader of the file. Inputs are raw: normalisation is in the model.
What a training command said of your own code is said here, too: --config-dir, `+heads...`, `+metrics...`, `+formats...`
and `allowed_targets=[...]`.
"""

import argparse
import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cli.sources.words import check_output
from pipeline.cli.views.text import clean, print_json, warn
from pipeline.errors import InputError
from pipeline.jsonl import write_atomically


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="model.h5")
    parser.add_argument("input", metavar="INPUT", help="a file or a part of a data set")
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", help="for the reader of the file, and as above")
    parser.add_argument("--top", metavar="K", type=int, default=3, help="classes to show an example (default 3)")
    parser.add_argument("--proba", metavar="FILE", type=Path, help="write all probabilities to FILE.csv or FILE.npy")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from pipeline.cli.sources.examples import read_input
    from pipeline.cli.sources.labels import called, named_otherwise
    from pipeline.cli.sources.saved_model import SavedModel

    if options.top < 1:
        raise InputError(f"--top={options.top} must be at least 1.")
    if options.proba:
        check_output(options.proba, [".csv", ".npy"], "--proba=")
    model = SavedModel(options.model, options.words)
    head = model.head
    if options.proba and not head.classifies:
        raise InputError(
            f"--proba={options.proba}: the output of {options.model} is a {head.prediction}, not probabilities."
        )
    source = read_input(options.input, options.words, model, labelled=False)
    fitted, names = model.fitted(source.title, source.examples.inputs), model.signature.class_names
    outputs = model.answers(fitted).predictions
    about = {"model": str(options.model), "input": options.input}
    if not head.classifies:
        values = (outputs[:, 0] if outputs.shape[1] == 1 else outputs).tolist()
        numbered = list(enumerate(values, start=source.first))
        if options.json:
            print_json({**about, "predictions": [{"example": i, head.prediction: value} for i, value in numbered]})
        else:
            _show_values(head.prediction, numbered)
        return 0
    if options.proba:
        _write(options.proba, outputs, names)
    if named_otherwise(source.examples, names):
        warn(f"the classes of {source.title} are not those of {options.model}.")
    true, files = called(source.examples, names), source.examples.names
    predictions = [
        Prediction(source.first + i, names[row.argmax()], row.max(), row, clean(files[i]) if files else None, label)
        for i, (row, label) in enumerate(zip(outputs, true or [None] * len(outputs)))
    ]
    if options.json:
        print_json({**about, "class_names": names, "predictions": predictions})
    else:
        _show(predictions, names, options.top)
        if options.proba:
            print(f"probabilities: {options.proba} ({len(predictions)} x {len(names)})")
    return 0


@dataclass(frozen=True)
class Prediction:
    example: int  # its number
    class_: str
    probability: float  # of the class
    probabilities: np.ndarray  # of all classes, [C]
    file: str | None = None  # of an image
    true: str | None = None  # the class that it is labelled with

    @property
    def title(self) -> str:
        return str(self.example) if self.file is None else self.file


def _show_values(name: str, values: list[tuple[int, float | list[float]]]) -> None:
    """A line an example: `0: cost 25.0000`."""
    digits = len(str(values[-1][0]))
    for i, value in values:
        print(f"{i:>{digits}}: {name} {' '.join(f'{number:.4f}' for number in np.ravel(value))}")


def _show(predictions: list[Prediction], names: list[str], top: int) -> None:
    """A line an example: `17: 7 0.9921  (then 9 0.0051, 1 0.0012)  true 7`; an image has its file's name there."""
    digits, width = max(len(row.title) for row in predictions), max(len(row.class_) for row in predictions)
    for row in predictions:
        next_best = np.argsort(-row.probabilities, kind="stable")[1:top]
        rest = ", ".join(f"{names[label]} {row.probabilities[label]:.4f}" for label in next_best)
        line = f"{row.title:>{digits}}: {row.class_:<{width}} {row.probability:.4f}"
        line += f"  (then {rest})" if rest else ""
        if row.true is not None:
            line += f"  true {row.true}" + ("" if row.true == row.class_ else ", wrong")
        print(line)


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
