"""What the tracking store is told of runs: what describes them, and the values of their events by MLflow's names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.records import Diagnosed, EpochEnded, Event, Status
from pipeline.tracking.names import LONGEST_NAME, LONGEST_PARAM, by_stored_name, stored_value

LONGEST_LAYER = 200  # characters that name it, of those of a metric's name
# MLflow's own status of a run whose tag `status` is ours; a trial that waits has no run.
OWN_STATUS: Mapping[Status, str] = {
    "completed": "FINISHED",
    "pruned": "FINISHED",
    "diverged": "FAILED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "paused": "KILLED",
}


@dataclass
class TrackedRun:
    """What MLflow is told of a trial besides its events."""

    name: str
    params: Mapping[str, object]
    tags: Mapping[str, str]
    number: int | None = None  # None: the sweep's parent run
    folder: Path | None = None
    files: Sequence[Path] = ()  # its artifacts, once it has ended
    has_ended: bool = False  # whether an end that its events tell is not from before another start
    run_id: str | None = None
    pending: list[Event] = field(default_factory=list)
    first_pending: float | None = None
    has_params: bool = False
    logged_epoch: int = -1  # 0 is the state before training, which diagnostics have
    ending: bool = False  # whether what is pending says that it ended, or was interrupted
    terminated: bool = False
    paused: bool = False  # at a rung


@dataclass(frozen=True)
class Summary:
    """What a sweep has come to."""

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)  # the winner's
    params: Mapping[str, object] = field(default_factory=dict)  # the winner's config
    tags: Mapping[str, str] = field(default_factory=dict)
    winner: str = ""


def stored_params(params: Mapping[str, object]) -> dict[str, str]:
    return {name: stored_value(value, LONGEST_PARAM) for name, value in by_stored_name(params.items()).items()}


def best_values(metrics: Mapping[str, float], best_epoch: int) -> dict[str, float]:
    """What a run says of its best epoch, a sweep's of its winner's: the experiment's runs sort by these."""
    return {**by_stored_name((f"best_{name}", value) for name, value in metrics.items()), "best_epoch": best_epoch}


def event_values(event: Diagnosed | EpochEnded) -> Iterator[tuple[str, float]]:
    """The metrics of an event and their names, those of layers as `diagnostics/LAYER/NAME`.

    MLflow refuses what is no letter, digit, `_`, `-`, `.`, `:` or space, a part that names another folder, and more
    than 250 characters: a layer may be called `a=b`, `..`, or with a long name.
    """
    if isinstance(event, EpochEnded):
        changing = {k: v for k, v in (event.hyperparameters or {}).items() if isinstance(v, int | float)}
        named = [
            *event.metrics.items(),
            *changing.items(),
            *((name, getattr(event, name)) for name in ("learning_rate", "seconds", "data_wait")),
        ]
    else:
        named = [("probe_loss", event.probe_loss)]
    for name, measures in (event.diagnostics or {}).items():
        layer = re.sub(r"[^\w.\- :]|^\.+$", "_", name)[:LONGEST_LAYER]
        named += [(f"diagnostics/{layer}/{measure}"[:LONGEST_NAME], value) for measure, value in measures.items()]
    return ((name, value) for name, value in named if value is not None)
