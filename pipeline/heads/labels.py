"""What the heads of data with classes have in common. Their targets are labels, int32 [n], 0 to C-1."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from pipeline.errors import InputError
from pipeline.heads.head import Head
from pipeline.heads.metric import Tensor


class LabelHead(Head):
    """A head whose outputs are logits, and whose predictions are probabilities of classes.

    The loss is taken from logits: it stays finite where log(softmax(z)) would not.
    """

    most_classes: ClassVar[int | None] = None  # of a data set that the head is for; at least two

    loss_axis = "cross-entropy (nats)"
    own_metrics = ("accuracy",)
    classifies = True

    @abstractmethod
    def classes(self, outputs: Tensor) -> Tensor:
        """The most probable class, int32 [batch]."""

    def check_classes(self, n_classes: int) -> None:
        """Raises InputError, with what to do, for a data set with a number of classes that the head is not for."""
        most = self.most_classes
        if n_classes >= 2 and (most is None or n_classes <= most):
            return
        expected = "2 or more" if most is None else "2" if most == 2 else f"2 to {most}"
        if n_classes >= 2:
            hint = "Use model.head=softmax, with a model whose output is a logit for each class."
        elif n_classes:
            hint = "Give it examples of a second class: there is nothing to tell apart."
        else:  # for data with classes no head that ignores them: it would train, and learn nothing of them
            hint = "Data without classes are for costs: model=quadratic."
        raise InputError(f"model.head={self.name} is for {expected} classes; this data set has {n_classes}. {hint}")

    def predictions(self, results: np.ndarray) -> np.ndarray:
        """Probabilities [n, C]; a single column is the probability of class 1."""
        return np.hstack([1 - results, results]) if results.shape[1] == 1 else results


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Certain and wrong: a large loss, not an infinite one."""
    logarithms: np.ndarray = np.log(np.clip(probabilities, 1e-12, 1))
    return logarithms


def smoothed(target: Tensor, label_smoothing: float, n_classes: int) -> Tensor:
    """Probabilities to learn, of which a share is spread evenly over all classes (Szegedy et al. 2016, section 7)."""
    return target * (1 - label_smoothing) + label_smoothing / n_classes
