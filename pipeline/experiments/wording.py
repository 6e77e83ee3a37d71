"""What experiments share: how a finding is worded, and how an axis is called."""

from matplotlib.figure import Figure

RATE = "optimizer.learning_rate"
NOT_SHOWN = ": the claim does not show on this data"
Drawing = tuple[Figure, str]  # the figure, and the finding in a sentence


def judged(text: str, shows: bool) -> str:
    """A finding's last sentence: what was measured, and whether the claim shows in it."""
    return f"{text}{'' if shows else NOT_SHOWN}."


def axis_name(key: str) -> str:
    """What an axis calls a parameter: `optimizer.learning_rate` is its learning rate."""
    return key.rsplit(".", 1)[-1].replace("_", " ")
