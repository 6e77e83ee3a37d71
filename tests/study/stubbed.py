"""A sweep whose trials are made up: for tests of what happens between them, at thousands of trials a second."""

import math
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.records import Ended, EpochEnded, Message, Paused, TrialEvent
from pipeline.search.planning import make_plan
from pipeline.study.interruption import Stop
from pipeline.study.ledger import Ledger
from pipeline.study.study import Study
from tests.conftest import composed


def arm_values(override):
    return [getattr(value, "text", value) for value in override.sweep_iterator()]


def plan_of(*lines):
    overrides = OverridesParser.create().parse_overrides(["dataset=blobs", "train.early_stopping=null", *lines])
    return make_plan(overrides, lambda pins: composed(*pins), arm_values)


@dataclass
class Stub:
    """Trains nothing. score: the val_accuracy of a config's trial after an epoch, by its number; NaN diverges.
    most: trials that end until the study is asked to stop, as by a kill."""

    score: object
    stop: Stop
    most: int = 10**6

    def __post_init__(self):
        self.cohorts = []

    def run(self, jobs, receive):
        for job in jobs:
            self.cohorts.append(sorted([*(task.number for task in job.trials), *job.ended]))
            for task in job.trials:
                if not self.most:
                    self.stop.requested = True
                    return
                self.most -= 1
                for event in self.events(task.config, job.until):
                    receive(Message(job.number, TrialEvent(task.number, event, logged=False)))

    def events(self, config, until):
        until = until if until and until < config.train.epochs else None
        epochs = range(1, (until or config.train.epochs) + 1)
        curve = [{"val_accuracy": (at := self.score(config, epoch)), "val_loss": 1 - at} for epoch in epochs]
        if math.isnan(curve[-1]["val_accuracy"]):
            return [Ended(1.0, "diverged", "it grew")]
        best = max(epochs, key=lambda epoch: curve[epoch - 1]["val_accuracy"])
        lines = [EpochEnded(1.0, epoch, metrics) for epoch, metrics in zip(epochs, curve)]
        end = (best, curve[best - 1])
        return [*lines, Paused(1.0, until, *end) if until else Ended(1.0, "completed", None, epochs[-1], *end)]


def run(folder, score, *lines, most=10**6):
    """The study after a start that is killed once `most` trials have ended, and what trained together in it."""
    folder.mkdir(exist_ok=True)
    plan, ledger, stop = plan_of(f"output_dir={folder}", *lines), Ledger(folder, what="it"), Stop()
    study, stub = Study(plan, folder, ledger), Stub(score, stop, most)
    study.run(stub, stop)
    ledger.close()
    return study, stub.cohorts


def trials(study):
    """What must not depend on kills."""
    return [
        (t.number, t.stage, t.arm, t.params, t.status, t.metrics.get("val_accuracy"))
        for t in study.ledger.trials.values()
    ]
