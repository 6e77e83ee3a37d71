"""Where a trial of a population comes from: whom it copied, whom they had copied, and the schedule that this makes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.eventlog import exploits_of
from pipeline.evolution import Copied, Evolution, Recorded, nominal
from pipeline.tracking.display import print_line, short

SHOWN = 8  # periods of a schedule on the terminal


@dataclass(frozen=True)
class Period:
    """Epochs in which the weights that a trial has now were trained with the same hyperparameters."""

    from_epoch: int  # from 1
    trial: int  # whose weights they were
    params: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def schedule(sweep: Path, number: int, epoch: int) -> list[Period]:
    """The hyperparameters that led to a trial's weights after `epoch` epochs; none of a trial of no population."""
    periods: list[Period] = []
    while True:
        earlier = [event for event in exploits_of(sweep / str(number)) if event.epoch < epoch]
        if not earlier:
            return []
        last = earlier[-1]
        periods.insert(0, Period(last.epoch + 1, number, dict(last.params)))
        if not last.epoch:
            return periods
        number, epoch = last.source, last.epoch


def print_schedule(periods: Sequence[Period]) -> None:
    """A line for each of the last periods."""
    print_line("schedule: best.yaml has all digits, and `again` follows it")
    if len(periods) > SHOWN:
        print_line(f"  … {len(periods) - SHOWN} earlier periods")
    for period in periods[-SHOWN:]:
        values = "  ".join(f"{key}={short(value)}" for key, value in period.params.items())
        print_line(f"  from epoch {period.from_epoch:>3}  trial {period.trial:>3}  {values}")


def recorded(sweep: Path, numbers: Sequence[int], own: int) -> Evolution | None:
    """The copies that the trials of a population made, to make them again; None if they were none. In it the trial
    `own` has the number 0, as the only one of a plan, and the others have negative ones, in the order of `numbers`."""
    places = {number: 0 if number == own else -1 - place for place, number in enumerate(numbers)}
    exploits = {number: exploits_of(sweep / str(number)) for number in numbers}
    if not exploits[own]:
        return None
    params = {places[number]: events[0].params for number, events in exploits.items()}
    copies: dict[int, list[Copied]] = {}
    for number, events in exploits.items():
        for event in events[1:]:
            copies.setdefault(event.epoch, []).append(Copied(places[number], places[event.source], event.params))
    values = {key: [event.params[key] for events in exploits.values() for event in events] for key in params[0]}
    return Evolution(params, {key: nominal(own) for key, own in values.items()}, Recorded(copies))
