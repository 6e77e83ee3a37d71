"""The worker process: `python -m pipeline.workers.worker FD NOTE`, warm from job to job.

It speaks over the inherited socket FD, in pickled records. From the parent: a Job, or None, which asks to stop. To the
parent: Messages, of which the last of a job is Done. Into the inherited file NOTE it writes which file it reads: see
crash. A worker retires once it has grown: TensorFlow keeps every program that XLA has compiled, some 50 MB each, until
the process is gone. It ends with its parent: Linux sees to that; elsewhere the socket closes and the worker, once it
has imported Keras, ends at once.
"""

import ctypes
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from pipeline import crash, records
from pipeline.data import augment
from pipeline.data.sources import load_splits
from pipeline.errors import lacked, reason_of
from pipeline.evaluation import evaluate, outputs
from pipeline.heads.lookup import head_of
from pipeline.keras_import import import_keras
from pipeline.records import Answer, DataFacts, Done, Failure, Job, Message, Report, TestResult, TrialTask
from pipeline.schema import Config

MOST_GROWTH = int(os.environ.get("CAVIAR_WORKER_GROWTH", 1.5 * 2**30))  # bytes since its first job, at which it ends


def main(connection: Connection, note: int) -> None:
    # Ctrl-C, and often the others, go to the whole process group; the parent decides what they mean.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _die_with_parent()
    crash.make_disposable(note)
    jobs: queue.Queue[Job | None] = queue.Queue()
    stop = threading.Event()

    def listen() -> None:
        try:
            while True:
                job = connection.recv()
                if job is None:
                    stop.set()
                jobs.put(job)
        except (EOFError, OSError):
            os._exit(1)

    first: int | None = None  # memory after the first job, which has brought the data

    def do(job: Job) -> None:
        nonlocal first
        answer = perform(job, lambda report: connection.send(Message(job.number, report)), stop.is_set)
        retiring = False
        if not isinstance(job, records.LoadJob):  # the data are no growth
            first = memory() if first is None else first
            retiring = memory() - first > MOST_GROWTH
        connection.send(Message(job.number, Done(answer, retiring)))
        if retiring:
            sys.exit()

    try:
        while connection.poll():  # data are loaded before Keras is imported, which takes seconds
            if (job := connection.recv()) is None:
                return
            if not isinstance(job, records.LoadJob):
                jobs.put(job)
                break
            do(job)
    except EOFError:
        return
    import_keras()  # no job is unpickled meanwhile: see import_keras()
    threading.Thread(target=listen, daemon=True).start()
    while (job := jobs.get()) is not None:
        do(job)


def _die_with_parent() -> None:
    """Where the system can: has it kill this process once the parent is gone, whatever this one is at by then. One that
    was gone before has closed the connection, which main() reads next."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def memory() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def perform(job: Job, send: Callable[[Report], None], should_stop: Callable[[], bool]) -> Answer:
    """Does one job of any kind, in this process: `executor=inline` calls it too. Raises nothing: a job that is not
    training answers what it has come to, or a Failure."""
    if isinstance(job, records.TrainJob):
        from pipeline.training.cohort import run_trials

        run_trials(job, send, should_stop)
        return None
    try:
        match job:
            case records.LoadJob(configs=configs):
                return tuple(map(_facts, configs))  # arms mostly share one data set
            case records.TestJob(trial=task):
                return _tested(task)
            case records.PredictJob(trial=task, inputs=inputs):
                return _predictions(task, inputs)
            case records.ExportJob(trial=task):
                from pipeline.training.trial import export

                return export(task)
            case records.CountJob(configs=configs):
                from pipeline.training.trial import count_parameters

                return [count_parameters(config) for config in configs]
            case records.MeasureJob():
                from pipeline.training.measuring import measure

                return measure(job)
    except Exception as error:
        reason, user = reason_of(error)
        return Failure(reason, user, lacked=lacked(error))


def _facts(config: Config) -> DataFacts:
    splits = load_splits(config, check=True)
    head = head_of(config)
    head.n_outputs(splits.n_classes)
    augment.check(config.train.augment, splits.input_shape)
    attributes = dict(splits.attributes)
    columns = attributes.get("columns")
    described = dict(columns) if isinstance(columns, dict) else {}
    counts = np.bincount(splits.validation.labels, minlength=splits.n_classes) if head.classifies else ()
    return DataFacts(
        splits.fingerprint,
        splits.describe(),
        described,
        attributes,
        tuple(splits.warnings),
        validation_counts=tuple(map(int, counts)),
    )


def _tested(task: TrialTask) -> TestResult:
    from pipeline.saving import load_model

    splits, head = load_splits(task.config), head_of(task.config)
    result = evaluate(load_model(Path(task.folder) / "model.h5"), splits.test, splits.n_classes, head)
    return TestResult({metric.name: result.metrics[metric.name] for metric in reversed(head.metrics)}, result.n)


def _predictions(task: TrialTask, inputs: np.ndarray) -> np.ndarray:
    from pipeline.saving import load_model
    from pipeline.training.trial import export

    path = Path(task.folder) / "model.h5"
    model = load_model(path if path.exists() else Path(export(task)))
    return head_of(task.config).predictions(outputs(model, inputs))


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])), int(sys.argv[2]))
