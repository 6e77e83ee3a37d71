"""Says how good a model is: the loss and the metrics of its head.

Of a model that classifies also the precision and recall of each class, and what it confuses.
INPUT is a part of a data set in conf/dataset (digits:test, digits:validation[0:100]), an .npz or .h5 file with inputs
and labels (`x` and `y`, or `inputs` and `labels`), FILE.h5:PART with these in a group of the file, a .csv or .parquet
file or a folder of Parquet files, whose columns a model takes by their names, a folder of images, a folder a class, or
a file of a format of your own. Of a file that has a part `test`, as `convert` writes it, that is meant.
dataset.KEY=VALUE goes to the reader of the file. Without INPUT: the test split that the model was trained beside; a
warning says if that data is no longer the same.
What a training command said of your own code is said here, too: --config-dir, `+heads...`, `+metrics...`, `+formats...`
and `allowed_targets=[...]`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cli.sources.words import parted
from pipeline.cli.views.text import clean, print_json, show, warn
from pipeline.errors import InputError

# A wider confusion matrix is no longer read; its largest entries are.
WIDEST = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="model.h5")
    parser.add_argument("words", metavar="INPUT", nargs="*", help="examples with labels, and KEY=VALUE, as above")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from pipeline.cli.sources.examples import read_input
    from pipeline.cli.sources.labels import in_order, named_otherwise, numbered
    from pipeline.cli.sources.saved_model import SavedModel
    from pipeline.evaluation import measures

    inputs, words = parted(options.words)
    if len(inputs) > 1:
        raise InputError(f"one INPUT; received {', '.join(inputs)}.")
    model = SavedModel(options.model, words)
    source = read_input(next(iter(inputs), None), words, model, labelled=True)
    title, targets, names, head = source.title, source.examples.labels(), model.signature.class_names, model.head
    fitted = model.fitted(title, source.examples.inputs)
    if head.classifies:
        targets = numbered(title, targets, len(fitted), names)
        if (order := in_order(source.examples, names)) is not None:
            targets = order[targets]
        elif named_otherwise(source.examples, names):
            warn(f"the classes of {title} are not those of {options.model}; they are compared by number.")
    result = measures(head, model.answers(fitted), targets, len(names))
    if options.json:
        of_classes = {} if result.confusion is None else {"classes": by_class(result.confusion, names)}
        about = {"model": str(options.model), "input": title, **({"class_names": names} if head.classifies else {})}
        print_json({**about, **result.to_json(), **of_classes})
        return 0
    values = ", ".join(f"{metric.name} {result.metrics[metric.name]:.4f}" for metric in reversed(head.metrics))
    print(f"{clean(title)}: {values}, n {result.n}")
    if result.confusion is not None:
        show_classes(result.confusion, names)
    return 0


@dataclass(frozen=True)
class ClassScore:
    class_: str
    precision: float | None  # the share of its predictions that are right; None without one
    recall: float | None  # the share of its examples that are found; None without one
    n: int  # its examples


def by_class(confusion: np.ndarray, names: list[str]) -> list[ClassScore]:
    """confusion: counts [true class, predicted class]."""

    def share(hits: int, of: int) -> float | None:
        return float(hits / of) if of else None

    counts = zip(names, np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1))
    return [ClassScore(name, share(hits, predicted), share(hits, n), int(n)) for name, hits, predicted, n in counts]


def show_classes(confusion: np.ndarray, names: list[str]) -> None:
    def text(share: float | None) -> str:
        return "-" if share is None else f"{share:.4f}"

    print()
    rows = [(score.class_, text(score.precision), text(score.recall), score.n) for score in by_class(confusion, names)]
    show(("class", "precision", "recall", "n"), rows, title="by class", words=1)
    if len(names) <= WIDEST:
        matrix = [(name, *(count or "." for count in line)) for name, line in zip(names, confusion)]
        show(("true", *names), matrix, title="confusion: a line a true class, a column a predicted one", words=1)
    else:
        mistakes = confusion - np.diag(np.diag(confusion))
        largest = [divmod(int(i), len(names)) for i in np.argsort(-mistakes, axis=None, kind="stable")[:WIDEST]]
        pairs = [(names[a], names[b], mistakes[a, b]) for a, b in largest if mistakes[a, b]]
        show(("true", "predicted", "n"), pairs, title=f"the {len(pairs)} most frequent confusions", words=2)
