"""The worker process: `python -m pipeline.workers.worker FD`, warm from job to job.

It speaks over the inherited socket FD, in pickled dicts. From the parent: a job, `{"stop": True}`. To the parent:
`{"job": number, "trial": number, "event": {...}}`, `{"job": number, "cohort": {...}}`, and at last
`{"job": number, "done": result}`, with `"worn": True` if it ends then: TensorFlow keeps every program that XLA has
compiled, some 50 MB each, until the process is gone. When the parent goes away the socket closes and the worker,
once it has imported Keras, ends at once, wherever it is.
"""

import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.keras_import import import_keras

MOST_GROWTH = int(os.environ.get("CAVIAR_WORKER_GROWTH", 1.5 * 2**30))  # bytes since its first job, at which it ends


def main(connection: Connection) -> None:
    # Ctrl-C, and often SIGTERM, goes to the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    stop = threading.Event()

    def listen() -> None:
        try:
            while True:
                message = connection.recv()
                if message.get("stop"):
                    stop.set()
                jobs.put(message)
        except (EOFError, OSError):
            os._exit(1)

    import_keras()  # while the parent checks data and store; no job is unpickled meanwhile: see import_keras()
    threading.Thread(target=listen, daemon=True).start()
    first, worn = None, False  # memory after the first job, which has brought the data
    while not worn:
        job = jobs.get()
        if job.get("stop"):
            return
        number = job["number"]
        result = perform(job, lambda message, n=number: connection.send({"job": n, **message}), stop.is_set)
        first = memory() if first is None else first
        worn = memory() - first > MOST_GROWTH
        connection.send({"job": number, "done": result, "worn": worn})


def memory() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def perform(job: dict[str, Any], send: Any, should_stop: Any) -> Any:
    """Does one job of any kind, in this process: `executor=inline` calls it too. The result of a job that is not
    training is what it found, or `{"error": reason, "input_error": whether the config is to blame}`."""
    if job["kind"] == "train":
        from pipeline.training.cohort import run_trials

        return run_trials(job, send, should_stop)
    from pipeline.training.trial import reason_of

    try:
        return _KINDS[job["kind"]](job)
    except Exception as error:
        reason, user = reason_of(error)
        return {"error": reason, "input_error": user}


def _test(job: dict[str, Any]) -> dict[str, Any]:
    from pipeline.data.sources import load_splits
    from pipeline.evaluation import evaluate
    from pipeline.saving import load_model

    splits = load_splits(job["config"])
    head = job["config"]["model"]["head"]
    return evaluate(load_model(Path(job["folder"]) / "model.h5"), splits.test, splits.n_classes, head)


def _predict(job: dict[str, Any]) -> dict[str, Any]:
    from pipeline.evaluation import outputs, probabilities
    from pipeline.models import heads
    from pipeline.saving import load_model
    from pipeline.training.trial import export

    path = Path(job["folder"]) / "model.h5"
    ask = probabilities if heads.of(job["config"]).classifies else outputs
    return {"outputs": ask(load_model(path if path.exists() else Path(export(job))), job["inputs"])}


def _export(job: dict[str, Any]) -> dict[str, Any]:
    from pipeline.training.trial import export

    return {"model": export(job)}


def _measure(job: dict[str, Any]) -> dict[str, Any]:
    from pipeline.training.cohort import measure

    return measure(job)


_KINDS = {"test": _test, "predict": _predict, "export": _export, "measure": _measure}


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
