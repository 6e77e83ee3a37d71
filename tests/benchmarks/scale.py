"""A report without a peer: what the parent takes a trial, from the first thousand of a sweep to the last.

No trial trains: a stub does what a worker would, as fast as it can, and its own time is not counted.
"""

import contextlib
import gc
import itertools
import json
import os
import random
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.records import (
    DataFacts,
    Done,
    Ended,
    EpochEnded,
    Event,
    Job,
    LoadJob,
    Message,
    Report,
    Started,
    TestJob,
    TestResult,
    TrainJob,
    TrialEvent,
    TrialTask,
)
from pipeline.search.samplers.sampler import Outcome, Point, Sampler, Search
from pipeline.workers.executor import Receive

TRIALS, EPOCHS, PARTS = 10_000, 3, 10
LINE = (
    "sweep.name=s", "tracking=none", "dataset=blobs", f"train.epochs={EPOCHS}", "train.early_stopping=null",
    "allowed_targets=[pipeline.,keras.optimizers.,tests.benchmarks.scale.]",
)  # fmt: skip
SAMPLERS = {
    "generations of 64": "sweep.sampler={_target_:tests.benchmarks.scale.Climber}",
    "all at once": "sweep.sampler={_target_:pipeline.search.samplers.random.Random}",
}


class Climber(Sampler):
    """Draws around the best point that it was told of: it learns, and takes no time."""

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        self.best: Outcome | None = None
        self.random = random.Random(0)

    @property
    def generation(self) -> int:
        return 64

    def ask(self, n: int) -> Sequence[Point]:
        points = []
        for _ in range(n):
            at = {key: dist.place(self.random.random()) for key, dist in self.search.spaces[0].items()}
            if self.best:
                at = {key: (value + self.best.coordinates[key]) / 2 for key, value in at.items()}
            points.append(Point(0, at))
        return points

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        best = max(outcomes, key=lambda outcome: outcome.score or 0.0)
        if self.best is None or (best.score or 0.0) > (self.best.score or 0.0):
            self.best = best


class Stub:
    """Reports what a worker would, with the same files first; counts its own seconds, and when trials end."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0  # its own
        self.ends: list[tuple[float, float, int]] = []  # seconds and seconds of CPU of the parent; bytes of memory

    def run(self, jobs: Iterable[Job], receive: Receive) -> None:
        for job in jobs:
            answer = None
            match job:
                case LoadJob(configs=configs):
                    answer = (DataFacts("data", "made for this report", {}, {}),) * len(configs)
                case TrainJob(trials=tasks):
                    for task in tasks:
                        for event in self._train(task):
                            receive(Message(job.number, TrialEvent(task.number, event)))
                        self.ends.append(self.parent())
                case TestJob():
                    answer = TestResult({"accuracy": 0.5}, 9)
            report: Report = Done(answer)
            receive(Message(job.number, report))

    def parent(self) -> tuple[float, float, int]:
        return time.perf_counter() - self.seconds, time.process_time() - self.cpu, resident()

    def _train(self, task: TrialTask) -> list[Event]:
        began, cpu, now = time.perf_counter(), time.process_time(), time.time()
        rate = float(task.config.optimizer.arguments["learning_rate"])
        best = {"val_accuracy": 1 / (1 + abs(rate - 0.01)), "val_loss": rate}
        events: list[Event] = [Started(now, os.getpid())]
        events += [EpochEnded(now, epoch, {"loss": rate, **best}, seconds=0.1) for epoch in range(1, EPOCHS + 1)]
        events.append(Ended(now, "completed", None, EPOCHS, EPOCHS, best, seconds=0.3))
        lines = "".join(f"{json.dumps(event.to_json())}\n" for event in events)
        Path(task.folder, "events.jsonl").write_text(lines)
        self.seconds += time.perf_counter() - began
        self.cpu += time.process_time() - cpu
        return events

    def stop(self) -> None:
        pass

    kill = close = stop


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def scale(folder: Path, options: Namespace) -> Iterator[str]:
    """Milliseconds of the parent a trial by thousand, its memory, and the seconds of a sweep's end and its resume."""
    folder.mkdir(parents=True)
    n_trials = options.trials or TRIALS
    for name, sampler in SAMPLERS.items():
        line = [
            sys.executable,
            "-m",
            "tests.benchmarks.scale",
            str(folder / name.replace(" ", "_")),
            str(n_trials),
            sampler,
        ]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        yield f"{name}, {n_trials} trials:"
        yield from (done.stdout if done.returncode == 0 else done.stderr).splitlines()


def main(folder: Path, n_trials: int, sampler: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from pipeline.search.planning import make_plan
    from pipeline.study.start import run
    from tests.conftest import composed

    gc.enable()  # which tests leave off until all is imported
    folder.mkdir(parents=True)
    os.chdir(folder)

    for start in ("first", "again"):
        overrides = OverridesParser.create().parse_overrides([*LINE, f"sweep.n_trials={n_trials}", sampler])
        plan = make_plan(overrides, lambda lines: composed(*lines), lambda override: [])
        gc.collect()
        stub, began = Stub(), time.perf_counter()
        points = [stub.parent()]
        with Path("output").open("w") as file, contextlib.redirect_stdout(file):
            assert run(plan, stub) == 0
        ended = stub.parent()
        if start == "again":
            print(f"  resumed when all is done: {time.perf_counter() - began:.1f} s")
            return
        points += stub.ends[n_trials // PARTS - 1 :: n_trials // PARTS]
        for i, (first, last) in enumerate(itertools.pairwise(points), start=1):
            seconds, cpu = (1000 * (last[k] - first[k]) / (n_trials // PARTS) for k in (0, 1))
            memory = (last[2] - points[0][2]) / 2**20
            until = i * n_trials // PARTS
            print(f"  to trial {until:>6}: {seconds:6.2f} ms a trial, {cpu:6.2f} of CPU; {memory:6.1f} MiB")
        seconds, cpu, memory = (ended[k] - points[-1][k] for k in range(3))
        print(f"  the end: {seconds:.1f} s, {cpu:.1f} of CPU; {memory / 2**20:.1f} MiB more")


REPORTS = {"scale": scale}

if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
