"""All that talks to MLflow: runs, their parameters, metrics, tags and artifacts. Used by the recorder's thread only."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.eventlog import events_of
from pipeline.records import SCORED, Diagnosed, Ended, EpochEnded, Event, Interrupted, Paused, Started, Status
from pipeline.tracking import owner, store
from pipeline.tracking.earlier import EarlierStart, Kept, close_abandoned
from pipeline.tracking.names import LONGEST_NAME, LONGEST_PARAM, by_stored_name, stored_value

FLUSH_SECONDS = 2.0  # a trial shorter than this becomes one batch; a longer one is seen as it runs
NOTE = "mlflow.note.content"  # the tag that the UI shows as a run's description
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
    has_ended: bool = False  # whether an end that its events tell is not from before another start
    run_id: str | None = None
    pending: list[Event] = field(default_factory=list)
    first_pending: float | None = None
    has_params: bool = False
    logged_epoch: int = -1  # 0 is the state before training, which diagnostics have
    terminated: bool = False
    paused: bool = False  # at a rung


@dataclass
class MlflowWriter:
    """Writes into the store at `uri`, in an experiment, which is made if need be."""

    uri: str
    experiment: str
    artifacts: Path  # of an experiment that is made
    _: KW_ONLY
    earlier: EarlierStart | None = None  # None: the study is new
    on_parent: Callable[[str], None] = lambda run_id: None  # called once a parent run is stored that was not noted
    on_recorded: Callable[[int, str], None] = lambda number, run_id: None  # called once a whole trial is

    runs: dict[int | None, TrackedRun] = field(default_factory=dict, init=False)
    experiment_id: str | None = field(default=None, init=False)
    kept: Kept = field(default_factory=Kept, init=False)
    _client: Any = field(default=None, init=False)

    def connect(self) -> None:
        """Imports MLflow, makes the database and the experiment if need be, sees to what earlier processes left."""
        self._client, experiment_id = store.connect(self.uri, self.experiment, self.artifacts)
        with contextlib.suppress(Exception):  # other studies' runs: the next start tries again
            close_abandoned(self._client)
        if self.earlier:
            self.kept = self.earlier.settle(self._client, experiment_id)
        self.experiment_id = experiment_id

    def stored(self, number: int | None) -> str:
        """The id of a run, which is created with its parameters when it is first asked for."""
        run = self.runs[number]
        run_id = self._created(run)
        self._log(run, [], [])
        return run_id

    def _created(self, run: TrackedRun) -> str:
        if run.run_id is None:
            tags = {
                "mlflow.runName": run.name,
                "mlflow.source.name": "run.py",
                "mlflow.source.type": "LOCAL",
                owner.TAG: owner.mark(),
                **by_stored_name(run.tags.items()),
            }
            if run.number is not None and None in self.runs:
                tags["mlflow.parentRunId"] = self.stored(None)
            # A trial began with its first event, not when that is forwarded, perhaps with all the others at once.
            began = next((int(1000 * (e.time - (getattr(e, "seconds", None) or 0.0))) for e in run.pending), None)
            tags = {name: stored_value(value) for name, value in tags.items()}
            run.run_id = self._client.create_run(self.experiment_id, began, tags).info.run_id
        return run.run_id

    def _log(self, run: TrackedRun, metrics: list[Any], tags: list[Any]) -> None:
        """In as few calls as MLflow's limits allow, for each costs milliseconds; the first brings the parameters."""
        from mlflow.entities import Param

        params = []
        if not run.has_params:
            named = by_stored_name(run.params.items())
            params = [Param(name, stored_value(value, LONGEST_PARAM)) for name, value in named.items()]
        while metrics or tags or params:
            self._client.log_batch(run.run_id, metrics=metrics[:800], tags=tags, params=params[:100])
            metrics, tags, params = metrics[800:], [], params[100:]
        run.has_params = True

    def open(self, run: TrackedRun) -> None:
        """Takes the run as known; a trial that is resumed, or was not forwarded, brings what it has said before.

        A trial that goes on after a rung of its sweep is opened once more: it keeps the run it has.
        """
        if run.number in self.kept.recorded or self.runs.setdefault(run.number, run) is not run:
            return
        if run.number is None:
            self._open_parent(run)
        elif run.folder is not None:
            events = list(events_of(run.folder))
            last = next((event for event in reversed(events) if isinstance(event, Ended)), None)
            for event in events:
                if isinstance(event, Diagnosed | EpochEnded | Paused):
                    self.take(run.number, event)
                elif isinstance(event, Started):
                    run.paused = False
            if run.has_ended and last:  # once, though a crash had it said twice
                self.take(run.number, last)

    def _open_parent(self, run: TrackedRun) -> None:
        from mlflow.entities import RunTag

        if self.kept.parent_id:
            run.run_id = self.kept.parent_id
            run.has_params = bool(self._client.get_run(run.run_id).data.params)
            tags = {**by_stored_name(run.tags.items()), owner.TAG: owner.mark()}
            self._log(run, [], [RunTag(name, stored_value(value)) for name, value in tags.items()])
            self._client.update_run(run.run_id, status="RUNNING")
        run_id = self.stored(None)
        if self.earlier is None or run_id != self.earlier.parent_id:
            self.on_parent(run_id)

    def take(self, number: int, event: Event) -> None:
        """One more event; the end of a trial is stored with all that came before it."""
        run = self.runs.get(number)
        if run is None:
            return
        run.pending.append(event)
        run.first_pending = run.first_pending or time.monotonic()
        match event:
            case Paused():
                run.paused = True
            case Started():  # while the trial trains, which leaves less to do at its end
                run.paused = False
                self._created(run)
            case Ended() | Interrupted():
                self.flush(run)

    def flush_all(self) -> None:
        for run in self.runs.values():
            self.flush(run)

    def flush_old(self) -> None:
        for run in list(self.runs.values()):
            if run.first_pending and time.monotonic() - run.first_pending > FLUSH_SECONDS:
                self.flush(run)

    def flush(self, run: TrackedRun) -> None:
        """Stores the pending events. Doing so twice stores them once: MLflow knows a metric by run, step and time."""
        if not run.pending or run.number is None:
            return
        from mlflow.entities import Metric, RunTag

        run_id, logged_epoch = self._created(run), run.logged_epoch
        metrics, tags = [], []
        status: Status | None = None
        for event in run.pending:
            if isinstance(event, Diagnosed | EpochEnded) and event.epoch > logged_epoch:
                logged_epoch = event.epoch
                at, values = int(event.time * 1000), by_stored_name(_values(event))
                metrics += [Metric(name, value, at, event.epoch) for name, value in values.items()]
        ended = next((event for event in reversed(run.pending) if isinstance(event, Ended)), None)
        if ended:
            if ended.status in SCORED:
                best = by_stored_name((f"best_{name}", value) for name, value in ended.metrics.items())
                best["best_epoch"] = ended.best_epoch
                metrics += [Metric(name, value, int(ended.time * 1000), 0) for name, value in best.items()]
            status, tags = ended.status, [RunTag("reason", stored_value(ended.reason or ""))]
        elif any(isinstance(event, Interrupted) for event in run.pending):
            status = "paused" if run.paused else "interrupted"
        tags += [RunTag("status", status)] if status else []
        self._log(run, metrics, tags)
        if status:
            end = int(1000 * run.pending[-1].time)
            self._client.set_terminated(run_id, OWN_STATUS[status], end)
            run.terminated = True
        run.pending, run.first_pending, run.logged_epoch = [], None, logged_epoch
        if ended:
            self.on_recorded(run.number, run_id)

    def artifact(self, number: int | None, path: Path) -> None:
        self._client.log_artifact(self.stored(number), str(path))

    def summary(self, metrics: dict[str, float], tags: dict[str, str], status: str) -> None:
        from mlflow.entities import Metric, RunTag

        if status == "KILLED":  # trials that paused at a rung were not running, and did not say that they were stopped
            for number, run in self.runs.items():
                if number is not None and (run.run_id or run.pending) and not run.terminated:
                    self.take(number, Interrupted(time.time()))
        run_id, at = self.stored(None), int(time.time() * 1000)
        named, before = by_stored_name(metrics.items()), self._client.get_run(run_id).data.metrics
        self._client.log_batch(
            run_id,
            # What an earlier start has said already would be one more point of a curve.
            metrics=[Metric(name, value, at, 0) for name, value in named.items() if before.get(name) != value],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self._client.set_terminated(run_id, status)

    def view(self, key: str, value: str, note: str) -> bool:
        """Tried once: without its view nothing of the sweep is missing."""
        try:
            self._client.set_experiment_tag(self.experiment_id, key, value)
            parent = self.stored(None)
            before = self._client.get_run(parent).data.tags.get(NOTE)
            ours = (None, re.sub(r"\d+", "0", note), re.sub(r"\d+", "0", note.split("\n")[0]))  # of however many trials
            if (before and re.sub(r"\d+", "0", before)) in ours:  # or it is the user's by now
                self._client.set_tag(parent, NOTE, note)
        except Exception:
            return False
        return True


def _values(event: Diagnosed | EpochEnded) -> Iterator[tuple[str, float]]:
    """The metrics of an event and their names, those of layers as `diagnostics/LAYER/NAME`.

    MLflow refuses what is no letter, digit, `_`, `-`, `.`, `:` or space, a part that names another folder, and more
    than 250 characters: a layer may be called `a=b`, `..`, or with a long name.
    """
    if isinstance(event, EpochEnded):
        named = [
            *event.metrics.items(),
            *((name, getattr(event, name)) for name in ("learning_rate", "seconds", "data_wait")),
        ]
    else:
        named = [("probe_loss", event.probe_loss)]
    for name, measures in (event.diagnostics or {}).items():
        layer = re.sub(r"[^\w.\- :]|^\.+$", "_", name)[:LONGEST_LAYER]
        named += [(f"diagnostics/{layer}/{measure}"[:LONGEST_NAME], value) for measure, value in measures.items()]
    return ((name, value) for name, value in named if value is not None)
