"""What runs jobs: the interface, and what all executors share."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from pipeline.records import Answer, Done, Failure, Job, Message, Requeued, TrainJob

Receive = Callable[[Message], None]
STOP_GRACE = 5.0  # seconds


class Executor(Protocol):
    """Runs jobs and hands what they report to `receive`, as it happens, in the caller's thread.

    `jobs` is pulled only when a worker is free for the next one, so that a caller who records that a trial is handed
    out has it on disk before the job begins.
    """

    def run(self, jobs: Iterable[Job], receive: Receive) -> None: ...

    def stop(self) -> None:
        """Asks running jobs to save their state and end, and begins no other; called by a handler of signals. Those
        that have not ended STOP_GRACE seconds later are killed: their last checkpoint stands."""

    def kill(self) -> None:
        """Ends running jobs at once, without their state."""

    def close(self) -> None: ...


def answers(executor: Executor, jobs: Iterable[Job]) -> dict[int, Answer]:
    """What jobs that are not training have come to, by their numbers; without those that were not begun."""
    results: dict[int, Answer] = {}

    def receive(message: Message) -> None:
        if isinstance(message.report, Done):
            results[message.job] = message.report.answer

    executor.run(jobs, receive)
    return results


def ask(executor: Executor, job: Job) -> Answer:
    """What a worker makes of one job that is not training."""
    return answers(executor, [job]).get(job.number, Failure("interrupted"))


class JobQueue:
    """Jobs in order, those to be done first before those that are still to be asked for."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.first: list[Job] = []
        self._source = iter(jobs)

    def next(self) -> Job | None:
        return self.first.pop(0) if self.first else next(self._source, None)


def one_by_one(job: Job, requeued: Requeued) -> list[Job]:
    """Jobs of one trial each, for those of `job` that do not train as one computation."""
    if not isinstance(job, TrainJob):
        return []
    conditions = replace(job.conditions, fuse="never")
    return [
        replace(job, number=task.number, trials=(task,), planned=1, conditions=conditions)
        for task in job.trials
        if task.number in requeued.trials
    ]
