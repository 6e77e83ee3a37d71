"""The durable record of a study: which trials were asked, handed out, ended, and how.

One JSON line a fact, fsynced before the next step; ends, of which there are many and the trials' own events tell too,
with the next fact that is no end, or within a second. What is not in the ledger did not happen; what is stays.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import locks
from pipeline.errors import InputError
from pipeline.events import STATUSES
from pipeline.jsonl import JsonLines, read
from pipeline.records import DataFacts, Ended, Paused, Promotion, TestResult, Trial
from pipeline.search.stopping import Decision
from pipeline.search.transfer import Start

NAME = "ledger"


class History:
    """What a ledger says, for a reader: nothing is locked, so that a sweep may be looked at while it runs.

    path: None for a ledger of which nothing was written.
    """

    def __init__(self, path: Path | None) -> None:
        self.header: Mapping[str, object] | None = None
        self.identity: str | None = None  # which tells the sweep from any other, of the same name or folder
        self.parent_run: str | None = None
        self.start: Start | None = None  # what was taken over from another sweep
        self.data: list[DataFacts] = []  # of each arm, so far as a reader of the sweep wants to know
        self.versions: Mapping[str, str] = {}  # of the libraries, when the sweep was started last
        self.tested: dict[int, TestResult] = {}  # by trial: winners, each when it was one
        self.schedules: dict[int, Sequence[Mapping[str, object]]] = {}  # that winners of populations followed
        self.spent = 0.0  # seconds of all starts
        self.budget: float | None = None  # seconds that all starts had, by the last one; None: as many as they took
        self.regions: dict[str, Sequence[Mapping[str, str]]] = {}  # of the stage after one, by arm
        # Where such a region goes past the box before it, by arm: fields of pipeline.search.refine.Widening. An earlier
        # version widened none, and noted nothing.
        self.widened: dict[str, Sequence[Sequence[Mapping[str, object]]]] = {}
        self.decisions: dict[str, Decision] = {}  # by stage: whether the search goes on after it
        self.finalists: Sequence[int] = []  # trials that were replicated when all had ended, with each of these seeds
        self.seeds: Sequence[int] = []
        self.trials: dict[int, Trial] = {}
        if path:
            self._replay(path)

    def _replay(self, path: Path) -> None:
        for number, record in enumerate(read(path), start=1):
            try:
                self._apply(record)
            except (KeyError, TypeError):
                raise InputError(f"{path}: record {number} is none of a ledger's. Restore the file.") from None

    def _apply(self, record: Mapping[str, Any]) -> None:
        match record["record"]:
            case "study":
                self.header = record["header"]
            case "identity":
                self.identity = record["id"]
            case "tracking":
                if record["run_id"] != self.parent_run:  # a new one has no runs yet
                    self.trials = {number: replace(trial, run_id=None) for number, trial in self.trials.items()}
                self.parent_run = record["run_id"]
            case "data":
                self.data = [
                    DataFacts(a["fingerprint"], a["description"], {}, {}, (), tuple(a["validation_counts"]))
                    for a in record["arms"]
                ]
                self.versions = record["versions"]
            case "tested":
                self.tested[record["trial"]] = TestResult(record["metrics"], record["n"])
            case "spent":
                self.spent, self.budget = record["seconds"], record.get("budget")
            case "region":
                self.regions[record["stage"]] = record["arms"]
                if "widened" in record:
                    self.widened[record["stage"]] = record["widened"]
            case "decision":
                facts = {key: record[key] for key in ("trial", "replicates", "gain", "noise", "stops")}
                self.decisions[record["stage"]] = Decision(**facts)
            case "finalists":
                self.finalists = record["trials"]
                self.seeds = record["seeds"]
            case "start":
                self.start = Start.from_json(record)
            case "schedule":
                self.schedules[record["trial"]] = record["periods"]
            case "asked":
                number = record["trial"]
                self.trials[number] = Trial(
                    number,
                    record["stage"],
                    record["arm"],
                    record["params"],
                    pair=record.get("pair"),
                    replicate_of=record.get("replicate_of"),
                )
            case "started":
                self._change(record, started=True, paused=False)
                self.tested.pop(record["trial"], None)  # of a trial that goes on, it was another model
            case "ended":
                end = {key: record[key] for key in ("status", "reason", "metrics", "best_epoch")}
                if end["status"] not in STATUSES:
                    raise KeyError
                self._change(record, lacked=record.get("lacked"), paused=False, **end)
            case "again":
                fresh = {"status": None, "reason": None, "lacked": None, "run_id": None}
                self._change(record, metrics={}, best_epoch=0, reached=0, rungs={}, **fresh)
            case "reached":
                best = {key: record[key] for key in ("metrics", "best_epoch")}
                rungs = {**self.trials[record["trial"]].rungs, record["epoch"]: record["metrics"]}
                self._change(record, reached=record["epoch"], paused=True, rungs=rungs, **best)
            case "promoted":
                trial = self.trials[record["trial"]]
                more = Promotion(record["asked"], trial.reached, trial.metrics)
                fresh = {"status": None, "reason": None, "run_id": None}
                self._change(record, paused=True, promotions=(*trial.promotions, more), **fresh)
            case "recorded":
                self._change(record, run_id=record["run_id"])

    def _change(self, record: Mapping[str, Any], **facts: Any) -> None:
        """Sets facts of the trial that a record is of."""
        self.trials[record["trial"]] = replace(self.trials[record["trial"]], **facts)

    @property
    def sampled(self) -> list[Trial]:
        """The trials that a sampler chose; the others are their replicates, which have their stage and arm."""
        return [trial for trial in self.trials.values() if trial.replicate_of is None]

    def of_stage(self, stage: str) -> list[Trial]:
        return [trial for trial in self.sampled if trial.stage == stage]


SYNC_SECONDS = 1.0


class Ledger(History):
    """Opens or creates `folder`/ledger and replays it; it is a subscriber of its study.

    what, otherwise: how a message calls the study, and what it advises. file: None for a trial by itself, whose
    events.jsonl says all that there is to know.
    Raises InputError if another process has the study open.
    """

    def __init__(self, folder: Path, *, what: str, otherwise: str = "Wait for it.", file: str | None = NAME) -> None:
        try:
            self._lock = locks.exclusive(folder / ".lock", wait=False)
        except BlockingIOError:
            raise InputError(f"{what} is running in another process. {otherwise}") from None
        super().__init__(folder / file if file else None)
        self._synced = time.monotonic()
        self._adding = threading.Lock()  # the recorder's thread notes what it has stored
        self._file = JsonLines(folder / file, durable=True) if file else None

    def _add(self, *facts: dict[str, object], waits: bool = False) -> None:
        """Appends facts durably, then takes them as true. waits: whether they may become durable with later ones."""
        if not facts:
            return
        with self._adding:
            now = time.monotonic()
            waits = waits and now - self._synced < SYNC_SECONDS
            if self._file:
                self._file.append(*facts, waits=waits)
            self._synced = self._synced if waits else now
            for fact in facts:
                self._apply(fact)

    def begin(self, header: Mapping[str, object], start: Start | None = None) -> None:
        first: dict[str, object] = {"record": "study", "header": header}
        self._add(*([first, {"record": "start", **start.to_json()}] if start else [first]))

    def identify(self, identity: str) -> None:
        """Before the tracking store has it: whoever finds it there may be killed before noting its parent run."""
        self._add({"record": "identity", "id": identity})

    def note_parent_run(self, run_id: str) -> None:
        self._add({"record": "tracking", "run_id": run_id})

    def note_data(self, arms: Sequence[DataFacts], versions: Mapping[str, str]) -> None:
        """What is trained on, and with what, as far as a report says it."""
        known = [DataFacts(a.fingerprint, a.description, {}, {}, (), a.validation_counts) for a in arms]
        if (known, versions) != (self.data, self.versions):
            keys = ("fingerprint", "description", "validation_counts")
            facts = [{key: getattr(arm, key) for key in keys} for arm in known]
            self._add({"record": "data", "arms": facts, "versions": versions})

    def note_tested(self, number: int, result: TestResult) -> None:
        """The test split was read for a trial, which is not done again."""
        self._add({"record": "tested", "trial": number, "metrics": result.metrics, "n": result.n})

    def note_spent(self, seconds: float, budget: float | None) -> None:
        """What all starts have taken so far, of which budget."""
        of = {} if budget is None else {"budget": budget}
        self._add({"record": "spent", "seconds": round(seconds, 3), **of})

    def note_decision(self, stage: str, decision: Decision) -> None:
        """Whether the search goes on after a stage: a resumed sweep decides the same."""
        self._add({"record": "decision", "stage": stage, **vars(decision)})

    def note_finalists(self, trials: Sequence[int], seeds: Sequence[int]) -> None:
        if (trials, seeds) != (self.finalists, self.seeds):
            self._add({"record": "finalists", "trials": trials, "seeds": seeds})

    def note_region(
        self, stage: str, arms: Sequence[Mapping[str, str]], wider: Sequence[Sequence[Mapping[str, object]]]
    ) -> None:
        """Where the stage after `stage` looks, so that a reader sees why."""
        if stage not in self.regions:
            self._add({"record": "region", "stage": stage, "arms": arms, "widened": wider})

    def note_schedule(self, number: int, periods: Sequence[Mapping[str, object]]) -> None:
        """The hyperparameters that led to the best epoch of a winner, period by period."""
        if self.schedules.get(number) != periods:
            self._add({"record": "schedule", "trial": number, "periods": periods})

    def ask(self, trials: Iterable[Trial]) -> None:
        facts = []
        for trial in trials:
            fact = {"record": "asked", "trial": trial.number, "stage": trial.stage, "arm": trial.arm}
            more = {"pair": trial.pair, "replicate_of": trial.replicate_of}
            facts.append({**fact, "params": trial.params, **{k: v for k, v in more.items() if v is not None}})
        self._add(*facts)

    def hand_out(self, numbers: Iterable[int]) -> None:
        self._add(*({"record": "started", "trial": number} for number in numbers))

    def lacking(self) -> list[Trial]:
        """Those that ended for want of disk or memory and may start again: not of a stage from whose results the next
        one's region has followed, which stays as it is, nor a replicate from which it followed whether there is one."""
        decisive = {number for decision in self.decisions.values() for number in decision.replicates}
        return [
            trial
            for trial in self.trials.values()
            if trial.lacked
            and (trial.stage not in self.regions if trial.replicate_of is None else trial.number not in decisive)
        ]

    def start_again(self, numbers: Iterable[int]) -> None:
        """Trials that had ended for want of disk or memory have not ended."""
        self._add(*({"record": "again", "trial": number} for number in numbers))

    def promote(self, number: int, asked: int) -> None:
        """A pruned trial goes on. asked: how many trials its stage has by then; more, if a later stage has begun."""
        self._add({"record": "promoted", "trial": number, "asked": asked})

    def note_recorded(self, run_ids: Mapping[int, str]) -> None:
        """All of these trials, by number, is in the tracking store."""
        self._add(*({"record": "recorded", "trial": number, "run_id": run_id} for number, run_id in run_ids.items()))

    def on(self, trial: Trial | None, event: object) -> None:
        """A subscriber's hook: how a trial ended, or that it paused."""
        if trial is None:
            return
        match event:
            case Ended(status=status, reason=reason):
                fact = {"record": "ended", "trial": trial.number, "status": status, "reason": reason}
                fact |= {"lacked": event.lacked} if event.lacked else {}
            case Paused(epochs=epochs):
                fact = {"record": "reached", "trial": trial.number, "epoch": epochs}
            case _:
                return
        self._add({**fact, "metrics": event.metrics, "best_epoch": event.best_epoch}, waits=True)

    def close(self) -> None:
        if self._file:
            self._file.sync()
            self._file.close()
        self._lock.close()
