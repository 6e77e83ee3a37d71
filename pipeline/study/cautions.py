"""What the best value of a sweep does not say by itself: that others share it, and what a guess would score."""

from collections.abc import Sequence

from pipeline.records import SCORED, DataFacts, Trial
from pipeline.tracking.display import number

GUESSED = "val_accuracy"  # what a class that is always said has a score in


def majority(data: DataFacts) -> float | None:
    """The accuracy of always saying the class that most validation examples have; None if there are no classes."""
    counts = data.validation_counts
    return max(counts) / sum(counts) if sum(counts) else None


def of_guessing(data: DataFacts, metric: str) -> str:
    """Behind a value of the metric: what the majority class alone scores, where that can be compared."""
    share = majority(data)
    return "" if share is None or metric != GUESSED else f" (the majority class alone: {number(share)})"


def no_better_than_guessing(values: Sequence[float | None], data: DataFacts) -> bool:
    """Whether none of several accuracies is above that of always saying one class."""
    share, known = majority(data), [value for value in values if value is not None]
    return share is not None and bool(known) and max(known) <= share + 1e-6  # which is summed in float32


def cautions(ranked: Sequence[Trial], metric: str, data: DataFacts, epochs: int, replicated: bool = False) -> list[str]:
    """Lines about the winner, the first of `ranked` that has completed. data: the winner's; epochs: that it trained;
    replicated: whether other seeds decided, and no tie had to be broken."""
    scored = [trial for trial in ranked if trial.status in SCORED]
    winner = next((trial for trial in scored if trial.status == "completed"), None)
    if winner is None:  # a budget ended before one did
        return []
    best, lines = winner.metrics[metric], []
    ties = [trial for trial in scored if trial.status == "completed" and trial.metrics.get(metric) == best]
    if len(ties) > 1 and not replicated:
        n = sum(data.validation_counts)
        losses = [trial.metrics["val_loss"] for trial in ties]
        decided = "the lowest val_loss" if losses.count(min(losses)) == 1 else "the lowest val_loss, then the number,"
        decided = "the number" if metric == "val_loss" else decided
        lines.append(
            f"ties:     {len(ties)} of {len(scored)} trials have {metric} {number(best)}"
            f"{f' on {n:,} validation examples' if n else ''}; {decided} decides"
        )
    if no_better_than_guessing([trial.metrics.get(GUESSED) for trial in scored], data):
        lines.append(
            f"guessing: no trial does better than the majority class alone, {GUESSED} {number(majority(data))}"
        )
    if winner.best_epoch == 1 and epochs > 1:
        lines.append(f"early:    trial {winner.number} was best in epoch 1; {epochs - 1} more made it no better")
    return lines
