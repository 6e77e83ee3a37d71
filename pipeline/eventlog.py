"""events.jsonl of a trial: what happened to it, oldest first."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import InputError
from pipeline.events import (
    Diagnosed,
    Ended,
    EpochEnded,
    Event,
    Exploited,
    Layers,
    Promoted,
    Restarting,
    Started,
    event_from_json,
)
from pipeline.jsonl import JsonLines, read

NAME = "events.jsonl"
Diagnoses = dict[int, Layers]  # by epoch


def events_of(folder: Path) -> Iterator[Event]:
    """Every event of a trial's folder, but an end after which it was started again. Raises InputError, naming the line,
    for a damaged file."""
    end: Ended | None = None
    for number, line in enumerate(read(folder / NAME), start=1):
        try:
            event = event_from_json(line)
        except InputError as error:
            raise InputError(f"{folder / NAME}: line {number}: {error}") from None
        if end is not None and event is not None and not isinstance(event, Restarting | Promoted):
            yield end
        end = event if isinstance(event, Ended) else None
        if event is not None and end is None:
            yield event
    if end is not None:
        yield end


def last_event(folder: Path) -> Event | None:
    """None if nothing has happened yet."""
    return next(iter(deque(events_of(folder), maxlen=1)), None)


def append_event(folder: Path, event: Event) -> None:
    """Adds an event that no worker could log, for it died."""
    log = JsonLines(folder / NAME, durable=True)
    log.append(event.to_json())
    log.close()


def epochs_of(folder: Path) -> list[EpochEnded]:
    """Each epoch once: a restart repeats what followed its checkpoint."""
    return list({e.epoch: e for e in events_of(folder) if isinstance(e, EpochEnded)}.values())


def exploits_of(folder: Path) -> list[Exploited]:
    """What a trial of a population began with, and then each copy that it went on as, oldest first; none of another
    trial. A restart repeats what followed its checkpoint."""
    return exploits_among(events_of(folder))


def exploits_among(events: Iterable[Event]) -> list[Exploited]:
    """exploits_of() of events that have been read."""
    exploits: list[Exploited] = []
    for event in events:
        if isinstance(event, Started):
            exploits = [e for e in exploits if e.epoch <= event.resumed_after]
        elif isinstance(event, Exploited):
            exploits = [*(e for e in exploits if e.epoch < event.epoch), event]
    return exploits


def diagnoses_of(folder: Path) -> Diagnoses:
    """What a trial recorded of its layers with train.diagnostics=true; epoch 0 is before training."""
    events = (e for e in events_of(folder) if isinstance(e, EpochEnded | Diagnosed))
    return {e.epoch: e.diagnostics for e in events if e.diagnostics}
