"""The thread that forwards to the tracking store ends with a line, whatever the store does."""

from types import SimpleNamespace

import pytest

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
