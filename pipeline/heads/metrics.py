"""The metrics that come with Caviar."""

from collections.abc import Mapping
from typing import Any

from pipeline.heads.head import Head
from pipeline.heads.labels import LabelHead
from pipeline.heads.metric import Metric, Tensor


class Loss(Metric):
    """The mean loss: in training what is minimised, penalties and all; in validation that of the head, unsmoothed."""

    direction = "minimize"
    axis = "loss"

    def axis_for(self, head: Head) -> str:
        return head.loss_axis

    def sums(self, targets: Tensor, outputs: Tensor, head: Head) -> dict[str, Tensor]:
        return {}  # the trainer has it

    def value(self, sums: Mapping[str, Any]) -> float:
        return float(sums["loss"] / sums["examples"])


class Accuracy(Metric):
    """The share of examples whose most probable class is theirs."""

    direction = "maximize"
    axis = "accuracy"

    def suits(self, head: Head) -> bool:
        return isinstance(head, LabelHead)

    def sums(self, targets: Tensor, outputs: Tensor, head: Head) -> dict[str, Tensor]:
        import tensorflow as tf

        assert isinstance(head, LabelHead)  # or it does not suit
        return {"correct": tf.reduce_sum(tf.cast(head.classes(outputs) == targets, tf.int32))}

    def value(self, sums: Mapping[str, Any]) -> float:
        return float(sums["correct"] / sums["examples"])
