"""The tracking store: its address, and its making."""

import contextlib
import gc
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline import locks
from pipeline.schema import Tracking
from pipeline.secret import masked

SQLITE = "sqlite:///"


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite store; None for a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def absolute(uri: str) -> str:
    """The same store from whatever folder: MLflow keeps connections by their address, for the process's next study."""
    path = sqlite_path(uri)
    return uri if path is None or not is_plain(Path.cwd()) else f"{SQLITE}{path.absolute()}"


def is_plain(path: Path) -> bool:
    """Whether a path reads the same as (part of) an address: there `?` begins options, and `%3f` is one letter."""
    return "?" not in str(path) and unquote(str(path)) == str(path)


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
    port = re.search(r":(\d+)/?$", tracking.ui or "")
    other = port[1] if port and port[1] != "5000" else None
    if uri == "sqlite:///outputs/mlflow.db":
        return f"   (after `make ui{f' PORT={other}' if other else ''}`)"
    return f"   (after `mlflow ui --backend-store-uri {masked(uri)}{f' --port {other}' if other else ''}`)"


def connect(uri: str, experiment: str, artifacts: Path) -> tuple[Any, str]:
    """MLflow's client of the store and the experiment's id; both are made if need be, with artifacts in `artifacts`."""
    import logging

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own default blocks for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    first = "mlflow.tracking" not in sys.modules
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
        if first:
            # Of MLflow's million objects none is garbage: to look at them again and again stops all threads for 0.4 s.
            gc.freeze()
        if known := client.get_experiment_by_name(experiment):
            return client, known.experiment_id
        # A server knows itself where artifacts go.
        location = _location(artifacts.absolute()) if path is not None else None
        return client, client.create_experiment(experiment, artifact_location=location)


def _location(folder: Path) -> str:
    """A folder as MLflow finds it again: it reads a `%` as in an address, and would write into another one."""
    return str(folder) if unquote(str(folder)) == str(folder) and str(folder).isprintable() else folder.as_uri()


@contextlib.contextmanager
def _lock(path: Path | None) -> Iterator[None]:
    """Only one process creates or migrates a database: started together, all of them fail."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(path.with_suffix(".lock"), wait=True):
        yield
