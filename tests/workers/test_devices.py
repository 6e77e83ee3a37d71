"""Which processor each worker gets."""

import pytest

from pipeline.errors import InputError
from pipeline.schema import Device
from pipeline.workers.devices import MAX_WORKERS, Machine, become, memory_of
from tests.workers.jobs import config

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
    ("multi_gpu", None, 24, "0,3,5", 8, [("0,3,5", "8")]),  # one worker has all of them
    ("multi_gpu", 4, 24, "0,3", 8, [("0,3", "8")]),
    ("tpu", 4, 24, "0,3", 8, [("-1", "8")]),
]


def machine(gpus="", cores=8, **environment):
    return Machine({"CUDA_VISIBLE_DEVICES": gpus, **environment}, cores, tpu_files=())


@pytest.mark.parametrize(("device", "workers", "jobs", "gpus", "cores", "expected"), PLANS)
def test_workers_share_cores_and_never_a_gpu(device, workers, jobs, gpus, cores, expected):
    plan = machine(gpus, cores, TPU_NAME="local").environments(Device(device), workers, jobs)
    assert [(env["CUDA_VISIBLE_DEVICES"], env["TF_NUM_INTRAOP_THREADS"]) for env in plan] == expected


def test_a_repeated_trial_has_the_threads_that_it_had():
    """XLA splits sums by them, and so rounds by them."""
    (environment,) = machine(cores=8).environments(Device("cpu"), 1, 1, threads=3)
    assert (environment["TF_NUM_INTRAOP_THREADS"], environment["OMP_NUM_THREADS"]) == ("3", "3")


# device, device.visible, GPUs there -> those of the workers
CHOSEN = [
    ("gpu", None, "0,3,5", ["0", "3", "5"]),
    ("gpu", [2, 0], "0,3,5", ["5", "0"]),  # places among those there
    ("auto", [1], "0,3,5", ["3"]),
    ("multi_gpu", [0, 2], "0,3,5", ["0,5"]),
    ("auto", [0], "GPU-4f0e", ["GPU-4f0e"]),
]


@pytest.mark.parametrize(("device", "visible", "there", "expected"), CHOSEN)
def test_workers_have_the_chosen_gpus(device, visible, there, expected):
    plan = machine(there).environments(Device(device, visible), None, 24)
    assert [env["CUDA_VISIBLE_DEVICES"] for env in plan] == expected
    assert all(env["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for env in plan)
    assert "CUDA_DEVICE_ORDER" not in plan[0]  # the user counts as CUDA does


# device, device.visible, GPUs there -> the error
ABSENT = [
    ("gpu", None, "", "device=gpu: there is no GPU on this machine. Available: cpu. Use device=auto."),
    ("multi_gpu", None, "", "device=multi_gpu needs 2 GPUs or more; this machine has none. Available: cpu."),
    ("multi_gpu", None, "0", "device=multi_gpu needs 2 GPUs or more; this machine has 1. Available: cpu, gpu 0."),
    (
        "multi_gpu",
        [1],
        "0,1",
        "device=multi_gpu needs 2 GPUs or more; device.visible=[1] has 1. Available: cpu, gpu 0, gpu 1.",
    ),
    ("gpu", [0, 2], "0,1", "device.visible=[0, 2]: there is no GPU 2 here. Available: cpu, gpu 0, gpu 1."),
    ("auto", [0], "", "device.visible=[0]: there is no GPU 0 here. Available: cpu."),
    ("multi_gpu", [0, 0], "0,1", "device.visible=[0, 0] names a GPU twice."),
    ("cpu", [0], "0,1", "device.visible=[0] chooses GPUs, and device=cpu uses none."),
    ("tpu", None, "0", "device=tpu: there is no TPU on this machine. Available: cpu, gpu 0."),
]


@pytest.mark.parametrize(("device", "visible", "there", "message"), ABSENT)
def test_what_is_not_there_is_refused_with_what_is(device, visible, there, message):
    wanted, here = Device(device, visible), machine(there)
    for ask in (lambda: here.environments(wanted, None, 1), lambda: here.workers(wanted, 3)):
        with pytest.raises(InputError) as error:
            ask()
        assert str(error.value) == message


def test_a_tpu_that_is_there_is_listed():
    with pytest.raises(InputError, match=r"Available: cpu, tpu\. Use"):
        machine(TPU_NAME="local").environments(Device("gpu"), None, 1)


def test_a_process_that_becomes_a_worker_still_knows_all_gpus():
    environment = {"CUDA_VISIBLE_DEVICES": "0,1,2"}
    become(Machine(environment).environments(Device("gpu", [2]), None, 1)[0], environment)
    assert environment["CUDA_VISIBLE_DEVICES"] == "2"
    assert Machine(environment).workers(Device("gpu", [1, 2]), None) == 2


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_gpu_that_is_not_there_is_refused(visible):
    with pytest.raises(InputError, match=r"there is no GPU on this machine\. Available: cpu"):
        machine(visible).environments(Device("gpu"), None, 1)


# device, workers asked, GPUs there, cores -> workers
WORKERS = [
    ("auto", None, "", 4, 4),
    ("auto", None, "", 64, MAX_WORKERS),
    ("auto", 16, "", 4, 16),
    ("auto", None, "0", 64, 1),
    ("auto", 4, "0,1", 64, 2),
    ("cpu", None, "0", 4, 4),
    ("multi_gpu", 4, "0,1,2", 64, 1),
]


@pytest.mark.parametrize(("device", "asked", "gpus", "cores", "expected"), WORKERS)
def test_how_many_train_side_by_side(device, asked, gpus, cores, expected):
    assert machine(gpus, cores).workers(Device(device), asked) == expected


@pytest.fixture
def driver(monkeypatch, tmp_path):
    """Puts a tool of a driver into the place of nvidia-smi; returns a file with a line for each time it was started."""

    def put(script):
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\necho >> {tmp_path}/started\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        return tmp_path / "started"

    return put


def test_gpus_and_their_memory_are_asked_of_the_driver_once(driver):
    started = driver("echo 24000; echo 16000")
    assert Machine().gpus == ["0", "1"]
    assert Machine().environments(Device("gpu"), None, 1)[0]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # that tool's
    assert memory_of(config({"device.name": "gpu"})) == 0.7 * 16000 * 2**20
    assert len(started.read_text()) == 1


def test_a_gpu_without_memory_of_its_own_counts(driver):
    driver("echo '[N/A]'")
    assert Machine().gpus == ["0"]
    on_gpu, on_cpu = (config({"device.name": name, "executor": {"workers": 1}}) for name in ("gpu", "cpu"))
    assert memory_of(on_gpu) == memory_of(on_cpu)


def test_a_driver_that_fails_has_no_gpus(driver):
    driver("echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9")
    assert Machine().gpus == []
