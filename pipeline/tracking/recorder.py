"""Forwards events to MLflow from a thread of its own, so that training never waits for tracking.

Events are on disk before they come here (events.jsonl is the source of truth), so nothing is lost when the store
is slow or away: a resume forwards what is missing.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from pipeline.errors import first_line
from pipeline.records import Event, HandedOut, Trial
from pipeline.secret import masked
from pipeline.tracking.mlflow_writer import MlflowWriter
from pipeline.tracking.subscriber import Occurrence
from pipeline.tracking.tracked_run import Summary, TrackedRun

LOOK_SECONDS = 0.1
AT_ONCE = 1000  # actions between two looks at what is due
T = TypeVar("T")
HOPELESS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")  # MLflow's errors that no second try mends


class Recorder:
    """A subscriber that forwards what it is told to a tracking store; this one, of tracking=none, has none."""

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        """One more event."""

    def open(self, run: TrackedRun) -> None:
        """Makes the run known; one without a number is the parent of those that follow."""

    def artifact(self, number: int | None, path: Path) -> None:
        """Adds a file to a run."""

    def measures(self, number: int, metrics: Mapping[str, float]) -> None:
        """Adds what was measured of a trial after its end."""

    def ranks(self, places: Mapping[int, int]) -> None:
        """Says of trials, by number, the place in the leaderboard."""

    def summary(self, result: Summary) -> None:
        """Ends the parent run."""

    def view(self, key: str, value: str, note: str) -> bool:
        """Stores a saved view, which is a tag of the experiment, and a note at the parent run; whether it could."""
        return False

    def close(self) -> str | None:
        """Waits until all is forwarded; a line that says what was not, if anything."""
        return None

    def has_all_of(self, number: int) -> bool:
        """Whether the store had a whole trial before this start."""
        return False

    def experiment_id(self) -> str | None:
        return None

    def run_id(self, number: int | None) -> str | None:
        """The store's id of a run; waits until it is there."""
        return None


class MlflowRecorder(Recorder):
    """Hands everything to an MlflowWriter in a thread; its methods only enqueue, unless they answer something.

    describe: what the store is told of a trial besides its events.
    """

    def __init__(self, writer: MlflowWriter, describe: Callable[[Trial], TrackedRun]) -> None:
        self._describe = describe
        self._writer = writer
        self._queue: queue.Queue[Callable[[], object] | None] = queue.Queue()
        self._ready = threading.Event()
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        if trial is None:
            return
        match event:
            case HandedOut():
                self._queue.put(lambda: self._writer.open(self._describe(trial)))
            case Event():
                self._queue.put(partial(self._writer.take, trial.number, event))

    def open(self, run: TrackedRun) -> None:
        self._queue.put(partial(self._writer.open, run))

    def artifact(self, number: int | None, path: Path) -> None:
        self._queue.put(partial(self._writer.artifact, number, path))

    def measures(self, number: int, metrics: Mapping[str, float]) -> None:
        self._queue.put(partial(self._writer.measures, number, metrics))

    def ranks(self, places: Mapping[int, int]) -> None:
        self._queue.put(partial(self._writer.ranks, places))

    def summary(self, result: Summary) -> None:
        self._queue.put(partial(self._writer.summary, result))

    def has_all_of(self, number: int) -> bool:
        self._ready.wait(60)
        return number in self._writer.kept.recorded

    def experiment_id(self) -> str | None:
        self._ready.wait(60)
        return self._writer.experiment_id

    def run_id(self, number: int | None) -> str | None:
        return self._answer(lambda: self._writer.stored(number))

    def view(self, key: str, value: str, note: str) -> bool:
        return self._answer(lambda: self._writer.view(key, value, note)) or False

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
            self._writer.connect()
        except Exception as error:
            self._problem = self._what_failed(error)
            return
        finally:
            self._ready.set()
        while True:
            actions = self._waiting()
            for action in filter(None, actions):
                self._attempt(action)
            ending = None in actions
            self._attempt(self._writer.flush_all if ending else self._writer.flush_due)
            if ending:
                return

    def _waiting(self) -> list[Callable[[], object] | None]:
        """What there is to do, once there is something or it is time to look what is due: events come in hundreds."""
        actions = []
        with contextlib.suppress(queue.Empty):
            actions.append(self._queue.get(timeout=LOOK_SECONDS))
            while actions[-1] is not None and len(actions) < AT_ONCE:
                actions.append(self._queue.get_nowait())
        return actions

    def _attempt(self, action: Callable[[], object]) -> None:
        """Tries for a minute: a store may be locked or restarting. What still fails is left to a resume."""
        for pause in (0.5, 2, 5, 10, 15, 30, None):
            try:
                action()
                return
            except Exception as error:
                if pause is None or self._problem or getattr(error, "error_code", None) in HOPELESS:
                    self._problem = self._what_failed(error)
                    return
                time.sleep(pause)

    def _what_failed(self, error: Exception) -> str:
        return masked(f"{self._writer.uri}: {first_line(error)}")
