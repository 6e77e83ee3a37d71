"""Says how good a model is: accuracy, loss, precision and recall of each class, and what it confuses.

Of a model whose output is a cost it says the mean.
INPUT is a part of a data set in conf/dataset (digits:test, digits:validation[0:100]), an .npz or .h5 file with inputs
and labels (`x` and `y`, or `inputs` and `labels`), or FILE.h5:PART with these in a group of the file; of a file that
`convert` wrote, FILE.h5 means its part `test`. Without INPUT: the test split that the model was trained beside; a
warning says if that data is no longer the same.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cli.views.text import clean, print_json, show, warn

# A wider confusion matrix is no longer read; its largest entries are.
WIDEST = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, help="model.h5")
    parser.add_argument("input", metavar="INPUT", nargs="?", help="a file with labels, or a part of a data set")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    from pipeline.cli.sources.arrays import labels
    from pipeline.cli.sources.classifier import CostModel, saved_model
    from pipeline.cli.sources.examples import for_evaluate
    from pipeline.evaluation import measures

    model = saved_model(options.model)
    examples = for_evaluate(options.input, options.model, model.description)
    inputs, names = model.fitted(examples), model.class_names
    if isinstance(model, CostModel):
        _show_cost(options, examples.title, model.costs(inputs))
        return 0
    assert examples.labels is not None
    true = labels(examples.title, examples.labels, len(inputs), len(names))
    if examples.class_names is not None and [clean(name) for name in examples.class_names] != names:
        warn(f"the classes of {examples.title} are not those of {options.model}; they are compared by number.")
    result = measures(model.probabilities(inputs), true, len(names))
    result["classes"] = by_class(np.array(result["confusion"]), names)
    if options.json:
        print_json({"model": str(options.model), "input": examples.title, "class_names": names, **result})
    else:
        _show(examples.title, result, names)
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


def _show_cost(options: argparse.Namespace, title: str, costs: np.ndarray) -> None:
    loss = float(costs.mean())
    if options.json:
        print_json({"model": str(options.model), "input": title, "loss": loss, "n": len(costs)})
    else:
        print(f"{clean(title)}: loss {loss:.4f}, n {len(costs)}")


def _show(title: str, result: dict[str, Any], names: list[str]) -> None:
    print(f"{clean(title)}: accuracy {result['accuracy']:.4f}, loss {result['loss']:.4f}, n {result['n']}\n")

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
