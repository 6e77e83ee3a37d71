"""Ends a sweep after every single step that it stores, and starts it again: what is there then, a line a step.

    python -m tests.faults.failpoints FOLDER

One process imports everything, and forks for each start. No trial trains: a stub writes what a worker would.
"""

import collections
import contextlib
import json
import os
import shutil
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import mlflow.tracking  # noqa: F401 - what every start needs is imported once
from hydra.core.override_parser.overrides_parser import OverridesParser
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from sqlalchemy.engine.default import DefaultDialect

from pipeline.eventlog import append_event, epochs_of
from pipeline.jsonl import read
from pipeline.records import (
    DataFacts,
    Done,
    Ended,
    EpochEnded,
    LoadJob,
    Message,
    Paused,
    Started,
    TestJob,
    TestResult,
    TrainJob,
    TrialEvent,
)
from pipeline.search.plan import Plan
from pipeline.search.planning import make_plan
from pipeline.study.start import run
from tests.conftest import composed

EPOCHS = 2
# Two trials, of which one is pruned after the first epoch.
LINE = [
    "sweep=halving", "sweep.name=s", "sweep.n_trials=2", "sweep.max_tier=1", "train.early_stopping=null",
    "sweep.halving.min_epochs=1", "sweep.halving.factor=2", f"sweep.stages.halving.epochs={EPOCHS}",
]  # fmt: skip


class Stub:
    """Reports what a worker would, with the same files first."""

    def run(self, jobs, receive):
        for job in jobs:
            answer = None
            match job:
                case LoadJob(configs=configs):
                    answer = (DataFacts("data", "made for this test", {}, {}),) * len(configs)
                case TrainJob(trials=tasks, until=until):
                    for task in tasks:
                        for event in self._train(task, until or EPOCHS):
                            append_event(Path(task.folder), event)
                            receive(Message(job.number, TrialEvent(task.number, event)))
                case TestJob():
                    with Path("test_split_read").open("a") as file:
                        print(job.trial.number, file=file)
                    answer = TestResult({"accuracy": 0.5}, 9)
            receive(Message(job.number, Done(answer)))

    def _train(self, task, until):
        """From where it stands, as one with a state.h5; at the end it says so again, as a worker does."""
        at = 1000.0 * (task.number + 1)
        before = len(epochs_of(Path(task.folder)))
        yield Started(at, os.getpid(), resumed_after=before)
        best = {"val_accuracy": 0.9 - task.number / 10, "val_loss": 0.3}
        for epoch in range(before + 1, until + 1):
            yield EpochEnded(at + epoch, epoch, {"loss": 1 / epoch, **best}, seconds=1.0)
        yield Paused(at + until, until, 1, best) if until < EPOCHS else Ended(at + until, "completed", None, 2, 1, best)

    def stop(self):
        pass

    kill = close = stop


def plan() -> Plan:
    def values(override):
        return [getattr(value, "text", value) for value in override.sweep_iterator()]

    return make_plan(OverridesParser.create().parse_overrides(LINE), lambda lines: composed(*lines), values)


def count_steps(last: int) -> None:
    """Has this process end right after its step `last`, and notes each in the file `steps`: a line of the ledger, the
    last of a trial's events, a transaction of the store that changes something, an artifact."""
    n, lock = 0, threading.Lock()

    def counted(function, describe):
        def step(*words, **settings):
            nonlocal n
            name = describe(words)
            result = function(*words, **settings)
            with lock:
                if name:
                    n += 1
                    with Path("steps").open("a") as file:
                        print(name, file=file)
                    if n == last:
                        os._exit(9)
            return result

        return step

    def appended(words):
        path = Path(f"/proc/self/fd/{words[0]}").readlink()
        if path.name not in ("ledger", "events.jsonl"):
            return None
        record = json.loads(words[1].splitlines()[-1])
        kind = record.get("record") or record.get("event")
        return None if kind in ("started", "epoch") else f"{path.name}: {kind}"

    def committed(words):
        return "commit" if words[1].in_transaction else None

    os.write = counted(os.write, appended)
    DefaultDialect.do_commit = counted(DefaultDialect.do_commit, committed)
    artifact = counted(LocalArtifactRepository.log_artifact, lambda words: f"artifact: {Path(words[1]).name}")
    LocalArtifactRepository.log_artifact = artifact


