"""The time that a sweep has, over all its starts: what is begun, when it must have paused, and what was used."""

import contextlib
import json
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline import cache, clock
from pipeline.jsonl import write_atomically
from pipeline.layout import counted
from pipeline.limits import seconds_of
from pipeline.records import Ended, EpochEnded, Paused, Trial
from pipeline.schema import Config
from pipeline.search.plan import Plan
from pipeline.study.cohorts import SMALLEST_SHARE
from pipeline.study.forecast import between, work
from pipeline.study.ledger import Ledger
from pipeline.tracking.display import duration
from pipeline.tracking.subscriber import Occurrence

NOTED_EVERY = 2.0  # seconds after which the ledger has what was used: that much a kill may lose
# What follows training, in seconds: the table, the winner's test and the pictures; each model.h5; each trial that is
# recorded as all of a cohort pause at once; the end of the process. How much of it this machine takes is remembered.
CONCLUDING, EXPORTING, RECORDING, EXITING = 2.5, 0.3, 0.03, 1.0
FIXED = 0.2  # of an epoch's time of a cohort, what does not fall with its number of trials
SAFE = 1.1  # times what the last generation took


@dataclass
class _Handed:
    """A cohort as it was handed out."""

    load: float  # beside others: how much an epoch of it takes
    n_trials: int
    at: float
    epoch: int | None = None  # the first that ended
    ended_at: float = 0.0  # when that was


