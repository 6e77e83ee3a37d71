"""Kills a population again and again, and starts it again: what is there then, a line a life.

    python -m tests.faults.population FOLDER

One process imports everything, and forks for each start, which is killed by SIGKILL after a step that it stores. No
model trains: a few numbers that follow from the hyperparameters do, in what a worker runs.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.eventlog import epochs_of, exploits_of, last_event
from pipeline.jsonl import JsonLines, remove_temporary
from pipeline.objective import Objective
from pipeline.records import Ended, Started, Trial
from pipeline.search.exploration import evolution
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Interval
from pipeline.study.lineage import schedule
from pipeline.training.checkpoint import load_population
from pipeline.training.loop import Member
from pipeline.training.population.loop import PopulationLoop
from pipeline.training.progress import Progress
from tests.workers.jobs import config

SIZE, EPOCHS, KILLS, STEPS = 6, 45, 20, 1
RATE, MOMENTUM = "optimizer.learning_rate", "optimizer.momentum"
SPACE = {RATE: Interval(1e-3, 1.0, LOG), MOMENTUM: Interval(0.5, 0.99, ONE_MINUS_LOG)}


class Numbers:
    """As the hyperparameters of a graph, but there is none."""

    def __init__(self):
        self.layers, self.optimizer, self.label_smoothing = {}, {"momentum": np.zeros(SIZE)}, np.zeros(SIZE)

    def set(self, place, params):
        self.optimizer["momentum"][place] = params[MOMENTUM]


class Trainer:
    """Heavy balls in a bowl, which leave it at large rates."""

    size, waited = SIZE, 0.0

    def __init__(self):
        self.weights_, self.slots = np.full(SIZE, 3.0), np.zeros(SIZE)

    def epoch(self, rates, should_stop):
        with np.errstate(all="ignore"):
            for _ in range(8):
                self.slots = self.momentum * self.slots - rates[:, 0] * 4 * self.weights_
                self.weights_ = self.weights_ + self.slots
            loss = np.where(self.weights_**2 < 12, self.weights_**2, np.nan)
        return [{"loss": float(v), "val_loss": float(v), "val_accuracy": 1 / (1 + float(v))} for v in loss]

    def weights(self, i):
        return [self.weights_[i : i + 1].copy()]

    def state(self, i):
        return {"model/0000": self.weights_[i], "optimizer/0000": self.slots[i]}

    def copy(self, sources):
        self.weights_, self.slots = self.weights_[sources], self.slots[sources]

    def set_numbers(self, layers, optimizer, label_smoothing):
        self.momentum = optimizer["momentum"].copy()

    def whole(self):
        return [self.weights_, self.slots]

    def set_whole(self, arrays):
        self.weights_, self.slots = arrays


def start(folder: Path, last: int, checkpoint_seconds: float) -> None:
    """Trains whoever has not ended; this process is killed right after its step `last`."""
    n = 0

    def step() -> None:
        nonlocal n
        n += 1
        if n == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function):
        def both(*words):
            result = function(*words)
            step()
            return result

        return both

    os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
    remove_temporary(folder)
    own = config({"sweep.population": {"every": 3, "fraction": 0.34}, "train.epochs": EPOCHS})
    trials = [Trial(i, "s", 0, {key: dist.at((i + 0.5) / SIZE) for key, dist in SPACE.items()}) for i in range(SIZE)]
    path = folder / "population-0.h5"
    saved = load_population(path, "mine")
    logs = {i: JsonLines(folder / str(i) / "events.jsonl", durable=False) for i in range(SIZE)}

    def emit(number, event):
        logs[number].append(event.to_json())
        step()

    def finished(member, outcome):
        emit(member.number, Ended(time.time(), outcome.status, outcome.reason, member.progress.epoch))

    unended = [i for i in range(SIZE) if not isinstance(last_event(folder / str(i)), Ended)]
    for i in unended:
        emit(i, Started(time.time(), os.getpid(), resumed_after=saved.progress[i].epoch if saved else 0))
    members = [
        Member(i, None, None, folder / str(i) / "state.h5", "", lambda e, i=i: emit(i, e), Progress()) for i in unended
    ]
    PopulationLoop(
        Trainer(),
        members,
        unended,
        epochs=EPOCHS,
        objective=Objective("val_loss", "minimize"),
        checkpoint_seconds=checkpoint_seconds,
        finished=finished,
        evolution=evolution(own, SPACE, trials),
        configs=dict.fromkeys(range(SIZE), own),
        numbers=Numbers(),
        steps=STEPS,
        path=path,
        identity="mine",
        saved=saved,
    ).run()


def forked(*arguments) -> int:
    """The exit status of a child that starts."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 99
    try:
        start(*arguments)
        status = 0
    finally:
        if status:
            import traceback

            traceback.print_exc()
        os._exit(status)


def outcome(folder: Path) -> dict:
    """Everything that no kill may change."""
    result = {"curves": [], "exploits": [], "ends": [], "schedules": []}
    for i in range(SIZE):
        own = folder / str(i)
        result["curves"].append(
            [[e.epoch, e.metrics["val_loss"], e.learning_rate, e.hyperparameters] for e in epochs_of(own)]
        )
        result["exploits"].append([[e.epoch, e.source, e.params] for e in exploits_of(own)])
        result["ends"].append(last_event(own).status)
        result["schedules"].append([period.plain() for period in schedule(folder, i, EPOCHS)])
    return result


def main(folder: Path) -> None:
    whole: dict = {}
    for life, kills in enumerate((0, KILLS)):
        own = folder / str(life)
        for i in range(SIZE):
            (own / str(i)).mkdir(parents=True)
        rng, statuses, intact = random.Random(life), [], True
        for _ in range(kills):
            statuses.append(forked(own, rng.randrange(1, 55), rng.choice([0.0, 0.002])))
            # What it has come to is the beginning of what it comes to undisturbed.
            now = [[[e.epoch, e.source, e.params] for e in exploits_of(own / str(i))] for i in range(SIZE)]
            intact &= all(mine == theirs[: len(mine)] for mine, theirs in zip(now, whole["exploits"], strict=True))
        statuses.append(forked(own, 0, 0.0))
        whole = outcome(own)
        print(json.dumps({"statuses": statuses, "intact": intact, **whole}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
