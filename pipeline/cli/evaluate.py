"""Says how good a model is: accuracy, loss, precision and recall of each class, and what it confuses.

Of a model whose output is a cost it says the mean.
INPUT is a part of a data set in conf/dataset (digits:test, digits:validation[0:100]), an .npz or .h5 file with inputs
and labels (`x` and `y`, or `inputs` and `labels`), FILE.h5:PART with these in a group of the file, a .csv or .parquet
file, whose columns a model takes by their names, a folder of images, a folder a class, or a file of a format of your
own. Of a file that has a part `test`, as `convert` writes it, that is meant. dataset.KEY=VALUE goes to the reader of
the file. Without INPUT: the test split that the model was trained beside; a warning says if that data is no longer
the same.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cli.views.text import clean, print_json, show, warn
from pipeline.errors import InputError

# A wider confusion matrix is no longer read; its largest entries are.
WIDEST = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="model.h5")
    parser.add_argument("words", metavar="INPUT", nargs="*", help="a file with labels, or a part of a data set; words")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from pipeline.cli.sources.classifier import saved_model
    from pipeline.cli.sources.datasets import parted
    from pipeline.cli.sources.examples import read_input
    from pipeline.cli.sources.labels import named_otherwise, numbered
    from pipeline.evaluation import measures

    inputs, words = parted(options.words)
    if len(inputs) > 1:
        raise InputError(f"one INPUT; received {', '.join(inputs)}.")
    model = saved_model(options.model, words)
    source = read_input(next(iter(inputs), None), words, model, labelled=True)
    title, targets, names, head = source.title, source.examples.labels(), model.class_names, model.head
    fitted = model.fitted(title, source.examples.inputs)
    if head.classifies:
        targets = numbered(title, targets, len(fitted), names)
        if named_otherwise(source.examples, names):
            warn(f"the classes of {title} are not those of {options.model}; they are compared by number.")
    result = measures(head, model.predictions(fitted), targets, len(names)).to_json()
    if head.classifies:
        result = {"class_names": names, **result, "classes": by_class(np.array(result["confusion"]), names)}
    if options.json:
        print_json({"model": str(options.model), "input": title, **result})
        return 0
    values = ", ".join(f"{metric.name} {result[metric.name]:.4f}" for metric in reversed(head.metrics))
    print(f"{clean(title)}: {values}, n {result['n']}")
    if head.classifies:
        _show(result, names)
    return 0


def by_class(confusion: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """For each class: precision, the share of its predictions that are right; recall, the share of its examples
    that are found; n, its examples. Null where nothing was predicted, or nothing was there.

    confusion: counts [true class, predicted class].
    """
    hits, examples, predictions = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        {
            "class": name,
            "precision": float(hits[c] / predictions[c]) if predictions[c] else None,
            "recall": float(hits[c] / examples[c]) if examples[c] else None,
            "n": int(examples[c]),
        }
        for c, name in enumerate(names)
    ]


def _show(result: dict[str, Any], names: list[str]) -> None:
    print()

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    rows = [(row["class"], share(row["precision"]), share(row["recall"]), row["n"]) for row in result["classes"]]
    show(("class", "precision", "recall", "n"), rows, title="by class", words=1)
    confusion = np.array(result["confusion"])
    if len(names) <= WIDEST:
        matrix = [(name, *(count or "." for count in line)) for name, line in zip(names, result["confusion"])]
        show(("true", *names), matrix, title="confusion: a line a true class, a column a predicted one", words=1)
    else:
        np.fill_diagonal(confusion, 0)
        largest = [divmod(int(i), len(names)) for i in np.argsort(-confusion, axis=None, kind="stable")[:WIDEST]]
        pairs = [(names[a], names[b], confusion[a, b]) for a, b in largest if confusion[a, b]]
        show(("true", "predicted", "n"), pairs, title=f"the {len(pairs)} most frequent confusions", words=2)
