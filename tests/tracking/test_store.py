"""A store that can't be used is refused before training, with its name, and is left as it was."""

import base64
import contextlib
import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.errors import InputError
from pipeline.schema import Tracking
from pipeline.tracking import store, store_checks


def other_database(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a)")


FILES = {
    "text": (lambda p: p.write_text("hello" * 99), "is not a SQLite database"),
    "torn": (lambda p: p.write_bytes(b"SQLite format 3\0" + b"\1" * 500), "is not a SQLite database"),
    "another program's": (other_database, "not MLflow's"),
    "a folder": (lambda p: p.mkdir(), "not a SQLite database|can't be read"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_store_is_refused_by_name(kind, tmp_path):
    make, reason = FILES[kind]
    path = tmp_path / "mlflow.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InputError, match=reason) as refused:
        store_checks.check_store(f"sqlite:///{path}", tmp_path)
    assert "mlflow.db" in str(refused.value)
    assert before is None or path.read_bytes() == before


def test_a_read_only_store_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"x")
    path.chmod(0o400)
    # Root, as whom tests may run, is let through whatever the file's mode says.
    monkeypatch.setattr(os, "access", lambda p, mode: p != path or not mode & os.W_OK)
    with pytest.raises(InputError, match="can't be read and written"):
        store_checks.check_store(f"sqlite:///{path}", tmp_path)


def test_an_absent_store_is_fine_where_it_can_be_made(tmp_path):
    store_checks.check_store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    store_checks.check_store(f"sqlite:///{tmp_path}/new/mlflow.db", tmp_path / "new")
    with pytest.raises(InputError, match="there is no folder"):
        store_checks.check_store(f"sqlite:///{tmp_path}/wrong/mlflow.db", tmp_path / "new")


@pytest.mark.parametrize("uri", [None, "", "mlruns", "file:///srv/mlruns", "ftp://host/x", "http://"])
def test_what_is_no_store_address_is_refused(uri, tmp_path):
    with pytest.raises(InputError, match="is not a tracking store"):
        store_checks.check_store(uri, tmp_path)


def test_a_server_that_does_not_answer_is_refused(tmp_path):
    with pytest.raises(InputError, match="no tracking server answers there"):
        store_checks.check_store("http://127.0.0.1:9", tmp_path)


@pytest.mark.parametrize(
    ("uri", "address", "hint"),
    [
        ("sqlite:///outputs/mlflow.db", "http://127.0.0.1:5000", "   (after `make ui`)"),
        ("sqlite:///mine.db", "http://127.0.0.1:5000", "   (after `mlflow ui --backend-store-uri sqlite:///mine.db`)"),
        ("http://127.0.0.1:5987/", "http://127.0.0.1:5987", ""),
    ],
)
def test_the_printed_address_is_that_of_the_store(uri, address, hint):
    tracking = Tracking("mlflow", uri, ui="http://127.0.0.1:5000")
    assert (store.ui(tracking), store.ui_hint(tracking)) == (address, hint)


@pytest.mark.parametrize("name", ["what?.db", "50%25.db", "a?b/mlflow.db"])
def test_a_name_that_reads_otherwise_in_an_address_is_refused(name, tmp_path):
    """MLflow would open another file, and fail for a minute."""
    with pytest.raises(InputError, match=r"in the address of a database, a '\?' begins options") as refused:
        store_checks.check_store(f"sqlite:///{tmp_path / name}", (tmp_path / name).parent)
    assert name in str(refused.value)


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\\udcff' is not text \(UTF-8\)"):
        store_checks.check_store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / os.fsdecode(b"\xff"))


VERSIONS = {  # of MLflow's tables -> what is said
    "451aebb31d03": "is of an earlier MLflow .*\n.*: mlflow db upgrade sqlite:///",
    None: "is of an earlier MLflow .*\n.*: mlflow db upgrade sqlite:///",
    "ffffffffffff": "is of a later MLflow .* Name another file",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_tables_of_another_mlflow_are_refused(version, tmp_path):
    path = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE experiments (a)")
        connection.execute("CREATE TABLE runs (a)")
        if version:
            connection.execute("CREATE TABLE alembic_version AS SELECT ? AS version_num", [version])
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(InputError, match=VERSIONS[version]):
        store_checks.check_store(f"sqlite:///{path}", tmp_path)
    assert path.read_bytes() == before


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as MLflow's does, to whoever has its password."""

    def do_GET(self):
        name = parse_qs(urlsplit(self.path).query)["experiment_name"][0]
        known = self.headers["Authorization"] == "Basic " + base64.b64encode(b"me:pass").decode()
        self.send_response(200 if known else 401)
        self.end_headers()
        stage = {"experiment": {"experiment_id": "7", "lifecycle_stage": name}}
        self.wfile.write(json.dumps(stage if name != "absent" else {}).encode() if known else b"no")

    def log_message(self, *words):
        pass


def test_a_server_is_asked_whether_the_experiment_was_deleted():
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        for user, name in (("me:pass@", "active"), ("me:pass@", "absent"), ("", "deleted")):
            store_checks.check_experiment(f"http://{user}{host}", name)
        with pytest.raises(InputError, match="restore --experiment-id 7") as refused:
            store_checks.check_experiment(f"http://me:pass@{host}", "deleted")
        server.shutdown()
    assert f"MLFLOW_TRACKING_URI='http://…@{host}'" in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("sqlite:///outputs/mlflow.db", "   (after `make ui PORT=5001`)"),
        ("sqlite:///mine.db", "   (after `mlflow ui --backend-store-uri sqlite:///mine.db --port 5001`)"),
    ],
)
def test_the_store_is_shown_on_the_port_that_the_address_has(uri, hint):
    assert store.ui_hint(Tracking("mlflow", uri, ui="http://127.0.0.1:5001")) == hint


KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA cache_size = 1")  # what is written does not wait for the commit
connection.execute("INSERT INTO runs SELECT randomblob(999) FROM runs")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_store_whose_writer_was_killed_is_used_again(tmp_path):
    """SQLite takes back what was half-written, which it can't where it may only read."""
    path = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE experiments (a)")
        connection.execute(
            "CREATE TABLE alembic_version AS SELECT ? AS version_num", [store_checks.schema_versions()[1]]
        )
        connection.execute("CREATE TABLE runs (a)")
        connection.executemany("INSERT INTO runs VALUES (?)", [(bytes(999),)] * 200)
        connection.commit()
    done = subprocess.run([sys.executable, "-c", KILLED, path])
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "mlflow.db-journal").stat().st_size
    store_checks.check_store(f"sqlite:///{path}", tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (200,)


def test_a_store_that_another_program_holds_is_not_taken_for_garbage(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *words, **settings: real(*words, **{**settings, "timeout": 0.1}))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE runs (a)")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"can't be read and written \(database is locked\)"):
            store_checks.check_store(f"sqlite:///{path}", tmp_path)


@pytest.mark.parametrize("name", ["50%.db", "a b.db", "#1.db", "é.db"])
def test_any_name_of_a_file_is_looked_up_as_it_is(tmp_path, name):
    (tmp_path / name).write_bytes(b"hello" * 99)
    with pytest.raises(InputError, match="is not a SQLite database"):
        store_checks.check_store(f"sqlite:///{tmp_path / name}", tmp_path)
