"""What a model's output means, head by head: how many numbers it has, its loss, its metrics.

No TensorFlow here: the parent asks, too. The losses themselves are in training/losses.py.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import InputError

MANY = sys.maxsize
_CLASSIFIER = {"loss": "cross-entropy (nats)", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Head:
    """outputs: what the model's last axis holds, for messages. least, most: classes of a data set that it fits.
    activation: what makes class probabilities of the outputs when the model is saved; None if it knows no classes: its
    inputs then mean something as they are and are not normalised, and labels are not looked at. metrics: those of an
    epoch (for validation with `val_` before the name), with what the axis of a picture says.
    """

    outputs: str
    least: int
    most: int
    activation: str | None
    metrics: Mapping[str, str]

    @property
    def classifies(self) -> bool:
        return self.activation is not None

    @property
    def validation_metrics(self) -> tuple[str, ...]:
        return tuple(f"val_{name}" for name in self.metrics)


HEADS = {
    "softmax": Head("a logit for each class", 2, MANY, "softmax", _CLASSIFIER),
    "sigmoid": Head("the logit of class 1", 2, 2, "sigmoid", _CLASSIFIER),
    "cost": Head("the cost of the example", 0, MANY, None, {"loss": "cost"}),
}


def of(config: Mapping[str, Any]) -> Head:
    """The head that a whole config names; `config.check` has seen that there is one."""
    return HEADS[config["model"]["head"]]


def n_outputs(head: str, n_classes: int) -> int:
    """Numbers that a model gives for an example: the logit of each class for softmax; for sigmoid one, whose sigmoid
    is the probability of class 1; for cost one, the cost.

    Raises InputError for a data set with a number of classes that the head is not for.
    """
    rule = HEADS[head]
    if rule.least <= n_classes <= rule.most:
        return n_classes if head == "softmax" else 1
    wanted = f"{rule.least}" if rule.least == rule.most else f"{rule.least} or more"
    raise InputError(f"model.head={head} is for {wanted} classes; this data set has {n_classes}. {_instead(n_classes)}")


def _instead(n_classes: int) -> str:
    """What to do with data of so many classes. For data with classes no head that ignores them: it would train, and
    learn nothing of them."""
    if not n_classes:
        return "Data without classes are for costs: model=quadratic sweep.metric=val_loss sweep.direction=minimize."
    fitting = [name for name, head in HEADS.items() if head.classifies and head.least <= n_classes <= head.most]
    if not fitting:
        return "Give it examples of a second class: there is nothing to tell apart."
    return f"Use model.head={fitting[0]}, with a model whose output is {HEADS[fitting[0]].outputs}."


def check_outputs(head: str, shape: tuple[int | None, ...], n_classes: int) -> None:
    """Raises InputError unless `shape`, a model's output's with the batch first, is what the head needs."""
    wanted = n_outputs(head, n_classes)
    if tuple(shape[1:]) != (wanted,):
        raise InputError(
            f"model.head={head} needs outputs [batch, {wanted}] ({HEADS[head].outputs}); "
            f"this model's are {['batch', *shape[1:]]}.".replace("'", "")
        )
