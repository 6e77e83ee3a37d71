"""Training on several devices at once, for which logical CPUs stand, against one device."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pipeline.errors import InputError
from pipeline.training import distributed
from tests.conftest import PATIENCE, ROOT

# replicas -> cases; 8 examples are not divisible by 3, 2 leave out one of 3 replicas, and 1 leaves out two
RUNS = {
    2: ("adam after activation, dropout, l2", "momentum and sigmoid", "far off", "scaled"),
    3: ("fewer examples than replicas", "rmsprop and convolutions", "penalised, one example left"),
}
OTHERS = ("mixed_bfloat16", "mixed_float16", "handed over", "overflow", "overflow on one", "jobs")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What on_replicas prints, by the number of replicas."""

    def start(n, cases):
        line = [sys.executable, "-m", "tests.training.on_replicas", str(n), str(tmp_path_factory.mktemp("jobs"))]
        return subprocess.Popen([*line, *cases], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    answers = {}
    for n, cases in RUNS.items():
        output, errors = start(n, (*cases, *(OTHERS if n == 2 else ()))).communicate(timeout=PATIENCE)
        assert output, errors
        answers[n] = json.loads(output.splitlines()[-1])
    return answers


@pytest.mark.slow
@pytest.mark.parametrize(("n", "case"), [(n, case) for n in RUNS for case in RUNS[n]] + [(2, "handed over")])
def test_several_devices_train_as_one_does(results, n, case):
    """Losses, metrics, weights, slots and seeds after three epochs whose last batch is partial."""
    result = results[n][case]
    assert result["metrics"] < 1e-5
    assert result["state"] < 1e-5
    if case != "handed over":
        assert result["weights"] < 1e-5
        assert result["moved"] > 1e-2
        assert result["traced"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_differs_by_its_rounding_only(results, precision):
    result = results[2][precision]
    assert 0 < result["metrics"] < 5e-2  # of 30 examples one may change sides
    assert result["moved"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("where", ["overflow", "overflow on one"])
def test_a_step_that_overflows_is_skipped_and_the_scale_follows(results, where):
    skipped, *later = results[2][where]["steps"]
    assert skipped == [2.0**59, 0, 0.0]
    assert [scale for scale, _, _ in later] == [1024.0, 1024.0, 2048.0]  # twice as much after three good ones
    assert [steps for _, steps, _ in later] == [1, 2, 3]
    assert all(moved > 0 for _, _, moved in later)


@pytest.mark.slow
def test_jobs_of_multi_gpu_train_one_by_one_to_the_same_end(results):
    jobs = results[2]["jobs"]
    cohort, requeued, *alone = jobs["multi_gpu"]
    assert cohort == {"mode": "solo", "reason": "device=multi_gpu trains each on several devices at once"}
    assert requeued["alone"] == [0, 1]
    several, one = ([m["event"] for m in messages if "event" in m] for messages in (alone, jobs["cpu"]))
    assert [e["event"] for e in several] == [e["event"] for e in one]
    assert several[-1]["status"] == "completed"
    for a, b in zip(several, one, strict=True):
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert a.get(key) == pytest.approx(b.get(key), abs=1e-5)
    assert jobs["model"] < 1e-5


@pytest.mark.parametrize(("n", "replicas"), [(7, 1), (7, 2), (8, 4), (2, 3), (1, 4)])
def test_a_batch_is_divided_in_its_order(n, replicas):
    inputs = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    batches = tf.data.Dataset.from_tensors((inputs, np.arange(n))).repeat()
    parts = list(distributed.divided(batches, replicas).take(2 * replicas).as_numpy_iterator())
    for batch in (parts[:replicas], parts[replicas:]):
        np.testing.assert_array_equal(np.concatenate([x for x, *_, counted in batch if counted]), inputs)
        np.testing.assert_array_equal(np.concatenate([y for _, y, *_, counted in batch if counted]), np.arange(n))
        sizes = [len(y) * counted for _, y, _, _, counted in batch]
        assert max(sizes) - min(sizes) <= 1
        for x, y, first, size, _ in batch:
            assert size == n
            assert len(x) == len(y) >= 1
            assert y[0] == first


@pytest.mark.parametrize(
    ("device", "n_gpus", "message"),
    [
        ("gpu", 0, r"device=gpu: TensorFlow sees no GPU\. Available to it: cpu\. For NVIDIA's: pip install"),
        ("multi_gpu", 1, r"device=multi_gpu: TensorFlow sees 1 GPU\. Available to it: cpu, gpu 0\. "),
        ("tpu", 0, r"device=tpu: TensorFlow reaches no TPU\. Available to it: cpu\."),
    ],
)
def test_a_worker_refuses_what_tensorflow_lacks(device, n_gpus, message):
    with pytest.raises(InputError, match=message) as error:
        distributed.require(device, n_gpus)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_one_device_needs_no_strategy(device):
    assert distributed.make_strategy(device) is None
