"""Who is told what happens in a study."""

from dataclasses import dataclass
from typing import Protocol

from pipeline.records import CohortPlanned, Event, Trial


@dataclass(frozen=True)
class StageBegan:
    """A generation of a stage is about to run, or to go on."""

    stage: str
    title: str
    total: int  # trials of the generation
    ended: int  # of them, in an earlier start
    to_come: int = 0  # trials of the stage that are asked after these


Occurrence = Event | CohortPlanned | StageBegan


class Subscriber(Protocol):
    """Is told of everything in the order in which it happens, in the parent's thread: a slow one holds up the sweep.

    trial: as it is once the event has been taken into account; None for what concerns no trial; of a cohort its first.
    """

    def on(self, trial: Trial | None, event: Occurrence) -> None: ...
