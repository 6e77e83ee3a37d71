"""Is the tracking store usable? Asked before anything trains, without importing MLflow, which takes seconds."""

import base64
import contextlib
import importlib.util
import json
import os
import re
import shlex
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlencode, urlsplit

from pipeline.errors import InputError
from pipeline.schema import Config
from pipeline.secret import masked
from pipeline.tracking.names import stored_value
from pipeline.tracking.store import SQLITE, is_plain, sqlite_path

LONGEST_EXPERIMENT = 500  # letters of its name that MLflow takes


def check_tracking(config: Config) -> None:
    """Raises InputError, before anything trains, if what is to be recorded could not be."""
    tracking = config.tracking
    if tracking.kind == "mlflow":
        if not tracking.uri or not tracking.experiment:
            raise InputError("tracking=mlflow needs tracking.uri and tracking.experiment.")
        if len(tracking.experiment) > LONGEST_EXPERIMENT:
            raise InputError(f"tracking.experiment={tracking.experiment[:40]}…: {LONGEST_EXPERIMENT} letters at most.")
        check_store(tracking.uri, Path(config.output_dir))
        check_experiment(tracking.uri, tracking.experiment)


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
    if not is_plain(path):
        raise InputError(
            f"tracking.uri={SQLITE}{path}: in the address of a database, a '?' begins options, and a '%' with two "
            f"digits is another letter.\nChoose an output_dir without them, or another file: tracking.uri={SQLITE}FILE."
        )
    for name in (path.absolute(), output_dir.absolute()):
        if str(name) != stored_value(name, len(str(name))):
            raise InputError(f"{str(name)!a} is not text (UTF-8), as which MLflow stores it. Rename that folder.")
    if not path.parent.exists() and path.parent.absolute() != output_dir.absolute():
        raise InputError(f"tracking.uri: {path}: there is no folder {path.parent}. Make it, or check the spelling.")
    folder = next((p for p in path.absolute().parents if p.exists()), Path("/"))
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"tracking.uri: {path} can't be created, because {folder} is not a folder to write in.")
    if not path.exists() or not path.stat().st_size:
        return
    if not os.access(path, os.R_OK | os.W_OK):
        raise InputError(f"tracking.uri: {path} can't be read and written. Check its permissions.")
    try:
        with _opened(path) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            versioned = "alembic_version" in tables
            versions = list(connection.execute("SELECT version_num FROM alembic_version")) if versioned else []
    except sqlite3.OperationalError as error:
        raise InputError(
            f"tracking.uri: {path} can't be read and written ({error}). Check its permissions, and whether another "
            "program holds it."
        ) from None
    except sqlite3.DatabaseError as error:
        raise InputError(f"tracking.uri: {path} is not a SQLite database ({error}). Move it away.") from None
    if tables and not {"experiments", "runs"} <= tables:
        raise InputError(f"tracking.uri: {path} is a SQLite database, but not MLflow's. Name another file.")
    if tables:
        _check_schema(path, str(versions[0][0]) if versions else "none")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """To be read and written: a process killed while it wrote has left a journal, which the next reader works off."""
    uri = f"file:{quote(str(path))}?mode=rw"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=60)) as connection:
        yield connection


def _check_schema(path: Path, version: str) -> None:
    """Raises InputError if the tables are not those of this MLflow, which would open none of them."""
    known, newest = schema_versions()
    if not newest or version == newest:
        return
    this = f"tracking.uri: {path} is of {'an earlier' if version in (*known, 'none') else 'a later'} MLflow"
    if version in (*known, "none"):
        raise InputError(
            f"{this} (its tables are of version {version}, needed is {newest}).\n"
            f"Keep a copy, then: mlflow db upgrade {shlex.quote(SQLITE + str(path))}   (or name another file)"
        )
    raise InputError(f"{this} (its tables are of version {version}, this one's {newest}). Name another file.")


def schema_versions() -> tuple[set[str], str | None]:
    """The versions of MLflow's tables, and the newest: read from its migrations, each of which names the one before."""
    package = importlib.util.find_spec("mlflow")  # which imports nothing
    folders = package.submodule_search_locations if package else None
    versions: set[str] = set()
    before: set[str] = set()
    for path in Path(*folders or ["."], "store/db_migrations/versions").glob("*.py"):
        for name, text in re.findall(r"^(revision|down_revision)\b.*?=(.*)$", path.read_text(), re.M):
            (versions if name == "revision" else before).update(re.findall(r"\w{8,}", text))
    newest = versions - before
    return versions, newest.pop() if len(newest) == 1 else None


def check_experiment(uri: str, name: str) -> None:
    """Raises InputError, with the command that restores it, for an experiment that was deleted: MLflow keeps its name,
    and takes no runs for it. Of a server that does not say, nothing is asked further."""
    path = sqlite_path(uri)
    state = None
    if path is None:
        state = _asked_of_server(uri, name)
    elif path.exists() and path.stat().st_size:
        with _opened(path) as connection:
            query = "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ? ORDER BY lifecycle_stage"
            state = connection.execute(query, [name]).fetchone()
    if state and state[1] == "deleted":
        address = shlex.quote(masked(uri))
        raise InputError(
            f"tracking.experiment={name} was deleted in the store. Name another, or restore it:\n"
            f"MLFLOW_TRACKING_URI={address} mlflow experiments restore --experiment-id {state[0]}"
        )


def _asked_of_server(uri: str, name: str) -> tuple[object, object] | None:
    """The id of an experiment and whether it was deleted; None if the server does not say."""
    from urllib.request import Request, urlopen  # a tenth of a second, for those with a server

    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return None
    host = parts.netloc.rpartition("@")[2]
    query = f"/api/2.0/mlflow/experiments/get-by-name?{urlencode({'experiment_name': name})}"
    request = Request(f"{parts.scheme}://{host}{parts.path.rstrip('/')}{query}")
    user = unquote(parts.username or "") or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = unquote(parts.password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urlopen(request, timeout=5) as answer:
            experiment = json.load(answer)["experiment"]
            return experiment["experiment_id"], experiment["lifecycle_stage"]
    except (OSError, ValueError, KeyError, TypeError):  # none of this name, or no access: MLflow says more
        return None
