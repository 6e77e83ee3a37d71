"""Running jobs: in warm worker processes side by side, or in the calling process."""

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

Job = dict[str, Any]
# {"job": number, "trial": number, "event": {...}}; {"job": number, "cohort": {...}}, with "alone", the numbers of its
# trials, if each is to be a job by itself; at last {"job": number, "done": …}
Message = dict[str, Any]
Receive = Callable[[Message], None]
WORTH_A_WORKER = ("train", "measure")  # other jobs are done sooner than another worker has started


class Executor(Protocol):
    """Runs jobs and hands what they report to `receive`, as it happens, in the caller's thread.

    `jobs` is pulled only when a worker is free for the next one, so that a caller who records "started" while
    handing a job out has it on disk before the job begins.
    """

    def run(self, jobs: Iterable[Job], receive: Receive) -> None: ...

    def stop(self) -> None:
        """Asks running jobs to save their state and end."""

    def kill(self) -> None:
        """Ends running jobs at once, without their state."""

    def close(self) -> None: ...


def answers(executor: Executor, jobs: Iterable[Job]) -> dict[int, Any]:
    """What jobs that are not training have found, by their numbers; without those that were not begun."""
    found: dict[int, Any] = {}

    def receive(message: Message) -> None:
        if "done" in message:
            found[message["job"]] = message["done"]

    executor.run(jobs, receive)
    return found


class _Queue:
    """Jobs in order, those to be done first before those that are still to be asked for."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.first: list[Job] = []
        self._source = iter(jobs)

    def next(self) -> Job | None:
        return self.first.pop(0) if self.first else next(self._source, None)


class InlineExecutor:
    """One job after the other in this process, for a debugger or a notebook."""

    def __init__(self) -> None:
        self._stopping = False

    def run(self, jobs: Iterable[Job], receive: Receive) -> None:
        from pipeline.workers.worker import perform

        def send(job: Job, message: Message) -> None:
            queue.first += _alone(job, message.get("alone", []))
            receive({"job": job["number"], **message})

        queue = _Queue(jobs)
        while not self._stopping and (job := queue.next()):
            result = perform(job, functools.partial(send, job), lambda: self._stopping)
            receive({"job": job["number"], "done": result})

    def stop(self) -> None:
        self._stopping = True

    def kill(self) -> None:
        pass  # the caller's KeyboardInterrupt ends the job: it runs in this very process

    def close(self) -> None:
        pass


def _alone(job: Job, numbers: list[int]) -> list[Job]:
    """Jobs of one trial each, for those of `job` that do not train as one computation."""
    trials = [trial for trial in job["trials"] if trial["number"] in numbers] if numbers else []
    return [{**job, "number": t["number"], "trials": [t], "planned": 1, "fuse": "never"} for t in trials]


class _Worker:
    def __init__(self, environment: dict[str, str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115, closed in close(); what libraries print; its last line may say why it died
        ours, theirs = socket.socketpair()
        # A fresh interpreter, not a fork: TensorFlow's threads do not survive one.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.workers.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": _python_path(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.job: Job | None = None
        self.open: set[int] = set()  # trials of the job that have not ended
        self.trained = False  # an epoch of the job
        self.worn = False  # it has ended after its last job

    def begin(self, job: Job) -> None:
        self.job = job
        self.open, self.trained = {trial["number"] for trial in job.get("trials", [])}, False
        with contextlib.suppress(OSError):  # it died idle; the next wait() sees that and replaces it
            self.connection.send(job)

    def reason_of_death(self) -> str:
        code = self.process.wait()
        if code >= 0:
            self._output.seek(0)
            lines = self._output.read().decode(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
            return f"its worker process exited with status {code}: {last}"
        name = signal.Signals(-code).name
        hint = " (often the system's answer to memory running out)" if name == "SIGKILL" else ""
        return f"its worker process was killed by {name}{hint}"

    def close(self, grace: float) -> None:
        try:
            self.connection.send({"stop": True})
            self.process.wait(grace)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
        self.process.wait()
        self.connection.close()
        self._output.close()


def _python_path() -> str:
    """Workers import this very package, wherever the user's own folder is."""
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(Path(__file__).parents[2]), *([inherited] if inherited else [])])


