"""events.jsonl of a trial: what happened to it, oldest first."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.jsonl import JsonLines, read
from pipeline.records import Diagnosed, EpochEnded, Event, event_from_json

NAME = "events.jsonl"
Diagnoses = dict[int, Mapping[str, Mapping[str, float | None]]]  # epoch -> layer -> measure -> value


def events_of(folder: Path) -> Iterator[Event]:
    """Every event of a trial's folder. Raises InputError for a damaged file."""
    return (event for line in read(folder / NAME) if (event := event_from_json(line)) is not None)


def append_event(folder: Path, event: Event) -> None:
    """Adds an event that no worker could log, for it died."""
    log = JsonLines(folder / NAME, durable=True)
    log.append(event.to_json())
    log.close()


def epochs_of(folder: Path) -> list[EpochEnded]:
    """Each epoch once: a restart repeats what followed its checkpoint."""
    return list({e.epoch: e for e in events_of(folder) if isinstance(e, EpochEnded)}.values())


def diagnoses_of(folder: Path) -> Diagnoses:
    """What a trial recorded of its layers with train.diagnostics=true; epoch 0 is before training."""
    events = (e for e in events_of(folder) if isinstance(e, EpochEnded | Diagnosed))
    return {e.epoch: e.diagnostics for e in events if e.diagnostics}
