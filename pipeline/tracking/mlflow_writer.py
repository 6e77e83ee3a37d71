"""All that talks to MLflow: runs, their parameters, metrics, tags and artifacts. Used by the recorder's thread only."""

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.eventlog import events_of
from pipeline.records import SCORED, Diagnosed, Ended, EpochEnded, Event, Interrupted, Paused, Started, Status
from pipeline.tracking import owner, store
from pipeline.tracking.earlier import RANK, EarlierStart, Kept, close_abandoned
from pipeline.tracking.names import by_stored_name, stored_value
from pipeline.tracking.tracked_run import OWN_STATUS, Summary, TrackedRun, best_values, event_values, stored_params
from pipeline.tracking.writes import NAME, RUNNING, MetricPoint, RunStore, RunWrite, run_store

FLUSH_SECONDS = 2.0  # a trial shorter than this becomes one batch; a longer one is seen as it runs
SETTLE_SECONDS = 0.2  # in which trials that end together are stored together
NOTE = "mlflow.note.content"  # the tag that the UI shows as a run's description


@dataclass
class MlflowWriter:
    """Writes into the store at `uri`, in an experiment, which is made if need be."""

    uri: str
    experiment: str
    artifacts: Path  # of an experiment that is made
    _: KW_ONLY
    earlier: EarlierStart | None = None  # None: the study is new
    on_parent: Callable[[str], None] = lambda run_id: None  # called once a parent run is stored that was not noted
    on_recorded: Callable[[Mapping[int, str]], None] = lambda run_ids: None  # called once whole trials are, by number

    runs: dict[int | None, TrackedRun] = field(default_factory=dict, init=False)
    experiment_id: str | None = field(default=None, init=False)
    kept: Kept = field(default_factory=Kept, init=False)
    _client: Any = field(default=None, init=False)
    _store: RunStore = field(init=False)
    _pending: dict[int, TrackedRun] = field(default_factory=dict, init=False)  # with pending events, oldest first
    _last_end: float | None = field(default=None, init=False)  # of those that ended, and are not stored

    def connect(self) -> None:
        """Imports MLflow, makes the database and the experiment if need be, sees to what earlier processes left."""
        self._client, experiment_id = store.connect(self.uri, self.experiment, self.artifacts)
        self._store = run_store(self._client, self.uri, experiment_id)
        with contextlib.suppress(Exception):  # other studies' runs: the next start tries again
            close_abandoned(self._client)
        if self.earlier:
            self.kept = self.earlier.settle(self._client, experiment_id)
        self.experiment_id = experiment_id

    def stored(self, number: int | None) -> str:
        """The id of a run, which is created when it is first asked for."""
        run = self.runs[number]
        if run.run_id is None:
            self._write([run], [self._new(run)])
        assert run.run_id is not None
        return run.run_id

    def _new(self, run: TrackedRun) -> RunWrite:
        """The run as it is made; of one that is there what it lacks of that."""
        params = {} if run.has_params else stored_params(run.params)
        if run.run_id is not None:
            return RunWrite(run.run_id, params=params)
        tags = {
            NAME: run.name,
            "mlflow.source.name": "run.py",
            "mlflow.source.type": "LOCAL",
            owner.TAG: owner.mark(),
            **by_stored_name(run.tags.items()),
        }
        if run.number is not None and None in self.runs:
            tags["mlflow.parentRunId"] = self.stored(None)
        # A trial began with its first event, not when that is forwarded, perhaps with all the others at once.
        began = next((int(1000 * (e.time - (getattr(e, "seconds", None) or 0.0))) for e in run.pending), None)
        return RunWrite(None, began, params, tags={name: stored_value(value) for name, value in tags.items()})

    def _write(self, runs: Sequence[TrackedRun], writes: Sequence[RunWrite]) -> None:
        try:
            self._store.write(writes)
        finally:
            for run, write in zip(runs, writes, strict=True):
                run.run_id = write.run_id
        for run in runs:
            run.has_params = True

    def open(self, run: TrackedRun) -> None:
        """Takes the run as known; a trial that is resumed, or was not forwarded, brings what it has said before.

        A trial that goes on after a rung of its sweep is opened once more: it keeps the run it has.
        """
        if run.number in self.kept.recorded and run.has_ended:
            return
        if self.runs.setdefault(run.number, run) is not run:
            return
        if run.number is not None and run.number in self.kept.recorded:  # pruned in an earlier start, it goes on
            run.run_id = self.kept.run_ids.get(run.number)
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
        if self.kept.parent_id:
            run.run_id = self.kept.parent_id
            tags = {**by_stored_name(run.tags.items()), owner.TAG: owner.mark()}
            tags = {name: stored_value(value) for name, value in tags.items()}
            self._store.write([RunWrite(run.run_id, tags=tags, status=RUNNING)])
        run_id = self.stored(None)
        if self.earlier is None or run_id != self.earlier.parent_id:
            self.on_parent(run_id)

    def take(self, number: int, event: Event) -> None:
        """One more event; it is stored with others."""
        run = self.runs.get(number)
        if run is None:
            return
        run.pending.append(event)
        run.first_pending = run.first_pending or time.monotonic()
        self._pending[number] = run
        match event:
            case Paused():
                run.paused = True
            case Started():
                run.paused = False
            case Ended() | Interrupted():
                run.ending = True
                self._last_end = time.monotonic()

    def flush_all(self) -> None:
        self._flush(list(self._pending.values()))

    def flush_due(self) -> None:
        """Stores what has waited long enough: ends, of which others of their cohort follow at once, and epochs."""
        now = time.monotonic()
        ends = self._last_end is not None and now - self._last_end >= SETTLE_SECONDS
        due = [
            run
            for run in self._pending.values()
            if (run.ending and ends) or now - (run.first_pending or now) >= FLUSH_SECONDS
        ]
        self._flush(due)
        if ends:
            self._last_end = None

    def _flush(self, runs: Sequence[TrackedRun]) -> None:
        """Stores the pending events of runs, of several in one go where the store can."""
        for first in range(0, len(runs), self._store.at_once):
            some = runs[first : first + self._store.at_once]
            writes = [self._pending_of(run) for run in some]
            self._write(some, writes)
            self._take_note(some, writes)

    def _pending_of(self, run: TrackedRun) -> RunWrite:
        write, points, logged_epoch = self._new(run), [], run.logged_epoch
        status: Status | None = None
        for event in run.pending:
            if isinstance(event, Diagnosed | EpochEnded) and event.epoch > logged_epoch:
                logged_epoch = event.epoch
                at, values = int(event.time * 1000), by_stored_name(event_values(event))
                points += [MetricPoint(name, value, at, event.epoch) for name, value in values.items()]
        ended = _end_of(run)
        if ended:
            if ended.status in SCORED:
                at, best = int(ended.time * 1000), best_values(ended.metrics, ended.best_epoch)
                points += [MetricPoint(name, value, at, 0) for name, value in best.items()]
            status, write.tags = ended.status, {**write.tags, "reason": stored_value(ended.reason or "")}
        elif any(isinstance(event, Interrupted) for event in run.pending):
            status = "paused" if run.paused else "interrupted"
        write.points = points
        if status:
            write.tags = {**write.tags, "status": status}
            write.status, write.ended = OWN_STATUS[status], int(1000 * run.pending[-1].time)
        elif run.terminated:
            write.status = RUNNING  # it goes on
        return write

    def _take_note(self, runs: Sequence[TrackedRun], writes: Sequence[RunWrite]) -> None:
        """Takes note that the pending events of runs are stored, once the artifacts of those that have ended are."""
        whole = {}
        for run, write in zip(runs, writes, strict=True):
            assert run.number is not None and write.run_id is not None
            if _end_of(run):
                for path in filter(Path.exists, run.files):
                    self._store.file(write.run_id, path)
                whole[run.number] = write.run_id
        for run, write in zip(runs, writes, strict=True):
            assert run.number is not None
            run.terminated = write.status not in (None, RUNNING)
            run.logged_epoch = max(run.logged_epoch, *(point.step for point in write.points), -1)
            run.pending, run.first_pending, run.ending = [], None, False
            run.params, run.tags = {}, {}  # which ten thousand trials need not keep
            self._pending.pop(run.number, None)
        if whole:
            self.on_recorded(whole)

    def artifact(self, number: int | None, path: Path) -> None:
        self._store.file(self.stored(number), path)

    def measures(self, number: int, metrics: Mapping[str, float]) -> None:
        """Adds what was measured of a trial after its end."""
        named, at = by_stored_name(metrics.items()), int(time.time() * 1000)
        self._store.write([RunWrite(self.stored(number), points=[MetricPoint(*item, at, 0) for item in named.items()])])

    def ranks(self, places: Mapping[int, int]) -> None:
        """Stores the places of trials, by number, among those that have ended."""
        self.flush_all()
        at, ids = int(time.time() * 1000), {run.number: run.run_id for run in self.runs.values()}
        writes = []
        for number, place in places.items():
            run_id = ids.get(number) or self.kept.run_ids.get(number)
            if run_id and self.kept.ranks.get(number) != place:
                writes.append(RunWrite(run_id, points=[MetricPoint(RANK, place, at, 0)]))
        for first in range(0, len(writes), 16 * self._store.at_once):
            self._store.write(writes[first : first + 16 * self._store.at_once])

    def summary(self, result: Summary) -> None:
        """Ends the parent run with what the sweep has come to."""
        if OWN_STATUS[result.status] == "KILLED":
            # Trials that paused at a rung were not running, and did not say that they were stopped.
            for number, run in self.runs.items():
                if number is not None and (run.run_id or run.pending) and not run.terminated:
                    self.take(number, Interrupted(time.time()))
        self.flush_all()
        run_id, at = self.stored(None), int(time.time() * 1000)
        named, before = by_stored_name(result.metrics.items()), self._client.get_run(run_id).data
        # What an earlier start has said already would be one more point of a curve.
        points = [MetricPoint(name, value, at, 0) for name, value in named.items() if before.metrics.get(name) != value]
        tags = {**result.tags, "status": result.status}
        # A server lets nobody change a parameter: those of an earlier winner stay, and say whose they are.
        params = stored_params(result.params) if self._store.replaces_params or not before.params else {}
        tags |= {"winner": result.winner} if result.winner else {}
        tags |= {"params_of": result.winner} if params else {}
        tags = {name: stored_value(value) for name, value in by_stored_name(tags.items()).items()}
        self._store.write([RunWrite(run_id, None, params, tags, points, OWN_STATUS[result.status], at)])

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


def _end_of(run: TrackedRun) -> Ended | None:
    """The last of its pending ends."""
    return next((event for event in reversed(run.pending) if isinstance(event, Ended)), None)
