"""How what is to be stored of runs comes into a tracking store: call by call through MLflow's client, or, into a
sqlite file, that of many runs in one transaction.

Of the 40 ms in which the client stores a trial of 20 epochs and 6 metrics, MLflow's objects take 30; in one
transaction of 64 trials it takes 4. The tables are those of the release that pyproject.toml pins, and the store has
them, or MLflow would not have opened it.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.tracking.store import sqlite_path

RUNNING = "RUNNING"
NAME = "mlflow.runName"


@dataclass(frozen=True)
class MetricPoint:
    """A value of a metric."""

    name: str
    value: float
    time: int  # milliseconds since 1970
    step: int


@dataclass
class RunWrite:
    """What is to be stored of a run, besides what it has. Doing so twice stores it once."""

    run_id: str | None  # None: the run is made, and gets one
    began: int | None = None  # of a run that is made, in milliseconds since 1970; None: now
    params: Mapping[str, str] = field(default_factory=dict)  # all of them, or none: as they are
    tags: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[MetricPoint] = ()
    status: str | None = None  # MLflow's; None: as it is
    ended: int | None = None  # with a status that is an end


class RunStore(Protocol):
    """Where runs of one experiment are stored."""

    at_once: int  # runs that are worth to be stored together
    replaces_params: bool  # whether a run that has parameters may get others

    def write(self, writes: Sequence[RunWrite]) -> None: ...

    def file(self, run_id: str, path: Path) -> None:
        """Adds a file to a run's artifacts."""


class ByClient:
    """Any store, a server's too."""

    at_once = 1
    replaces_params = False

    def __init__(self, client: Any, experiment_id: str) -> None:
        self._client, self._experiment_id = client, experiment_id

    def write(self, writes: Sequence[RunWrite]) -> None:
        """In as few calls as MLflow's limits allow, for each costs milliseconds."""
        from mlflow.entities import Metric, Param, RunTag

        for write in writes:
            tags = [RunTag(*item) for item in write.tags.items()]
            if write.run_id is None:
                run = self._client.create_run(self._experiment_id, write.began, dict(write.tags))
                write.run_id, tags = run.info.run_id, []
            params = [Param(*item) for item in write.params.items()]
            metrics = [Metric(p.name, p.value, p.time, p.step) for p in write.points]
            while metrics or tags or params:
                self._client.log_batch(write.run_id, metrics=metrics[:800], tags=tags[:100], params=params[:100])
                metrics, tags, params = metrics[800:], tags[100:], params[100:]
            if write.status == RUNNING:
                self._client.update_run(write.run_id, status=RUNNING)
            elif write.status:
                self._client.set_terminated(write.run_id, write.status, write.ended)

    def file(self, run_id: str, path: Path) -> None:
        self._client.log_artifact(run_id, str(path))


class BySqlite:
    """A sqlite file, by statements of our own in MLflow's tables."""

    at_once = 64
    replaces_params = True

    def __init__(self, client: Any, experiment_id: str) -> None:
        self._store = client._tracking_client.store
        self._experiment_id = int(experiment_id)
        self._location = str(client.get_experiment(experiment_id).artifact_location)

    def write(self, writes: Sequence[RunWrite]) -> None:
        from mlflow.store.tracking.dbmodels import models
        from sqlalchemy import delete, insert, update
        from sqlalchemy.dialects import sqlite

        new = [write for write in writes if write.run_id is None]
        ids = {id(write): write.run_id or uuid.uuid4().hex for write in writes}
        params, tags, metrics = [], [], []
        latest: dict[tuple[str, str], dict[str, Any]] = {}
        for write in writes:
            run_id = ids[id(write)]
            params += [{"run_uuid": run_id, "key": key, "value": value} for key, value in write.params.items()]
            tags += [{"run_uuid": run_id, "key": key, "value": value} for key, value in write.tags.items()]
            for point in write.points:
                is_nan, value = self._store.sanitize_metric_value(point.value)
                at = {"step": point.step, "timestamp": point.time, "value": value, "is_nan": is_nan}
                row = {"run_uuid": run_id, "key": point.name, **at}
                metrics.append(row)
                before = latest.setdefault((run_id, point.name), row)
                if (row["step"], row["timestamp"], value) > (before["step"], before["timestamp"], before["value"]):
                    latest[run_id, point.name] = row
        with self._store.ManagedSessionMaker(read_only=False) as session:
            self._check_active(session, [write.run_id for write in writes if write.run_id is not None])
            for write in writes:
                if write.params and write.run_id is not None:
                    table = models.SqlParam.__table__
                    session.execute(delete(table).where(table.c.run_uuid == ids[id(write)]))
            for statement, rows in (
                (insert(models.SqlRun.__table__), [self._row(write, ids[id(write)]) for write in new]),
                (insert(models.SqlParam.__table__), params),
                (insert(models.SqlTag.__table__).prefix_with("OR REPLACE"), tags),
                (insert(models.SqlMetric.__table__).prefix_with("OR IGNORE"), metrics),
                (_newest(sqlite.insert(models.SqlLatestMetric.__table__)), list(latest.values())),
            ):
                if rows:
                    session.execute(statement, rows)
            for write in writes:
                if write.status:
                    values = {"status": write.status} | ({} if write.ended is None else {"end_time": write.ended})
                    table = models.SqlRun.__table__
                    session.execute(update(table).where(table.c.run_uuid == ids[id(write)]).values(values))
        for write in new:
            write.run_id = ids[id(write)]

    def _check_active(self, session: Any, run_ids: Sequence[str]) -> None:
        """Raises as MLflow does for what was deleted meanwhile."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
        from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlRun

        runs = session.query(SqlRun.run_uuid).filter(SqlRun.run_uuid.in_(run_ids), SqlRun.lifecycle_stage == "active")
        experiments = session.query(SqlExperiment.lifecycle_stage)
        (stage,) = experiments.filter(SqlExperiment.experiment_id == self._experiment_id).one()
        if stage != "active" or len(runs.all()) < len(run_ids):
            what = "the experiment" if stage != "active" else "a run"
            raise MlflowException(f"{what} was deleted meanwhile", RESOURCE_DOES_NOT_EXIST)

    def _row(self, write: RunWrite, run_id: str) -> dict[str, object]:
        """A run as MLflow makes one."""
        from mlflow.utils.uri import append_to_uri_path

        return {
            "run_uuid": run_id,
            "name": write.tags[NAME],
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": "unknown",
            "status": RUNNING,
            "start_time": write.began or int(1000 * time.time()),
            "source_version": "",
            "lifecycle_stage": "active",
            "artifact_uri": append_to_uri_path(self._location, run_id, "artifacts"),
            "experiment_id": self._experiment_id,
        }

    def file(self, run_id: str, path: Path) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.utils.uri import append_to_uri_path

        get_artifact_repository(append_to_uri_path(self._location, run_id, "artifacts")).log_artifact(str(path))


def _newest(statement: Any) -> Any:
    """Of a metric that has a value already, the one of the later step, then time; of equal ones the larger."""
    from sqlalchemy import tuple_

    new, columns = statement.excluded, statement.table.c
    return statement.on_conflict_do_update(
        index_elements=["key", "run_uuid"],
        set_={name: new[name] for name in ("value", "timestamp", "step", "is_nan")},
        where=tuple_(new.step, new.timestamp, new.value) > tuple_(columns.step, columns.timestamp, columns.value),
    )


def run_store(client: Any, uri: str, experiment_id: str) -> RunStore:
    kind = ByClient if sqlite_path(uri) is None else BySqlite
    return kind(client, experiment_id)
