"""The durable record of a study: which trials were asked, handed out, ended, and how.

One JSON line a fact, fsynced before the next step. What is not in the ledger did not happen; what is stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import locks
from pipeline.errors import InputError
from pipeline.jsonl import JsonLines, read
from pipeline.records import Ended, Paused, Trial


class Ledger:
    """Opens or creates `folder`/ledger and replays it; it is a subscriber of its study.

    what, otherwise: how a message calls the study, and what it advises. file: None for a trial by itself, whose
    events.jsonl says all that there is to know.
    Raises InputError if another process has the study open.
    """

    def __init__(
        self, folder: Path, *, what: str, otherwise: str = "Wait for it.", file: str | None = "ledger"
    ) -> None:
        self.header: Mapping[str, object] | None = None
        self.parent_run: str | None = None
        self.regions: dict[str, Sequence[Mapping[str, str]]] = {}
        self.trials: dict[int, Trial] = {}
        try:
            self._lock = locks.exclusive(folder / ".lock", wait=False)
        except BlockingIOError:
            raise InputError(f"{what} is running in another process. {otherwise}") from None
        self._file: JsonLines | None = None
        if file:
            self._replay(folder / file)
            self._file = JsonLines(folder / file, durable=True)

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
            case "tracking":
                self.parent_run = record["run_id"]
            case "region":
                self.regions[record["stage"]] = record["arms"]
            case "asked":
                self.trials[record["trial"]] = Trial(record["trial"], record["stage"], record["arm"], record["params"])
            case "started":
                self._change(record, started=True)
            case "ended":
                self._change(record, **{key: record[key] for key in ("status", "reason", "metrics", "best_epoch")})
            case "reached":
                best = {key: record[key] for key in ("metrics", "best_epoch")}
                self._change(record, reached=record["epoch"], **best)
            case "recorded":
                self._change(record, run_id=record["run_id"])

    def _change(self, record: Mapping[str, Any], **facts: Any) -> None:
        """Sets facts of the trial that a record is of."""
        self.trials[record["trial"]] = replace(self.trials[record["trial"]], **facts)

    def _add(self, *facts: dict[str, object]) -> None:
        """Appends facts durably, then takes them as true."""
        if self._file:
            self._file.append(*facts)
        for fact in facts:
            self._apply(fact)

    def begin(self, header: Mapping[str, object]) -> None:
        self._add({"record": "study", "header": header})

    def note_parent_run(self, run_id: str) -> None:
        self._add({"record": "tracking", "run_id": run_id})

    def note_region(self, stage: str, arms: Sequence[Mapping[str, str]]) -> None:
        """Where the stage after `stage` looks, so that a reader sees why."""
        if stage not in self.regions:
            self._add({"record": "region", "stage": stage, "arms": arms})

    def ask(self, trials: Iterable[Trial]) -> None:
        keys = ("stage", "arm", "params")
        self._add(*({"record": "asked", "trial": t.number, **{key: getattr(t, key) for key in keys}} for t in trials))

    def hand_out(self, numbers: Iterable[int]) -> None:
        self._add(*({"record": "started", "trial": number} for number in numbers))

    def note_recorded(self, number: int, run_id: str) -> None:
        """All of a trial is in the tracking store."""
        self._add({"record": "recorded", "trial": number, "run_id": run_id})

    def on(self, trial: Trial | None, event: object) -> None:
        """A subscriber's hook: how a trial ended, or that it paused."""
        if trial is None:
            return
        match event:
            case Ended(status=status, reason=reason):
                fact = {"record": "ended", "trial": trial.number, "status": status, "reason": reason}
            case Paused(epochs=epochs):
                fact = {"record": "reached", "trial": trial.number, "epoch": epochs}
            case _:
                return
        self._add({**fact, "metrics": event.metrics, "best_epoch": event.best_epoch})

    def of_stage(self, stage: str) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.stage == stage]

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._lock.close()
