"""The durable record of a sweep: which trials were asked, started, ended, and how.

One JSON line a fact, fsynced before the next step. What is not in the ledger did not happen; what is stays.
"""

import fcntl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.jsonl import JsonLines, read


@dataclass
class Trial:
    """One configuration. params: searched and crossed keys; status None: asked but not ended."""

    number: int
    stage: str
    arm: int
    params: dict[str, Any]
    started: bool = False
    status: str | None = None
    reason: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    reached: int = 0  # the rung's epoch at which it last paused
    run_id: str | None = None  # in the tracking store, once all of it is there


class Ledger:
    """Opens or creates `folder`/ledger and replays it.

    Raises InputError if another process has the sweep open.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "ledger"
        self.header: dict[str, Any] | None = None
        self.parent_run: str | None = None
        self.regions: dict[str, Any] = {}
        self.trials: dict[int, Trial] = {}
        self._lock = (folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise InputError(f"sweep.name={folder.name} is running in another process. Use another name.") from None
        for number, record in enumerate(read(path), start=1):
            try:
                self._apply(record)
            except (KeyError, TypeError):
                raise InputError(f"{path}: record {number} is none of a ledger's. Restore the file.") from None
        self._file = JsonLines(path, durable=True)

    def _apply(self, record: dict[str, Any]) -> None:
        kind = record["record"]
        if kind == "study":
            self.header = record["header"]
        elif kind == "tracking":
            self.parent_run = record["run_id"]
        elif kind == "region":
            self.regions[record["stage"]] = record["arms"]
        elif kind == "asked":
            self.trials[record["trial"]] = Trial(record["trial"], record["stage"], record["arm"], record["params"])
        elif kind == "started":
            self.trials[record["trial"]].started = True
        elif kind == "ended":
            trial = self.trials[record["trial"]]
            trial.status, trial.reason = record["status"], record["reason"]
            trial.metrics, trial.best_epoch = record["metrics"], record["best_epoch"]
        elif kind == "reached":
            trial = self.trials[record["trial"]]
            trial.reached = record["epoch"]
            trial.metrics, trial.best_epoch = record["metrics"], record["best_epoch"]
        elif kind == "recorded":
            self.trials[record["trial"]].run_id = record["run_id"]

    def add(self, *records: dict[str, Any]) -> None:
        """Appends facts durably, then takes them as true."""
        self._file.append(*records)
        for record in records:
            self._apply(record)

    def ask(self, trials: list[Trial]) -> None:
        self.add(
            *[
                {"record": "asked", "trial": t.number, "stage": t.stage, "arm": t.arm, "params": t.params}
                for t in trials
            ]
        )

    def close(self) -> None:
        self._file.close()
        self._lock.close()
