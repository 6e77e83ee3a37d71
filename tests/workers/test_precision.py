"""`python run.py device.precision=…` on the CPU, from the shell to the saved model."""

import json

import keras
import numpy as np
import pytest

from tests.conftest import TINY, here


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_and_saves_float32_probabilities(precision, tmp_path):
    line = ("device=cpu", f"device.precision={precision}", "optimizer.learning_rate=0.05", "tracking=none")
    result = here(*TINY, *line, "executor=inline", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = next((tmp_path / "outputs/runs").iterdir())
    events = [json.loads(event) for event in (folder / "events.jsonl").read_text().splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "epoch"]
    assert losses[-1] < losses[0]
    model = keras.models.load_model(folder / "model.h5", compile=False)
    assert precision in {layer.dtype_policy.name for layer in model.layers}
    assert all(np.asarray(weight).dtype == np.float32 for weight in model.get_weights() if np.ndim(weight))
    probabilities = np.asarray(model(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
