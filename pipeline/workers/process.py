"""A worker process as its executor sees it."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from pipeline import crash, memory
from pipeline.records import Job, TrainJob
from pipeline.workers.death import Death, death_of
from pipeline.workers.executor import STOP_GRACE


class WorkerProcess:
    """`environment`: variables that say which devices and how many threads are its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        # What libraries complain of: it may say why the process died. Closed in close().
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._note = tempfile.TemporaryFile()  # noqa: SIM115 - which file the process reads: see crash
        ours, theirs = socket.socketpair()
        inherited = theirs.fileno(), self._note.fileno()
        # A fresh interpreter, not a fork: TensorFlow's threads do not survive one.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.workers.worker", *map(str, inherited)],
            pass_fds=inherited,
            env={**os.environ, "PYTHONPATH": _python_path(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._output,
        )
        theirs.close()
        self._oom_kills = memory.oom_kills()
        self.connection = Connection(ours.detach())
        self.job: Job | None = None
        self.unfinished: set[int] = set()  # trials of the job that have not ended
        self.trained = False  # whether the job has had an epoch
        self.retiring = False  # whether it has ended, or does after its last job
        self._deadline: float | None = None  # by which it must have ended; None: it has not been asked to

    def begin(self, job: Job) -> None:
        self.job, self.trained = job, False
        self.unfinished = {task.number for task in job.trials} if isinstance(job, TrainJob) else set()
        with contextlib.suppress(OSError):  # it died idle; the next wait() sees that and replaces it
            self.connection.send(job)

    def death(self) -> Death:
        """Why it died."""
        code = self.process.wait()
        self._output.seek(0)
        return death_of(code, self._output.read().decode(errors="replace"), self._oom_kills)

    def verdict(self) -> str | None:
        """Which file it died of, and how; None if that is not known."""
        return crash.verdict(self._note, -self.process.wait())

    def end(self) -> None:
        """Asks it to end, or kills it: if it trains, once it has had STOP_GRACE seconds to save the state; at once if
        there is none to save."""
        if self._deadline is None:
            training = isinstance(self.job, TrainJob)
            self._deadline = time.monotonic() + (STOP_GRACE if training else 0.0)
            with contextlib.suppress(OSError):  # it has ended
                self.connection.send(None)
        if time.monotonic() >= self._deadline:
            self.process.kill()

    def close(self) -> None:
        """Ends it as end() does, and waits for that."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, (self._deadline or 0.0) - time.monotonic()))
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self._output.close()
        self._note.close()


def _python_path() -> str:
    """Workers import this very package, wherever the user's own folder is, and what the parent can import."""
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(Path(__file__).parents[2]), *([inherited] if inherited else [])])
