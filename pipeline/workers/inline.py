"""Jobs one after the other in the calling process, for a debugger or a notebook."""

from collections.abc import Iterable

from pipeline.keras_import import import_quietly
from pipeline.records import Done, Job, LoadJob, Message, Report, Requeued
from pipeline.workers.executor import JobQueue, Receive, one_by_one


class InlineExecutor:
    def __init__(self) -> None:
        self._stopping = self._ran = False

    def run(self, jobs: Iterable[Job], receive: Receive) -> None:
        from pipeline.workers.worker import perform

        queue, self._ran = JobQueue(jobs), True
        while not self._stopping and (job := queue.next()):
            if not isinstance(job, LoadJob):  # which does without
                import_quietly()

            def send(report: Report, job: Job = job) -> None:
                if isinstance(report, Requeued):
                    queue.first += one_by_one(job, report)
                receive(Message(job.number, report))

            answer = perform(job, send, lambda: self._stopping)
            receive(Message(job.number, Done(answer)))

    def stop(self) -> None:
        self._stopping = True

    def kill(self) -> None:
        """The caller's KeyboardInterrupt ends the job: it runs in this very process."""

    def close(self) -> None:
        """Frees the data of a process that goes on, and may run another study from another folder."""
        if self._ran:
            from pipeline.data.sources import forget

            forget()
