"""The thread that forwards to the tracking store ends with a line, whatever the store does."""

from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException

from pipeline.tracking.recorder import MlflowRecorder


def refuse():
    raise ConnectionError


@pytest.mark.parametrize(
    "writer",
    [
        SimpleNamespace(uri="http://a", connect=refuse),
        SimpleNamespace(uri="http://a", connect=lambda: None, flush_all=refuse),
    ],
    ids=["connecting", "forwarding"],
)
def test_an_error_without_a_message_is_named(writer, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.recorder.time.sleep", lambda seconds: None)
    assert MlflowRecorder(writer, lambda trial: None).close() == "http://a: ConnectionError"


@pytest.mark.parametrize(("code", "tries"), [("INVALID_PARAMETER_VALUE", 1), ("TEMPORARILY_UNAVAILABLE", 7)])
def test_what_a_store_will_never_take_is_tried_once(code, tries, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.recorder.time.sleep", lambda seconds: None)
    error, calls = MlflowException("no"), []
    error.error_code = code

    def take():
        calls.append(1)
        raise error

    writer = SimpleNamespace(uri="http://a", connect=lambda: None, open=lambda run: take(), flush_all=lambda: None)
    recorder = MlflowRecorder(writer, lambda trial: None)
    recorder.open(None)
    assert recorder.close() == "http://a: no"
    assert len(calls) == tries
