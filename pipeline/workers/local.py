"""Jobs in warm worker processes side by side on this machine."""

import time
from collections.abc import Iterable
from dataclasses import replace
from multiprocessing.connection import wait

from pipeline import records
from pipeline.records import Done, Ended, Event, Failure, Job, Message, Restarting, TrainJob, TrialEvent
from pipeline.workers.executor import JobQueue, Receive, one_by_one
from pipeline.workers.process import WorkerProcess
from pipeline.workers.temporary import TemporaryFolder

LOOK_SECONDS = 0.2  # in which a request to stop is noticed
WORTH_A_WORKER = (TrainJob, records.MeasureJob)  # other jobs are done sooner than another worker has started


class LocalExecutor:
    """Spawned worker processes, one for each of `environments`, kept until close(). The first starts at once, another
    when there is a job for it: importing TensorFlow takes seconds of a core.

    A worker that dies, or has grown too large, is replaced; the others go on. Of the trials of one that died, those
    that had not ended start again, up to `max_restarts` times. Several that die before an epoch, or too often, go on
    in two halves: their number may be what the worker died of.
    """

    def __init__(self, environments: list[dict[str, str]], *, max_restarts: int) -> None:
        self._temporary = TemporaryFolder()
        self._environments = [{**own, "TMPDIR": str(self._temporary.path)} for own in environments]
        self._max_restarts = max_restarts
        self._workers = [WorkerProcess(self._environments[0])]
        self._stopping = False

    def run(self, jobs: Iterable[Job], receive: Receive) -> None:
        queue = JobQueue(jobs)
        while True:
            self._hand_out(queue)
            busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
            if not busy:
                return
            if self._stopping:
                for worker in busy.values():
                    worker.end()
            for ready in wait(list(busy), LOOK_SECONDS):
                queue.first += self._take_message(busy[ready], receive)  # type: ignore[index]

    def _hand_out(self, queue: JobQueue) -> None:
        """Gives every free worker a job, and starts another worker for one that is worth it."""
        for i in range(len(self._environments)):
            if self._stopping:
                return
            if i < len(self._workers) and self._workers[i].job is not None:
                continue
            job = queue.next()
            if job is None:
                return
            if i == len(self._workers) and not isinstance(job, WORTH_A_WORKER):
                queue.first.insert(0, job)  # for the first worker that is free
                return
            self._fresh(i).begin(job)

    def _fresh(self, index: int) -> WorkerProcess:
        """The worker at a place, started if there is none or it has ended."""
        if index == len(self._workers):
            self._workers.append(WorkerProcess(self._environments[index]))
        elif self._workers[index].retiring:
            self._workers[index].close()
            self._workers[index] = WorkerProcess(self._environments[index])
        return self._workers[index]

    def _take_message(self, worker: WorkerProcess, receive: Receive) -> list[Job]:
        """Passes a worker's message on, or its death; returns the jobs that follow from it."""
        job = worker.job
        assert job is not None
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            worker.job, worker.retiring = None, True
            return self._after_death(job, worker, receive)
        following: list[Job] = []
        match message.report:
            case Done(retiring=retiring):
                worker.job, worker.retiring = None, retiring
            case TrialEvent(trial, Ended() | records.Paused()):
                worker.unfinished.discard(trial)
            case TrialEvent(event=records.EpochEnded()):
                worker.trained = True
            case records.Requeued(trials) as requeued:
                worker.unfinished -= set(trials)
                following = one_by_one(job, requeued)
        receive(message)
        return following

    def _after_death(self, job: Job, worker: WorkerProcess, receive: Receive) -> list[Job]:
        """Says what becomes of the trials of a job whose worker died; returns the jobs to be done again."""
        death = worker.death()
        if not isinstance(job, TrainJob):
            if self._stopping:
                return []
            verdict = worker.verdict()
            receive(Message(job.number, Done(Failure(verdict or death.reason, bool(verdict), died=not verdict))))
            return []
        trials = tuple(task for task in job.trials if task.number in worker.unfinished)
        deaths, now = job.deaths + 1, time.time()
        whole = len(trials) == 1 or job.evolution is not None  # a population is not divided
        event: Event = Restarting(now, death.reason)
        if self._stopping:
            event = records.Interrupted(now)
        elif whole and deaths > self._max_restarts:
            times = f", {deaths} times" if deaths > 1 else ""
            event = Ended(now, "failed", death.reason + times, lacked="memory" if death.of_memory else None)
        for task in trials:
            receive(Message(job.number, TrialEvent(task.number, event, logged=False)))
        if not isinstance(event, Restarting) or not trials:
            return []
        if whole or (worker.trained and deaths <= self._max_restarts):
            ended = {task.number: task.config for task in job.trials if task not in trials}
            return [replace(job, trials=trials, ended={**job.ended, **ended}, deaths=deaths)]
        half = -(-len(trials) // 2)
        parts = trials[:half], trials[half:]
        return [replace(job, number=p[0].number, trials=p, deaths=0, halved=True) for p in parts]

    def stop(self) -> None:
        self._stopping = True  # no more: a signal may come while a job is being sent

    def kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        self._temporary.close()

    def close(self) -> None:
        """Ends the workers, after STOP_GRACE seconds at most."""
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.close()
        self._temporary.close()