class LocalExecutor:
    """Spawned worker processes on this machine, one for each of `environments`, kept until close(). The first starts
    at once, another when there is a job for it: importing TensorFlow takes seconds of a core.

    A worker that dies, or has grown too large, is replaced; the others go on. Of the trials of one that died, those
    that had not ended start again, up to `max_restarts` times. Several that die before an epoch, or too often, go on
    in two halves: their number may be what the worker died of.
    """

    def __init__(self, environments: list[dict[str, str]], *, max_restarts: int) -> None:
        self._environments, self._max_restarts = environments, max_restarts
        self._workers = [_Worker(environments[0])]
        self._stopping = False

    def run(self, jobs: Iterable[Job], receive: Receive) -> None:
        queue = _Queue(jobs)
        while True:
            self._hand_out(queue)
            busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
            if not busy:
                return
            for ready in wait(list(busy)):
                queue.first += self._heard(busy[ready], receive)  # type: ignore[index]

    def _hand_out(self, queue: _Queue) -> None:
        """Gives every free worker a job, and starts another worker for one that is worth it."""
        for i in range(len(self._environments)):
            if self._stopping:
                return
            if i < len(self._workers) and self._workers[i].job is not None:
                continue
            job = queue.next()
            if job is None:
                return
            if i == len(self._workers) and job["kind"] not in WORTH_A_WORKER:
                queue.first.insert(0, job)  # for the first worker that is free
                return
            self._fresh(i).begin(job)

    def _fresh(self, index: int) -> _Worker:
        """The worker at a place, started if there is none or it has ended after its last job."""
        if index == len(self._workers):
            self._workers.append(_Worker(self._environments[index]))
        elif self._workers[index].worn:
            self._workers[index].close(grace=5.0)
            self._workers[index] = _Worker(self._environments[index])
        return self._workers[index]

    def _heard(self, worker: _Worker, receive: Receive) -> list[Job]:
        """Passes a worker's message on, or its death; returns the jobs that follow from it."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            job, reason = self._replace(worker)
            return self._after_death(job, worker, reason, receive)
        following: list[Job] = []
        event = message.get("event", {}).get("event")
        if "done" in message:
            worker.job, worker.worn = None, message.pop("worn", False)
        elif event in ("ended", "paused"):
            worker.open.discard(message["trial"])
        elif "alone" in message and worker.job:
            worker.open -= set(message["alone"])
            following = _alone(worker.job, message["alone"])
        worker.trained |= event == "epoch"
        receive(message)
        return following

    def _after_death(self, job: Job, worker: _Worker, reason: str, receive: Receive) -> list[Job]:
        """Says what becomes of the trials of a job whose worker died; returns the jobs to be done again."""
        if "trials" not in job:
            receive({"job": job["number"], "done": {"error": reason}})
            return []
        trials = [trial for trial in job["trials"] if trial["number"] in worker.open]
        deaths = job.get("deaths", 0) + 1
        event: dict[str, Any] = {"event": "restarting", "reason": reason}
        if self._stopping:
            event = {"event": "interrupted"}
        elif len(trials) == 1 and deaths > self._max_restarts:
            times = f", {deaths} times" if deaths > 1 else ""
            event = {"event": "ended", "status": "failed", "reason": reason + times}
        for trial in trials:
            receive({"job": job["number"], "trial": trial["number"], "event": event})
        if event["event"] != "restarting" or not trials:
            return []
        if len(trials) == 1 or (worker.trained and deaths <= self._max_restarts):
            return [{**job, "trials": trials, "deaths": deaths}]
        half = -(-len(trials) // 2)
        parts = trials[:half], trials[half:]
        return [{**job, "number": p[0]["number"], "trials": p, "deaths": 0, "halved": True} for p in parts]

    def _replace(self, dead: _Worker) -> tuple[Job, str]:
        """Starts a new worker in a dead one's place; returns the job it was at and why it died."""
        assert dead.job is not None
        reason = dead.reason_of_death()
        dead.connection.close()
        index = self._workers.index(dead)
        self._workers[index] = _Worker(self._environments[index])
        return dead.job, reason

    def stop(self) -> None:
        self._stopping = True
        for worker in self._workers:
            if worker.job is not None:
                with contextlib.suppress(OSError):
                    worker.connection.send({"stop": True})

    def kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()

    def close(self) -> None:
        """Ends the workers; a busy one is killed after a grace of 5 seconds."""
        for worker in self._workers:
            worker.close(0.0 if worker.job is None else 5.0)
