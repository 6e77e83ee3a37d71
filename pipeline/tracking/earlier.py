"""What earlier processes left in the tracking store."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.tracking import owner
from pipeline.tracking.names import stored_value

RANK = "rank"  # the metric by which the trials of a sweep are in the leaderboard's order: MLflow sorts by one alone
MOST = 50_000  # runs, or experiments, of an answer: the most that MLflow gives


def close_abandoned(client: Any) -> None:
    """Ends every run whose process is gone and could not do so: by kill -9, Ctrl-C twice, a lost terminal or power."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments(max_results=MOST)]
    for run in client.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=MOST):
        if owner.is_gone(run.data.tags.get(owner.TAG, "")):
            client.set_tag(run.info.run_id, "status", "interrupted")
            client.set_terminated(run.info.run_id, "KILLED")


@dataclass(frozen=True)
class Kept:
    """What of an earlier start stays."""

    parent_id: str | None = None
    recorded: frozenset[int] = frozenset()  # trials of which the store has all
    run_ids: Mapping[int, str] = field(default_factory=dict)  # theirs
    ranks: Mapping[int, float] = field(default_factory=dict)  # theirs, where they have one


@dataclass(frozen=True)
class EarlierStart:
    """What the disk knows of how an earlier start of the same study was recorded."""

    sweep_id: str | None = None  # None: it is a run by itself
    parent_id: str | None = None  # as noted; a kill may have come before that
    recorded: frozenset[int] = frozenset()
    folder: str = ""  # of a run by itself
    ended: bool = False  # the run by itself

    def settle(self, client: Any, experiment_id: str) -> Kept:
        """Looks for it in the store, which may have been deleted, or be another one; deletes the runs that are not
        whole: their trials are forwarded afresh."""
        if self.sweep_id is None:
            rows = list(self._of_folder(client, experiment_id))
            if self.ended and any(self._is_whole(client, row) for row in rows):
                return Kept(recorded=frozenset({0}))
            _delete(client, rows)
            return Kept()
        parent_id = self._parent(client, experiment_id)
        recorded = self.recorded if parent_id == self.parent_id else frozenset()
        run_ids: dict[int, str] = {}
        ranks: dict[int, float] = {}
        for parent in dict.fromkeys(filter(None, (self.parent_id, parent_id))):
            rows = client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=MOST)
            numbers = {row.info.run_id: int(row.data.tags.get("trial", -1)) for row in rows}
            _delete(client, [row for row in rows if numbers[row.info.run_id] not in recorded])
            kept = [row for row in rows if numbers[row.info.run_id] in recorded]
            run_ids |= {numbers[row.info.run_id]: row.info.run_id for row in kept}
            ranks |= {numbers[row.info.run_id]: row.data.metrics[RANK] for row in kept if RANK in row.data.metrics}
        return Kept(parent_id, recorded, run_ids, ranks)

    def _parent(self, client: Any, experiment_id: str) -> str | None:
        """The noted parent, or one that an earlier start made without living to note it."""
        if self.parent_id:
            with _absent():
                info = client.get_run(self.parent_id).info
                if info.lifecycle_stage == "active" and info.experiment_id == experiment_id:
                    return self.parent_id
        rows = client.search_runs([experiment_id], f"tags.sweep_id = '{self.sweep_id}'", max_results=1)
        return rows[0].info.run_id if rows else None

    def _is_whole(self, client: Any, row: Any) -> bool:
        """Whether a run has its end, and the model, which is stored last."""
        if row.info.status == "RUNNING" or row.data.tags.get("status", "interrupted") == "interrupted":
            return False
        stored = {artifact.path for artifact in client.list_artifacts(row.info.run_id)}
        return "model.h5" in stored or not Path(self.folder, "model.h5").exists()

    def _of_folder(self, client: Any, experiment_id: str) -> Iterator[Any]:
        """The runs of the folder; of a filter, a path's own quotes would be the end."""
        folder = stored_value(self.folder)
        pattern = folder.replace("'", "_")  # any letter
        for row in client.search_runs([experiment_id], f"tags.folder LIKE '{pattern}'", max_results=MOST):
            if row.data.tags["folder"] == folder:
                yield row


@contextlib.contextmanager
def _absent() -> Iterator[None]:
    """Passes over a run that the store does not know."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _delete(client: Any, rows: list[Any]) -> None:
    for row in rows:
        if row.info.status == "RUNNING":
            client.set_terminated(row.info.run_id, "KILLED")  # for who looks at deleted runs
        client.delete_run(row.info.run_id)
