"""A secret that comes from the environment is used; no message shows it and no file holds it."""

import pytest

from pipeline.schema import Tracking
from pipeline.secret import masked
from pipeline.tracking.store import ui
from tests.conftest import TINY, composed, files, here

SECRET = "hunter2-and-more"
ENV = "${oc.env:CAVIAR_SECRET}"


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("CAVIAR_SECRET", SECRET)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://me:{SECRET}@host/x: down", "https://…@host/x: down"),
        (f"https://host/{SECRET}/x", f"https://host/{ENV}/x"),
        (f"bad port '{SECRET}@host'", f"bad port '{ENV}@host'"),
        ("https://me:typed@host", "https://…@host"),
        ("sqlite:///outputs/mlflow.db", "sqlite:///outputs/mlflow.db"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
    ],
)
def test_a_message_about_an_address_shows_no_secret(text, shown):
    assert composed(f"tracking.uri='{ENV}'").config.tracking.uri == SECRET
    assert masked(text) == shown


def test_the_address_of_a_servers_pages_has_no_password():
    assert ui(Tracking("mlflow", f"https://me:{SECRET}@host/")) == "https://host"


@pytest.mark.parametrize("mode", [[], ["-m"]], ids=["run", "sweep"])
@pytest.mark.parametrize(
    "uri",
    [
        f"http://me:{ENV}@127.0.0.1:9",
        f"http://127.0.0.1:9/{ENV}",
        f"ftp://me:{ENV}@host",
        f"{ENV}",
        f"http://x:{ENV}@h:a",
    ],
)
def test_a_server_that_does_not_answer_is_named_without_the_secret(mode, uri, tmp_path):
    result = here(*mode, f"tracking.uri='{uri}'", "executor=inline", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("tracking.uri=")
    assert SECRET not in result.stdout + result.stderr
    assert files(tmp_path) == []


@pytest.mark.parametrize("mode", [[], ["-m", "sweep.n_trials=1", "sweep.name=x"]], ids=["run", "sweep"])
def test_no_file_of_a_run_holds_the_secret(mode, tmp_path):
    line = [*TINY, "train.epochs=1", "tracking=none", f"tracking.experiment='{ENV}'", "executor=inline"]
    result = here(*mode, *line, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert SECRET not in result.stdout + result.stderr
    assert [name for name in files(tmp_path) if SECRET.encode() in (tmp_path / name).read_bytes()] == []
    (overrides,) = tmp_path.glob("outputs/*/**/overrides.yaml")
    assert ENV in overrides.read_text()
