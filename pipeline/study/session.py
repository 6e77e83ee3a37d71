"""What a run and a sweep have in common: checks, the data, an executor, a recorder, and Ctrl-C."""

import contextlib
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.data import augment
from pipeline.data.sources import load_splits
from pipeline.data.splits import Splits
from pipeline.errors import InputError
from pipeline.jsonl import JsonLines
from pipeline.models.heads import n_outputs
from pipeline.tracking import store
from pipeline.tracking.display import say
from pipeline.tracking.mlflow_writer import MlflowWriter
from pipeline.tracking.recorder import MlflowRecorder, NoRecorder, Recorder
from pipeline.workers import devices
from pipeline.workers.executors import Executor, InlineExecutor, LocalExecutor

SHOWN_COLUMNS = 40  # of a table
LONGEST_TAG = 500  # letters


def check_tracking(config: dict[str, Any]) -> None:
    tracking = config["tracking"]
    if tracking["kind"] == "mlflow":
        if not tracking["uri"] or not tracking["experiment"]:
            raise InputError("tracking=mlflow needs tracking.uri and tracking.experiment.")
        store.check(tracking["uri"], Path(config["output_dir"]))


def load_data(config: dict[str, Any]) -> Splits:
    """The data set, loaded here once to be checked and fingerprinted before a worker trains on it."""
    splits = load_splits(config, check=True)  # arms mostly share one data set
    n_outputs(config["model"]["head"], splits.n_classes)
    augment.check(config["train"]["augment"], splits.input_shape)
    return splits


def tell(splits: Splits) -> None:
    """Says what the data is and, of a table, how each column is understood."""
    say(f"data: {splits.describe()}")
    columns = splits.attributes.get("columns")
    if isinstance(columns, dict) and columns:
        shown = list(columns.items())[:SHOWN_COLUMNS]
        width = max(len(name) for name, _ in shown)
        for name, told in shown:
            say(f"  {name:<{width}}  {told}")
        if len(columns) > len(shown):
            say(f"  and {len(columns) - len(shown):,} more")


def tags(splits: Splits) -> dict[str, str]:
    """What the data says of itself, as tags of a run."""
    named = {re.sub(r"[^\w.-]", "_", key): str(value) for key, value in splits.attributes.items()}
    return {f"data.{key}": value[:LONGEST_TAG] for key, value in named.items()}


def make_executor(config: dict[str, Any], n_jobs: int) -> Executor:
    """Starts the workers: they import TensorFlow while this process does something else."""
    executor = config["executor"]
    device = config["device"]
    environments = devices.plan(device["name"], executor["workers"], n_jobs, device.get("visible"))
    if executor["kind"] == "inline":
        devices.become(environments[0])
        return InlineExecutor()
    return LocalExecutor(environments, max_restarts=executor["max_restarts"])


def make_recorder(config: dict[str, Any], **resumed: Any) -> Recorder:
    tracking = config["tracking"]
    if tracking["kind"] == "none":
        return NoRecorder()
    artifacts = Path(config["output_dir"]) / "mlartifacts"  # a run has its own folder there, by its id
    return MlflowRecorder(MlflowWriter(tracking["uri"], tracking["experiment"], artifacts, **resumed))


def stamped(folder: Path, event: dict[str, Any]) -> dict[str, Any]:
    """The event as it stands in events.jsonl; one that the executor reports for a dead worker is added there."""
    if "time" not in event:
        event = {"time": time.time(), **event}
        log = JsonLines(folder / "events.jsonl", durable=True)
        log.append(event)
        log.close()
    return event


class Stop:
    """Whether the user wants out. Ctrl-C or SIGTERM once: running trials save their state. Twice: at once."""

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def stopping(executor: Executor) -> Iterator[Stop]:
    stop = Stop()

    def handle(signum: int, frame: FrameType | None) -> None:
        if stop.requested:
            executor.kill()
            raise KeyboardInterrupt
        stop.requested = True
        say("stopping: running trials save their state (Ctrl-C again ends at once)", "yellow")
        executor.stop()

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_address(config: dict[str, Any], recorder: Recorder, number: int) -> str | None:
    """Where the MLflow UI shows a run."""
    experiment, run = recorder.experiment_id(), recorder.run_id(number)
    if experiment is None or run is None:
        return None
    return f"{store.ui(config['tracking'])}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"
