"""Forwards events to MLflow from a thread of its own, so that training never waits for tracking.

Events are on disk before they come here (events.jsonl is the source of truth), so nothing is lost when the store
is slow or away: a resume forwards what is missing.
"""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.jsonl import read
from pipeline.tracking.store import sqlite_path

FLUSH_SECONDS = 2.0  # a trial shorter than this becomes one batch; a longer one is seen as it runs
T = TypeVar("T")
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


@dataclass
class TrackedRun:
    """What MLflow is told of a trial besides its events. number None: the sweep's parent run."""

    name: str
    params: dict[str, Any]
    tags: dict[str, str]
    number: int | None = None
    folder: Path | None = None
    run_id: str | None = None
    pending: list[dict[str, Any]] = field(default_factory=list)
    first_pending: float | None = None
    logged_epoch: int = 0


class Recorder(Protocol):
    def open(self, run: TrackedRun) -> None:
        """Makes the run known; one without a number is the parent of those that follow."""

    def event(self, number: int, event: dict[str, Any]) -> None:
        """One of the trial's events, in order."""

    def artifact(self, number: int | None, path: Path) -> None:
        """Adds a file to a run."""

    def summary(self, metrics: dict[str, float], tags: dict[str, str], status: str) -> None:
        """Ends the parent run."""

    def view(self, key: str, value: str, note: str) -> bool:
        """Stores a saved view, as a tag of the experiment, and the parent's note; whether both are stored."""

    def close(self) -> str | None:
        """Waits until all is forwarded; a line that says what was not, if anything."""

    def experiment_id(self) -> str | None: ...

    def run_id(self, number: int | None) -> str | None:
        """The store's id of a run; waits until it is there."""


class NoRecorder:
    """tracking=none"""

    def open(self, run: TrackedRun) -> None: ...
    def event(self, number: int, event: dict[str, Any]) -> None: ...
    def artifact(self, number: int | None, path: Path) -> None: ...
    def summary(self, metrics: dict[str, float], tags: dict[str, str], status: str) -> None: ...
    def view(self, key: str, value: str, note: str) -> bool:
        return False

    def close(self) -> str | None:
        return None

    def experiment_id(self) -> str | None:
        return None

    def run_id(self, number: int | None) -> str | None:
        return None


