"""What a metric is: a number of an epoch, made of sums over its examples."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pipeline.heads.head import Head

Tensor = Any  # a tf.Tensor: TensorFlow is imported in functions only


@dataclass(frozen=True)
class Metric(ABC):
    """A metric adds up sums batch by batch, and makes its value of them once an epoch. Sums add up over batches,
    devices and fused trials alike, so a metric of sums is the same number however a trial trains.

    A metric of one's own is a class like Accuracy in metrics.py and a line in conf/config.yaml's map `metrics`.
    """

    name: str  # in the map; the validation's value is called `val_NAME`

    direction: ClassVar[str]  # maximize | minimize: which values are better
    axis: ClassVar[str]  # what the axis of a picture says

    def suits(self, head: "Head") -> bool:
        """Whether there is such a number for the outputs of `head`."""
        return True

    def axis_for(self, head: "Head") -> str:
        return self.axis

    @abstractmethod
    def sums(self, targets: Tensor, outputs: Tensor, head: "Head") -> dict[str, Tensor]:
        """Sums over a batch, by name. targets: [batch, ...]; outputs: [batch, n], what the model gives.

        The shape of a sum, mostly [], and its type do not depend on the batch; counts are exact as int32.
        """

    @abstractmethod
    def value(self, sums: Mapping[str, Any]) -> float:
        """The metric of an epoch. sums: those of sums(), added up, and `examples` and `loss`, as floats or arrays.

        A value that is not finite ends its trial as diverged.
        """
