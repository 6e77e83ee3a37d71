"""The tracking store: is it usable (asked before anything trains, without importing MLflow), and its making."""

import contextlib
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline import locks
from pipeline.errors import InputError
from pipeline.schema import Config, Tracking
from pipeline.secret import masked

SQLITE = "sqlite:///"


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite store; None for a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def absolute(uri: str) -> str:
    """The same store from whatever folder: MLflow keeps connections by their address, for the process's next study."""
    path = sqlite_path(uri)
    if path is None or "?" in str(Path.cwd()):  # where options would begin
        return uri
    return f"{SQLITE}{path.absolute()}"


def ui(tracking: Tracking) -> str:
    """Where the MLflow UI of the store is: a server shows its own."""
    uri = tracking.uri or ""
    server = re.sub("://…@", "://", masked(uri.rstrip("/")))  # whoever opens it is asked for user and password
    return server if uri.startswith(("http://", "https://")) else str(tracking.ui)


def ui_hint(tracking: Tracking) -> str:
    """What must be started for that address to answer, in brackets; empty for a server."""
    uri = tracking.uri or ""
    if uri.startswith(("http://", "https://")):
        return ""
    if uri == "sqlite:///outputs/mlflow.db":
        return "   (after `make ui`)"
    return f"   (after `mlflow ui --backend-store-uri {masked(uri)}`)"


def check_tracking(config: Config) -> None:
    """Raises InputError, before anything trains, if what is to be recorded could not be."""
    tracking = config.tracking
    if tracking.kind == "mlflow":
        if not tracking.uri or not tracking.experiment:
            raise InputError("tracking=mlflow needs tracking.uri and tracking.experiment.")
        check_store(tracking.uri, Path(config.output_dir))


def check_store(uri: str | None, output_dir: Path) -> None:
    """Raises InputError, naming the file or address, if the store is missing, unreadable or not MLflow's.

    A database that does not exist is made later if its folder is there; only `output_dir` is made for it.
    """
    path = sqlite_path(uri or "")
    if path is not None:
        return _check_file(path, output_dir)
    parts = urlsplit(uri or "")
    if parts.scheme not in ("http", "https", "postgresql+psycopg2", "mysql+pymysql") or not parts.hostname:
        raise InputError(
            f"tracking.uri={masked(str(uri))} is not a tracking store. Allowed: sqlite:///FILE, http://HOST:PORT, "
            "https://HOST, or tracking=none."
        )
    if parts.scheme in ("http", "https"):
        try:
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        except ValueError as error:
            raise InputError(masked(f"tracking.uri={uri}: {error}.")) from None
        try:
            socket.create_connection((parts.hostname, port), timeout=5).close()
        except OSError as error:
            raise InputError(
                f"tracking.uri={masked(str(uri))}: no tracking server answers there ({error.strerror or error}). "
                "Start it, or use tracking=mlflow without a uri for the embedded store, or tracking=none."
            ) from None
    return None


def _check_file(path: Path, output_dir: Path) -> None:
    if not path.parent.exists() and path.parent.absolute() != output_dir.absolute():
        raise InputError(f"tracking.uri: {path}: there is no folder {path.parent}. Make it, or check the spelling.")
    folder = next((p for p in path.absolute().parents if p.exists()), Path("/"))
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"tracking.uri: {path} can't be created, because {folder} is not a folder to write in.")
    if not path.exists() or not path.stat().st_size:
        return
    if not os.access(path, os.R_OK | os.W_OK):
        raise InputError(f"tracking.uri: {path} can't be read and written. Check its permissions.")
    # To be read and written: a process killed while it wrote has left a journal, which whoever reads next works off.
    uri = f"file:{quote(str(path))}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=60)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    except sqlite3.OperationalError as error:
        raise InputError(
            f"tracking.uri: {path} can't be read and written ({error}). Check its permissions, and whether another "
            "program holds it."
        ) from None
    except sqlite3.DatabaseError as error:
        raise InputError(f"tracking.uri: {path} is not a SQLite database ({error}). Move it away.") from None
    if tables and not {"experiments", "runs"} <= tables:
        raise InputError(f"tracking.uri: {path} is a SQLite database, but not MLflow's. Name another file.")


def connect(uri: str, experiment: str, artifacts: Path) -> tuple[Any, str]:
    """MLflow's client of the store and the experiment's id; both are made if need be, with artifacts in `artifacts`."""
    import logging

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own default blocks for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    from mlflow.tracking import MlflowClient  # takes seconds, for which no other process need wait

    for name in ("alembic", "mlflow"):  # whose levels the import sets
        logging.getLogger(name).setLevel(logging.ERROR)
    uri = absolute(uri)
    path = sqlite_path(uri)
    with _lock(path):
        if path is not None and not path.exists():
            # Made beside it and moved: a database whose first migration is cut off, by Ctrl-C or a mistake found
            # meanwhile, can never be opened again.
            new = path.with_suffix(".new")
            for leftover in (new, new.with_name(new.name + "-journal")):
                leftover.unlink(missing_ok=True)
            MlflowClient(f"{SQLITE}{new}").search_experiments()
            new.replace(path)
        client = MlflowClient(uri)
        if known := client.get_experiment_by_name(experiment):
            return client, known.experiment_id
        # A server knows itself where artifacts go.
        location = str(artifacts.absolute()) if path is not None else None
        return client, client.create_experiment(experiment, artifact_location=location)


@contextlib.contextmanager
def _lock(path: Path | None) -> Iterator[None]:
    """Only one process creates or migrates a database: started together, all of them fail."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(path.with_suffix(".lock"), wait=True):
        yield