def forked(action) -> int:
    """The exit status of a child that does it."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        with Path("output").open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os._exit(action())
    finally:
        import traceback

        traceback.print_exc()
        os._exit(99)


def start(sweep: Plan, last: int = 0) -> int:
    def action():
        count_steps(last)
        return run(sweep, Stub())

    return forked(action)


def outcome() -> dict:
    """What MLflow, the ledger and the events of the trials have."""
    ledger = list(read(Path("outputs/sweeps/s/ledger")))
    ends = [[e["event"] for e in read(path)].count("ended") for path in Path("outputs/sweeps/s").glob("?/events.jsonl")]
    with closing(sqlite3.connect("outputs/mlflow.db")) as connection:
        tags = collections.defaultdict(dict)
        for run_id, key, value in connection.execute("SELECT run_uuid, key, value FROM tags"):
            tags[run_id][key] = value
        rows = list(connection.execute("SELECT run_uuid, status, lifecycle_stage FROM runs"))
        metrics = list(connection.execute("SELECT run_uuid, key, step, count(*) FROM metrics GROUP BY 1, 2, 3"))
    active = {run_id for run_id, _, stage in rows if stage == "active"}
    parents = {tags[run_id].get("mlflow.parentRunId") for run_id in active}
    return {
        "runs": sorted(
            (tags[r].get("trial", "parent"), status, tags[r]["status"]) for r, status, _ in rows if r in active
        ),
        "parents": len(parents - {None} - active),  # deleted, or never there
        "running": sum(status == "RUNNING" for _, status, _ in rows),
        "points": len([m for m in metrics if m[0] in active]),
        "doubled": sorted(key for run_id, key, _, n in metrics if run_id in active and n > 1),
        "ended": sorted((r["trial"], r["status"]) for r in ledger if r["record"] == "ended"),
        "ends": sorted(ends),
    }


def main(folder: Path) -> None:
    sweep = plan()
    folder.mkdir()

    def at(name: str) -> None:
        (folder / name).mkdir()
        os.chdir(folder / name)
        if name != "store":
            (folder / name / "outputs").mkdir()
            shutil.copy(folder / "store/outputs/mlflow.db", "outputs")

    at("store")
    with Path("output").open("w") as file, contextlib.redirect_stdout(file):
        assert run(sweep, Stub()) == 0  # in this process: what it imports, no child imports again
    with closing(sqlite3.connect("outputs/mlflow.db")) as connection:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs", "experiment_tags"):
            connection.execute(f"DELETE FROM {table}")
        connection.commit()
    at("whole")
    statuses = [start(sweep)]
    steps = Path("steps").read_text().splitlines()
    print(json.dumps({"step": "none", "statuses": statuses, **outcome()}), flush=True)
    statuses.append(start(sweep))
    reads = len(Path("test_split_read").read_text().splitlines())
    print(json.dumps({"step": "repeated", "statuses": statuses, "reads": reads, **outcome()}), flush=True)
    shutil.copy(folder / "store/outputs/mlflow.db", "outputs")
    print(json.dumps({"step": "an empty store", "statuses": [start(sweep)], **outcome()}), flush=True)
    for n, _ in enumerate(steps, start=1):
        at(str(n))
        statuses = [start(sweep, n)]
        step = Path("steps").read_text().splitlines()[n - 1]
        statuses.append(start(sweep))
        print(json.dumps({"step": f"{n} {step}", "statuses": statuses, **outcome()}), flush=True)
        shutil.rmtree(folder / str(n))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
