"""What stands behind the logits. No TensorFlow here: the parent checks a head before anything starts."""

from pipeline.errors import InputError


def n_logits(head: str, n_classes: int) -> int:
    """Logits of a head: one a class for softmax; for sigmoid one, whose sigmoid is the probability of class 1.

    Raises InputError for sigmoid with other than two classes.
    """
    if head == "sigmoid" and n_classes != 2:
        raise InputError(f"model.head=sigmoid is for 2 classes; this data set has {n_classes}. Use model.head=softmax.")
    return 1 if head == "sigmoid" else n_classes
