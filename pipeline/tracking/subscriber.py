"""Who is told what happens in a study."""

from dataclasses import dataclass
from typing import Protocol

from pipeline.records import CohortPlanned, Event, Trial


@dataclass(frozen=True)
class StageBegan:
    """A stage of a sweep is about to run, or to go on."""

    title: str
    total: int  # trials
    ended: int  # of them, in an earlier start


Occurrence = Event | CohortPlanned | StageBegan


class Subscriber(Protocol):
    """Is told of everything in the order in which it happens, in the parent's thread: a slow one holds up the sweep.

    trial: as it is once the event has been taken into account; None for what concerns no trial; of a cohort its first.
    """

    def on(self, trial: Trial | None, event: Occurrence) -> None: ...
