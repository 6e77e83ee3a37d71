"""A store that can't be used is refused before training, with its name, and is left as it was."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from pipeline.errors import InputError
from pipeline.schema import Tracking
from pipeline.tracking import store


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
        store.check_store(f"sqlite:///{path}", tmp_path)
    assert "mlflow.db" in str(refused.value)
    assert before is None or path.read_bytes() == before


def test_a_read_only_store_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"x")
    path.chmod(0o400)
    # Root, as whom tests may run, is let through whatever the file's mode says.
    monkeypatch.setattr(os, "access", lambda p, mode: p != path or not mode & os.W_OK)
    with pytest.raises(InputError, match="can't be read and written"):
        store.check_store(f"sqlite:///{path}", tmp_path)


def test_an_absent_store_is_fine_where_it_can_be_made(tmp_path):
    store.check_store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    store.check_store(f"sqlite:///{tmp_path}/new/mlflow.db", tmp_path / "new")
    with pytest.raises(InputError, match="there is no folder"):
        store.check_store(f"sqlite:///{tmp_path}/wrong/mlflow.db", tmp_path / "new")


@pytest.mark.parametrize("uri", [None, "", "mlruns", "file:///srv/mlruns", "ftp://host/x", "http://"])
def test_what_is_no_store_address_is_refused(uri, tmp_path):
    with pytest.raises(InputError, match="is not a tracking store"):
        store.check_store(uri, tmp_path)


def test_a_server_that_does_not_answer_is_refused(tmp_path):
    with pytest.raises(InputError, match="no tracking server answers there"):
        store.check_store("http://127.0.0.1:9", tmp_path)


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
        connection.execute("CREATE TABLE runs (a)")
        connection.executemany("INSERT INTO runs VALUES (?)", [(bytes(999),)] * 200)
        connection.commit()
    done = subprocess.run([sys.executable, "-c", KILLED, path])
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "mlflow.db-journal").stat().st_size
    store.check_store(f"sqlite:///{path}", tmp_path)
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
            store.check_store(f"sqlite:///{path}", tmp_path)


@pytest.mark.parametrize("name", ["50%25.db", "a b.db", "what?.db", "#1.db", "é.db"])
def test_any_name_of_a_file_is_looked_up_as_it_is(tmp_path, name):
    (tmp_path / name).write_bytes(b"hello" * 99)
    with pytest.raises(InputError, match="is not a SQLite database"):
        store.check_store(f"sqlite:///{tmp_path / name}", tmp_path)
