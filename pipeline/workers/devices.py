"""Which processor each worker gets. No TensorFlow: the parent decides before a worker exists."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipeline import memory as memory_
from pipeline.errors import InputError
from pipeline.limits import LEAST_GPUS, MULTI_DEVICE
from pipeline.schema import Config

MAX_WORKERS = 8  # a worker holds TensorFlow in memory, about 600 MB
BEFORE = "CAVIAR_GPUS"  # of the environment: what gpus() was when this process became a worker


def gpus() -> list[str]:
    """Indices of the GPUs this process may use, as CUDA_VISIBLE_DEVICES wants them."""
    visible = os.environ.get(BEFORE, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(i) for i in range(len(_gpu_megabytes(shutil.which("nvidia-smi"))))]


@cache
def _gpu_megabytes(nvidia_smi: str | None) -> list[str]:
    """The memory of each GPU that a driver's tool lists, once a process: it takes up to seconds to answer. Some GPUs
    have no memory of their own, and a text in its place."""
    if nvidia_smi is None:
        return []
    query = [nvidia_smi, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    listing = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    return [] if listing.returncode else [line.strip() for line in listing.stdout.splitlines() if line.strip()]


def become(environment: dict[str, str]) -> None:
    """Makes this process a worker, of one of plan()'s environments; gpus() stays what it was."""
    os.environ.update({BEFORE: ",".join(gpus()), **environment})


def tpu() -> bool:
    """Whether something says that there is a TPU: TensorFlow itself takes long to find that there is none."""
    told = ("TPU_NAME", "TPU_WORKER_HOSTNAMES", "COLAB_TPU_ADDR")
    return any(name in os.environ for name in told) or any(map(Path.exists, map(Path, ("/dev/accel0", "/dev/vfio/0"))))


def chosen(device: str, visible: Sequence[int] | None) -> list[str]:
    """The GPUs, as CUDA_VISIBLE_DEVICES wants them, that `device` (a name of conf/device) may use.

    visible: their places among gpus(), each once; None: all. Raises InputError, with what there is, for a device or a
    GPU that is not there.
    """
    found = [] if device == "cpu" else gpus()
    there = ", ".join(["cpu", *(f"gpu {i}" for i in range(len(found))), *(["tpu"] if tpu() else [])])
    if visible is not None:
        if device in ("cpu", "tpu"):
            raise InputError(f"device.visible={list(visible)} chooses GPUs, and device={device} uses none.")
        if not visible:
            raise InputError(f"device.visible=[] leaves no GPU; null takes all, device=cpu none. Available: {there}.")
        if len(set(visible)) < len(visible):
            raise InputError(f"device.visible={list(visible)} names a GPU twice.")
        if missing := [i for i in visible if i >= len(found)]:
            raise InputError(f"device.visible={list(visible)}: there is no GPU {missing[0]} here. Available: {there}.")
        found = [found[i] for i in visible]
    if device == "gpu" and not found:
        raise InputError(f"device=gpu: there is no GPU on this machine. Available: {there}. Use device=auto.")
    if device == "multi_gpu" and len(found) < LEAST_GPUS[device]:
        of = f"device.visible={list(visible)} has" if visible is not None else "this machine has"
        raise InputError(f"device=multi_gpu needs 2 GPUs or more; {of} {len(found) or 'none'}. Available: {there}.")
    if device == "tpu" and not tpu():
        raise InputError(f"device=tpu: there is no TPU on this machine. Available: {there}.")
    return found if device != "tpu" else []


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(device: str, workers: int) -> float:
    """Bytes that a worker's cohort may take: half of its share of the memory, or most of its GPU's."""
    if device != "cpu" and gpus():
        totals = [int(line) for line in _gpu_megabytes(shutil.which("nvidia-smi")) if line.isdigit()]
        if totals:
            return 0.7 * min(totals) * 2**20
    return 0.5 * memory_.total() / workers


def workers(device: str, asked: int | None, visible: Sequence[int] | None = None) -> int:
    """How many workers may train side by side: `asked`, or one a core (at most MAX_WORKERS), or one a GPU.

    device, visible: see chosen(). A GPU is leased to one worker, so there are at most as many workers as GPUs; one
    worker has all of several that a model trains on at once.
    """
    found = chosen(device, visible)
    if device in MULTI_DEVICE:
        return 1
    return min(asked or len(found), len(found)) if found else asked or min(cores(), MAX_WORKERS)


def workers_of(config: Config) -> int:
    """workers() of a trial's config."""
    return workers(config.device.name, config.executor.workers, config.device.visible)


def plan(device: str, asked: int | None, n_jobs: int, visible: Sequence[int] | None = None) -> list[dict[str, str]]:
    """The environment of each worker: its GPUs, if any, and its share of the cores.

    device, asked, visible: see workers(). Those beyond `n_jobs`, which start only if there turn out to be more jobs,
    have the cores of a worker among so many.
    """
    found = chosen(device, visible)
    leases = [",".join(found)] if device in MULTI_DEVICE else found
    limit = workers(device, asked, visible)
    count = max(1, min(limit, n_jobs))
    environments = []
    for i in range(limit):
        threads = str(max(1, cores() // (count if i < count else limit)))
        environments.append(
            {
                "CUDA_VISIBLE_DEVICES": leases[i] if found else "-1",
                # Two pools of every core each would fight; a trial's work is one op after the other anyway.
                "TF_NUM_INTRAOP_THREADS": threads,
                "TF_NUM_INTEROP_THREADS": "1" if count > 1 else "2",
                "OMP_NUM_THREADS": threads,
                # GPUs in nvidia-smi's order, unless the user has chosen some in CUDA's own
                **({} if "CUDA_VISIBLE_DEVICES" in os.environ else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
                "TF_FORCE_GPU_ALLOW_GROWTH": "true",
                "TF_CPP_MIN_LOG_LEVEL": "2",
                "KERAS_BACKEND": "tensorflow",
            }
        )
    return environments