class Budget:
    """A subscriber that measures what cohorts take, and notes in the ledger what all starts have used."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        sweep = plan.config.sweep
        self.total = None if sweep.budget is None or plan.single else seconds_of(sweep.budget)
        self.more = False  # whether a stage that fills it, and was come to, has trials that were not asked for
        self._ledger, self._earlier, self._noted = ledger, ledger.spent, time.time()
        self._models, self._ratio = sweep.keep_models, _remembered()
        self._handed: dict[int, _Handed] = {}  # by trial, those that train
        self._measured: dict[float, tuple[float, float]] = {}  # load of a cohort -> seconds of its start, of an epoch
        self._generation: tuple[int, float] | None = None  # how many trials were asked last, and when

    @property
    def used(self) -> float:
        """Seconds of all starts."""
        return self._earlier + time.time() - clock.began()

    def deadline(self, more: int = 0) -> float | None:
        """By when the trials that train now, and so many more, must have paused, in seconds since 1970; None without a
        budget."""
        if self.total is None:
            return None
        after = self._ratio * self._concluding(len(self._handed) + more) + EXITING
        return clock.began() + self.total - self._earlier - after

    def _concluding(self, n_trials: int) -> float:
        known = len(self._ledger.trials)
        exported = known if self._models is None else min(self._models, known)
        return CONCLUDING + EXPORTING * exported + RECORDING * n_trials

    def _left(self, more: int) -> float:
        """Seconds for training."""
        deadline = self.deadline(more)
        return math.inf if deadline is None else deadline - time.time()

    def fitting(self, configs: Sequence[Config], epochs: int, *, whole: bool = False) -> int:
        """How many trials of a cohort to begin, each for `epochs`: as many as are forecast to end in time. Where not
        one can, all, to be paused, if there is time for an epoch; 0 if not. whole: all are begun, or none."""
        n, left = len(configs), self._left(len(configs))
        if left == math.inf:
            return n
        if left <= 0 or not self._measured:
            return n if left > 0 else 0
        start, epoch = self._forecast(configs)
        if start + epochs * epoch <= left:
            return n
        ending = 0 if whole else _share(n, left - start, epochs * epoch)
        return ending or (n if start + epoch <= left else 0)

    def room(self, size: int) -> int:
        """How many trials, of a generation of `size`, to ask for next: as many as are likely to end in time, by what
        the last generation took. Where not one is, a few, to be paused, if there is time for an epoch; 0 if not."""
        left, before = self._left(size), self._generation
        n = size if left > 0 else 0
        if n and before and self._measured:
            took = time.time() - before[1]
            start = min(took / 2, max(start for start, _ in self._measured.values()))  # which no fewer trials shorten
            n = min(size, _share(before[0], left - start, SAFE * (took - start)))
            if not n:
                least = min(start + epoch for start, epoch in self._measured.values())
                n = min(size, SMALLEST_SHARE) if least <= left else 0
        self._generation = n, time.time()
        return n

    def hand_out(self, numbers: Sequence[int], configs: Sequence[Config]) -> None:
        """These trials are about to train."""
        handed = _Handed(_load(configs), len(configs), time.time())
        self._handed |= dict.fromkeys(numbers, handed)

    def _forecast(self, configs: Sequence[Config]) -> tuple[float, float]:
        """Seconds of a cohort before its first epoch and of each epoch, from those that were measured."""
        load, known = _load(configs), self._measured
        start = between(load, [(at, start) for at, (start, _) in known.items()])
        epoch = between(load, [(at, epoch) for at, (_, epoch) in known.items()])
        below = FIXED + (1 - FIXED) * min(1.0, load / min(known))
        return start, epoch * below * max(1.0, load / max(known))

    def on(self, trial: Trial | None, event: Occurrence) -> None:
        if trial is None:
            return
        match event:
            case EpochEnded() if trial.number in self._handed:
                self._take(self._handed[trial.number], event)
            case Paused() | Ended():
                self._handed.pop(trial.number, None)
        self._note_in_time()

    def _take(self, handed: _Handed, event: EpochEnded) -> None:
        seconds = event.cohort_seconds or event.seconds * handed.n_trials
        if handed.epoch is None:
            handed.epoch, handed.ended_at = event.epoch, event.time
            start = max(0.0, event.time - handed.at - seconds)
            self._measured.setdefault(handed.load, (start, seconds))
        elif event.epoch == handed.epoch + 1:  # nothing is compiled in it
            self._measured[handed.load] = (max(0.0, handed.ended_at - handed.at - seconds), seconds)

    @contextlib.contextmanager
    def noted(self, look_every: float = NOTED_EVERY) -> Iterator[None]:
        """Also notes what was used while no trial says anything, as in an epoch that takes minutes."""
        over = threading.Event()

        def look() -> None:
            with contextlib.suppress(OSError):  # of a full disk the next fact tells
                while not over.wait(look_every):
                    self._note_in_time()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _note_in_time(self) -> None:
        if time.time() - self._noted >= NOTED_EVERY:
            self.note()

    def note(self) -> None:
        self._noted = time.time()
        self._ledger.note_spent(self.used, self.total)

    def summary(self, name: str) -> str | None:
        """What a sweep of that name has used of its time, and what is left to do; None without a budget."""
        if self.total is None:
            return None
        trials = self._ledger.trials.values()
        counts = {"paused": 0, "not begun": 0}
        for trial in trials:
            if trial.status is None:
                counts["paused" if trial.started else "not begun"] += 1
        line = f"budget: {duration(self.used)} of {duration(self.total)} used, {counted(len(trials), 'trial')}"
        line += "".join(f", {n} {what}" for what, n in counts.items() if n)
        more = any(counts.values()) or self.more
        return line + (f"; a larger sweep.budget with sweep.name={name} goes on" if more else "")

    def conclude(self, since: float, n_trials: int) -> None:
        """Remembers what has followed training since then, where that was of `n_trials`."""
        self.note()
        with contextlib.suppress(OSError):
            path = cache.file("concluding.json")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, [json.dumps((time.time() - since) / self._concluding(n_trials)).encode()])


def _share(n: int, left: float, takes: float) -> int:
    """How many of `n` trials end in the seconds that are left, where all take longer or not, with what is fixed."""
    takes = max(takes, 1e-6)  # a clock may not have moved
    return max(0, int(n * (left / takes - FIXED) / (1 - FIXED)))


def _load(configs: Sequence[Config]) -> float:
    """A cohort costs what its widest trial costs, for each."""
    return len(configs) * max(map(work, configs))


def _remembered() -> float:
    """How many times the seconds above this machine has taken."""
    try:
        return min(10.0, max(0.2, float(json.loads(cache.file("concluding.json").read_bytes()))))
    except (OSError, ValueError, TypeError):
        return 1.0
