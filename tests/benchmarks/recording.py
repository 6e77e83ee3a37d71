"""A report without a peer: what recording a trial in a local tracking store costs the parent, and what it takes from
the thread that receives what workers say."""

import statistics
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from pipeline.records import Ended, EpochEnded, HandedOut, Started, Trial
from pipeline.tracking.mlflow_writer import MlflowWriter
from pipeline.tracking.recorder import MlflowRecorder
from pipeline.tracking.tracked_run import TrackedRun

TRIALS, EPOCHS, COHORT = 256, 20, 64
METRICS = ("loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1")
PARAMS = {"optimizer.learning_rate": 0.001, "optimizer.momentum": 0.9, "log10 learning_rate": -3.0, "optimizer": "adam"}
LOOK = 0.001  # seconds that the receiving thread sleeps between two looks at its clock


def recording(folder: Path, options: Namespace) -> Iterator[str]:
    """Milliseconds a trial in MLflow's sqlite store: 20 epochs of 6 metrics, in cohorts of 64 that end together."""
    trials, epochs = options.trials or TRIALS, options.epochs or EPOCHS
    folder.mkdir(parents=True)
    for repeat in range(options.repeats):
        seconds, cpu, late = _recorded(folder / str(repeat), trials, epochs)
        yield (
            f"{trials} trials x {epochs} epochs: {1000 * seconds / trials:6.2f} ms a trial, "
            f"{1000 * cpu / trials:6.2f} ms of CPU; the receiving thread came late by "
            f"{1000 * statistics.median(late):.2f} ms in the median, {1000 * max(late):.1f} at most"
        )


def _recorded(folder: Path, trials: int, epochs: int) -> tuple[float, float, list[float]]:
    """Seconds, seconds of CPU, and by how much a thread that wakes every millisecond came late meanwhile."""

    def describe(trial: Trial) -> TrackedRun:
        tags = {"kind": "trial", "trial": str(trial.number), "stage": "random", "sweep": "s", "folder": f"s/{trial}"}
        name = f"trial {trial.number:03d}"
        params = {**trial.params, "seed": trial.number}
        return TrackedRun(name, params, tags, number=trial.number, files=(config,))

    folder.mkdir()
    config = folder / "config.yaml"
    config.write_text("key: value\n" * 100)
    writer = MlflowWriter(f"sqlite:///{folder}/mlflow.db", "caviar", folder / "artifacts")
    recorder = MlflowRecorder(writer, describe)
    recorder.open(TrackedRun("sweep s", {}, {"kind": "sweep"}))
    recorder.run_id(None)  # MLflow is imported, and its tables are made
    late: list[float] = []
    done = threading.Event()

    def receive() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(LOOK)
            late.append(time.perf_counter() - began - LOOK)

    receiver = threading.Thread(target=receive)
    began, cpu = time.perf_counter(), time.process_time()
    receiver.start()
    for first in range(0, trials, COHORT):
        cohort = [Trial(number, "random", 0, PARAMS) for number in range(first, min(first + COHORT, trials))]
        now = time.time()
        for trial in cohort:
            recorder.on(trial, HandedOut(now))
        for trial in cohort:
            recorder.on(trial, Started(now, 1))
        for epoch in range(1, epochs + 1):
            for trial in cohort:
                values = dict.fromkeys(METRICS, 1 / epoch + trial.number)
                recorder.on(trial, EpochEnded(now + epoch, epoch, values, 0.001, 0.0, 0.1))
        for trial in cohort:
            recorder.on(trial, Ended(now + epochs, "completed", None, epochs, epochs, values))
    problem = recorder.close()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    done.set()
    receiver.join()
    assert problem is None, problem
    return seconds, cpu, late


REPORTS = {"recording": recording}