class MlflowRecorder:
    """Records into the store at `uri`, in `experiment` (made if need be, with artifacts in `artifacts`).

    parent_id: the parent run of a sweep that is resumed. stale: a filter for runs that an earlier process began;
    those whose trial is not among `recorded` are deleted, and their trials forwarded afresh. on_parent,
    on_recorded: called from the thread once the parent run, or a whole trial, is stored.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        artifacts: Path,
        *,
        parent_id: str | None = None,
        stale: str | None = None,
        recorded: frozenset[int] = frozenset(),
        on_parent: Callable[[str], None] = lambda run_id: None,
        on_recorded: Callable[[int, str], None] = lambda number, run_id: None,
    ) -> None:
        self._uri, self._experiment, self._artifacts = uri, experiment, artifacts
        self._known_parent, self._stale, self._recorded = parent_id, stale, recorded
        self._on_parent, self._on_recorded = on_parent, on_recorded
        self._runs: dict[int | None, TrackedRun] = {}
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._client: Any = None
        self._experiment_id: str | None = None
        self._ready = threading.Event()
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    # The methods of Recorder only enqueue; everything that talks to MLflow is below, in the thread.

    def open(self, run: TrackedRun) -> None:
        self._queue.put(lambda: self._open(run))

    def event(self, number: int, event: dict[str, Any]) -> None:
        self._queue.put(lambda: self._take(number, event))

    def artifact(self, number: int | None, path: Path) -> None:
        self._queue.put(lambda: self._client.log_artifact(self._stored(number), str(path)))

    def summary(self, metrics: dict[str, float], tags: dict[str, str], status: str) -> None:
        self._queue.put(lambda: self._summary(metrics, tags, status))

    def experiment_id(self) -> str | None:
        self._ready.wait(60)
        return self._experiment_id

    def run_id(self, number: int | None) -> str | None:
        return self._answer(lambda: self._stored(number))

    def view(self, key: str, value: str, note: str) -> bool:
        return self._answer(lambda: self._view(key, value, note)) or False

    def _answer(self, question: Callable[[], T]) -> T | None:
        """What the thread finds; None if that takes longer than a minute or there is no store."""
        if self.experiment_id() is None:
            return None
        answer: queue.Queue[T] = queue.Queue()
        self._queue.put(lambda: answer.put(question()))
        with contextlib.suppress(queue.Empty):
            return answer.get(timeout=60)
        return None

    def close(self) -> str | None:
        self._queue.put(None)
        self._thread.join(120)
        if self._thread.is_alive():
            self._problem = self._problem or "the tracking store did not answer within two minutes"
        return self._problem

    def _work(self) -> None:
        try:
            self._connect()
        except Exception as error:
            self._problem = f"{self._uri}: {str(error).splitlines()[0]}"
            return
        finally:
            self._ready.set()
        while True:
            try:
                action = self._queue.get(timeout=0.5)
            except queue.Empty:
                self._attempt(self._flush_old)
                continue
            if action is None:
                self._attempt(lambda: self._flush_all())
                return
            self._attempt(action)

    def _attempt(self, action: Callable[[], Any]) -> None:
        """Tries for a minute: a store may be locked or restarting. What still fails is left to a resume."""
        for pause in (0.5, 2, 5, 10, 15, 30, None):
            try:
                action()
                return
            except Exception as error:
                if pause is None or self._problem:
                    self._problem = f"{self._uri}: {str(error).splitlines()[0]}"
                    return
                time.sleep(pause)

    def _connect(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own default blocks for minutes
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
        path = sqlite_path(self._uri)
        with _lock(path):
            import logging

            logging.getLogger("alembic").setLevel(logging.ERROR)
            logging.getLogger("mlflow").setLevel(logging.ERROR)
            os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
            from mlflow.tracking import MlflowClient

            if path is not None and not path.exists():
                _create(path)
            self._client = MlflowClient(self._uri)
            found = self._client.get_experiment_by_name(self._experiment)
            # A server knows itself where artifacts go.
            location = str(self._artifacts.absolute()) if path is not None else None
            self._experiment_id = (
                found.experiment_id
                if found
                else self._client.create_experiment(self._experiment, artifact_location=location)
            )
        if self._stale:
            for run in self._client.search_runs([self._experiment_id], self._stale, max_results=50_000):
                if int(run.data.tags.get("trial", -1)) not in self._recorded:
                    self._client.delete_run(run.info.run_id)

    def _stored(self, number: int | None) -> str:
        run = self._runs[number]
        if run.run_id is None:
            from mlflow.entities import Param

            tags = {
                "mlflow.runName": run.name,
                "mlflow.source.name": "run.py",
                "mlflow.source.type": "LOCAL",
                **run.tags,
            }
            if number is not None and None in self._runs:
                tags["mlflow.parentRunId"] = self._stored(None)
            run.run_id = self._client.create_run(self._experiment_id, tags=tags).info.run_id
            params = [Param(key, str(value)[:6000]) for key, value in run.params.items()]
            for start in range(0, len(params), 100):  # MLflow's limit for one call
                self._client.log_batch(run.run_id, params=params[start : start + 100])
        return run.run_id

    def _open(self, run: TrackedRun) -> None:
        self._runs[run.number] = run
        if run.number is None:
            run.run_id = self._known_parent
            run_id = self._stored(None)
            self._client.update_run(run_id, status="RUNNING")
            self._on_parent(run_id)
        elif run.folder is not None:  # what a trial that is resumed, or was not forwarded, has said before
            for event in read(run.folder / "events.jsonl"):
                if event["event"] in ("epoch", "ended"):
                    self._take(run.number, event)

    def _take(self, number: int, event: dict[str, Any]) -> None:
        run = self._runs.get(number)
        if run is None:
            return
        run.pending.append(event)
        run.first_pending = run.first_pending or time.monotonic()
        if event["event"] in ("ended", "interrupted"):
            self._flush(run)

    def _flush_all(self) -> None:
        for run in self._runs.values():
            self._flush(run)

    def _flush_old(self) -> None:
        for run in list(self._runs.values()):
            if run.first_pending and time.monotonic() - run.first_pending > FLUSH_SECONDS:
                self._flush(run)

    def _flush(self, run: TrackedRun) -> None:
        if not run.pending or run.number is None:
            return
        from mlflow.entities import Metric, RunTag

        run_id = self._stored(run.number)
        metrics, tags, ended = [], [], None
        for event in run.pending:
            if event["event"] == "epoch" and event["epoch"] > run.logged_epoch:
                run.logged_epoch = event["epoch"]
                at = int(event["time"] * 1000)
                metrics += [
                    Metric(name, event[name], at, event["epoch"]) for name in METRICS if event.get(name) is not None
                ]
            elif event["event"] == "ended":
                ended = event
            elif event["event"] == "interrupted":
                tags.append(RunTag("status", "interrupted"))
        if ended:
            at = int(ended.get("time", time.time()) * 1000)
            best = {f"best_{name}": value for name, value in ended.get("metrics", {}).items()}
            best["best_epoch"] = ended.get("best_epoch", 0)
            if ended["status"] == "completed":
                metrics += [Metric(name, value, at, 0) for name, value in best.items()]
            tags += [RunTag("status", ended["status"]), RunTag("reason", (ended.get("reason") or "")[:5000])]
        for start in range(0, len(metrics), 1000):
            self._client.log_batch(run_id, metrics=metrics[start : start + 1000])
        self._client.log_batch(run_id, tags=tags)
        if ended or tags:
            status = {"completed": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}
            self._client.set_terminated(run_id, status[ended["status"]] if ended else "KILLED")
        run.pending, run.first_pending = [], None
        if ended:
            self._on_recorded(run.number, run_id)

    def _summary(self, metrics: dict[str, float], tags: dict[str, str], status: str) -> None:
        from mlflow.entities import Metric, RunTag

        run_id, at = self._stored(None), int(time.time() * 1000)
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, at, 0) for name, value in metrics.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self._client.set_terminated(run_id, status)

    def _view(self, key: str, value: str, note: str) -> bool:
        """A view is a convenience: if the store refuses it, nothing of the sweep is missing or worth a retry."""
        try:
            self._client.set_experiment_tag(self._experiment_id, key, value)
            self._client.set_tag(self._stored(None), "mlflow.note.content", note)
        except Exception:
            return False
        return True


def _create(path: Path) -> None:
    """Makes MLflow's tables in a file beside `path` and moves it there: a database whose first migration is cut
    off, by Ctrl-C or a mistake found meanwhile, can never be opened again."""
    from mlflow.tracking import MlflowClient

    new = path.with_suffix(".new")
    for leftover in (new, new.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    MlflowClient(f"sqlite:///{new}").search_experiments()
    new.replace(path)


@contextlib.contextmanager
def _lock(path: Path | None) -> Any:
    """Only one process creates or migrates a database: started together, all of them fail."""
    if path is None:
        yield
        return
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
