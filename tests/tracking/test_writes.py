"""A sqlite file gets the very rows that MLflow's client writes, and refuses what the client refuses."""

import math
import sqlite3
from contextlib import closing

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.tracking.writes import NAME, RUNNING, ByClient, BySqlite, MetricPoint, RunWrite

TABLES = {  # -> what tells its rows apart, but for the run
    "runs": "name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, deleted_time,"
    " source_version, lifecycle_stage, experiment_id",
    "tags": "key, value",
    "params": "key, value",
    "metrics": "key, value, timestamp, step, is_nan",
    "latest_metrics": "key, value, timestamp, step, is_nan",
}


def points(*values):
    return [MetricPoint(name, value, at, step) for name, value, at, step in values]


def steps(ids):
    """What is stored of two runs, one go after another: `ids` has their ids once they are made."""
    yield [
        RunWrite(None, 1000 + n, {"rate": f"0.{n}", "none": ""}, {NAME: f"run {n}", "kind": "trial"}) for n in range(2)
    ]
    yield [
        RunWrite(ids[0], points=points(("loss", 0.5, 7, 1), ("loss", 0.25, 8, 2), ("nan", math.nan, 8, 2))),
        RunWrite(ids[1], points=points(("loss", math.inf, 7, 1), ("loss", -math.inf, 9, 2))),
    ]
    yield [  # said again, with one more; and an earlier step later
        RunWrite(ids[0], points=points(("loss", 0.25, 8, 2), ("loss", 0.125, 9, 3), ("nan", math.nan, 8, 2))),
        RunWrite(ids[1], points=points(("loss", 0.1, 20, 1), ("whole", 3, 9, 0), ("whole", 2, 9, 0))),
    ]
    yield [
        RunWrite(ids[0], tags={"kind": "other", "status": "completed"}, status="FINISHED", ended=5000),
        RunWrite(ids[1], tags={"status": "interrupted"}, status="KILLED", ended=6000),
    ]
    yield [RunWrite(ids[1], status=RUNNING)]
    yield [RunWrite(ids[0], points=points(*((f"m{i}", i / 7, 10, 1) for i in range(1001))))]


def rows(path):
    """Of all tables, with runs by their names."""
    with closing(sqlite3.connect(path)) as connection:
        names = dict(connection.execute("SELECT run_uuid, name FROM runs"))
        found = {
            table: sorted(
                (names[run_id], *row) for run_id, *row in connection.execute(f"SELECT run_uuid, {columns} FROM {table}")
            )
            for table, columns in TABLES.items()
        }
        for run_id, where in connection.execute("SELECT run_uuid, artifact_uri FROM runs"):
            found[names[run_id]] = where.replace(run_id, "ID")
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("stores") / "mlflow.db"


@pytest.fixture
def client(store):
    return MlflowClient(f"sqlite:///{store}")


def test_rows_are_those_that_the_client_writes(client, store, tmp_path):
    written = {}
    for kind in (ByClient, BySqlite):
        experiment = client.create_experiment(kind.__name__, str(tmp_path / "artifacts"))
        runs, ids = kind(client, experiment), ["", ""]
        for writes in steps(ids):
            runs.write(writes)
            ids[: len(writes)] = [write.run_id for write in writes]
        (tmp_path / "config.yaml").write_text("seed: 0")
        runs.file(ids[0], tmp_path / "config.yaml")
        assert (tmp_path / f"artifacts/{ids[0]}/artifacts/config.yaml").read_text() == "seed: 0"
        written[kind] = {**rows(store), "runs": [row[:-1] for row in rows(store)["runs"]]}
        for run_id in ids:
            client.delete_run(run_id)
        with closing(sqlite3.connect(store)) as connection:  # for the next one
            for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
                connection.execute(f"DELETE FROM {table}")
            connection.commit()
    assert written[BySqlite] == written[ByClient]
    assert len(written[BySqlite]["metrics"]) == 1001 + 3 + 1 + 5


def test_a_write_is_stored_whole_or_not_at_all(client):
    runs = BySqlite(client, client.create_experiment("whole"))
    runs.write([kept := RunWrite(None, tags={NAME: "kept"})])
    client.delete_run(kept.run_id)
    new = RunWrite(None, tags={NAME: "new"})
    with pytest.raises(MlflowException, match="a run was deleted meanwhile") as refused:
        runs.write([new, RunWrite(kept.run_id, tags={"status": "completed"})])
    assert (refused.value.error_code, new.run_id) == ("RESOURCE_DOES_NOT_EXIST", None)
    assert "status" not in client.get_run(kept.run_id).data.tags


def test_nothing_is_stored_in_an_experiment_that_was_deleted_meanwhile(client):
    runs = BySqlite(client, experiment := client.create_experiment("gone"))
    client.delete_experiment(experiment)
    with pytest.raises(MlflowException, match="the experiment was deleted meanwhile"):
        runs.write([RunWrite(None, tags={NAME: "new"})])


def test_parameters_may_be_others_where_nobody_refuses_that(client):
    runs = BySqlite(client, client.create_experiment("params"))
    runs.write([run := RunWrite(None, params={"a": "1", "b": "2"}, tags={NAME: "sweep"})])
    runs.write([RunWrite(run.run_id, tags={"n": "1"})])
    assert client.get_run(run.run_id).data.params == {"a": "1", "b": "2"}
    runs.write([RunWrite(run.run_id, params={"a": "3", "c": "4"})])
    assert client.get_run(run.run_id).data.params == {"a": "3", "c": "4"}
