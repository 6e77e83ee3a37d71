"""What a head is: the meaning of a model's outputs and of the data's targets."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.errors import InputError
from pipeline.heads.metric import Metric, Tensor

Layer = Any  # of Keras, which is imported in functions only
Model = Any


@dataclass(frozen=True)
class Head(ABC):
    """A head says what a model is to give for the data's targets, what is minimised and what is recorded. Heads that
    compute and record the same are equal.

    A head of one's own is a class like Softmax in softmax.py and a line in conf/config.yaml's map `heads`.
    """

    name: str  # in the map
    metrics: tuple[Metric, ...] = ()  # of an epoch: the loss, the head's own, then those that the config asks for

    outputs: ClassVar[str]  # what the model's last axis holds, for messages
    loss_axis: ClassVar[str] = "loss"  # what the axis of a picture of the loss says
    own_metrics: ClassVar[tuple[str, ...]] = ()  # names of what is recorded beside the loss; a sweep aims at the first
    classifies: ClassVar[bool] = False  # whether targets are labels, and predictions probabilities of classes
    normalizes: ClassVar[bool] = True  # whether inputs are normalised; not where they mean something as they are
    prediction: ClassVar[str] = "value"  # what a prediction is called, if no class

    @abstractmethod
    def n_outputs(self, n_classes: int) -> int:
        """Numbers that a model gives for an example. n_classes: of the data set, 0 if it has none.

        Raises InputError for a data set that the head is not for.
        """

    @abstractmethod
    def losses(self, targets: Tensor, outputs: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The loss of each example, float32 [batch]. targets: [batch, ...]; outputs: [batch, n_outputs].

        label_smoothing: the share of a label that is spread over all classes; nothing to heads without labels.
        """

    def final_layer(self) -> Layer | None:
        """The activation that model.h5 ends in, behind the model's outputs; None: in these themselves."""
        return None

    def predictions(self, results: np.ndarray) -> np.ndarray:
        """What a user is told of the results [n, numbers] of a model.h5: the same, or probabilities [n, C]."""
        return results

    def outputs_of(self, predictions: np.ndarray) -> np.ndarray:
        """The outputs [n, n_outputs] for such predictions, of a model that was saved without this head's final layer.

        Raises InputError if they do not follow from predictions.
        """
        raise InputError(f"model.head={self.name}: the model does not end in the final layer of this head.")

    def for_use(self, model: Model) -> Model:
        """The model as it is saved: with the final layer."""
        import keras

        layer = self.final_layer()
        return model if layer is None else keras.Model(model.input, layer(model.output), name=model.name)

    def without_final_layer(self, saved: Model) -> tuple[Model, Layer | None] | None:
        """What for_use() joined, the model as it was in training and the final layer; None if it did not do so."""
        import keras

        layer, last = self.final_layer(), saved.layers[-1]
        if layer is None:
            return saved, None
        return (keras.Model(saved.inputs[0], last.input), last) if type(last) is type(layer) else None

    def check_outputs(self, shape: tuple[int | None, ...], n_classes: int) -> None:
        """Raises InputError unless `shape`, a model's output's with the batch first, is what the head needs."""
        expected = self.n_outputs(n_classes)
        if tuple(shape[1:]) != (expected,):
            raise InputError(
                f"model.head={self.name} needs outputs [batch, {expected}] ({self.outputs}); "
                f"this model's are {['batch', *shape[1:]]}.".replace("'", "")
            )

    def axes(self) -> dict[str, str]:
        """What the axes of pictures say, by the names of the metrics."""
        return {metric.name: metric.axis_for(self) for metric in self.metrics}
