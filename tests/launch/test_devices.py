"""Which processor each worker gets."""

import pytest

from pipeline.errors import InputError
from pipeline.launch import devices

# device, workers asked, jobs, GPUs there, cores -> (GPU, threads) of each worker
PLANS = [
    ("auto", None, 24, "", 8, [("-1", "1")] * 8),
    ("auto", 2, 24, "", 8, [("-1", "4")] * 2),
    # Workers beyond the jobs start only if there turn out to be more: what trains one by one.
    ("auto", None, 1, "", 8, [("-1", "8")] + [("-1", "1")] * 7),
    ("auto", 3, 2, "", 8, [("-1", "4")] * 2 + [("-1", "2")]),
    ("auto", 16, 24, "", 2, [("-1", "1")] * 16),
    ("auto", None, 24, "", 64, [("-1", "8")] * 8),  # at most MAX_WORKERS unless asked
    ("auto", None, 24, "0,1", 8, [("0", "4"), ("1", "4")]),
    ("gpu", 8, 24, "0,3", 8, [("0", "4"), ("3", "4")]),  # a GPU is leased to one worker
    ("gpu", 1, 24, "0,3", 8, [("0", "8")]),
    ("cpu", 2, 24, "0,1", 8, [("-1", "4")] * 2),
]


@pytest.mark.parametrize(("device", "workers", "jobs", "visible", "cores", "expected"), PLANS)
def test_workers_share_cores_and_never_a_gpu(device, workers, jobs, visible, cores, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(devices, "cores", lambda: cores)
    plan = devices.plan(device, workers, jobs)
    assert [(env["CUDA_VISIBLE_DEVICES"], env["TF_NUM_INTRAOP_THREADS"]) for env in plan] == expected


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_gpu_that_is_not_there_is_refused(visible, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(InputError, match=r"there is no GPU on this machine\. Available: cpu"):
        devices.plan("gpu", None, 1)


# device, workers asked, GPUs there, cores -> workers
WORKERS = [
    ("auto", None, "", 4, 4),
    ("auto", None, "", 64, devices.MAX_WORKERS),
    ("auto", 16, "", 4, 16),
    ("auto", None, "0", 64, 1),
    ("auto", 4, "0,1", 64, 2),
    ("cpu", None, "0", 4, 4),
]


@pytest.mark.parametrize(("device", "asked", "visible", "cores", "expected"), WORKERS)
def test_how_many_train_side_by_side(device, asked, visible, cores, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(devices, "cores", lambda: cores)
    assert devices.workers(device, asked) == expected


def test_gpus_are_asked_of_the_driver(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho '  MIG 1g'\necho 'GPU 1: A (UUID: y)'\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert devices.gpus() == ["0", "1"]
