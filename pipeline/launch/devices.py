"""Which processor each worker gets. No TensorFlow: the parent decides before a worker exists."""

import os
import shutil
import subprocess

from pipeline import memory as memory_
from pipeline.errors import InputError

MAX_WORKERS = 8  # a worker holds TensorFlow in memory, about 600 MB


def gpus() -> list[str]:
    """Indices of the GPUs this process may use, as CUDA_VISIBLE_DEVICES wants them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=30)
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in listing.stdout.splitlines()))]


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(device: str, workers: int) -> float:
    """Bytes that a worker's cohort may take: half of its share of the memory, or most of its GPU's."""
    if device != "cpu" and gpus() and shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        listing = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30).stdout.split()
        totals = [int(word) for word in listing if word.isdigit()]
        if totals:
            return 0.7 * min(totals) * 2**20
    return 0.5 * memory_.total() / workers


def workers(device: str, asked: int | None) -> int:
    """How many workers may train side by side: `asked`, or one a core (at most MAX_WORKERS), or one a GPU.

    device: `auto` | `cpu` | `gpu`. A GPU is leased to one worker, so there are at most as many workers as GPUs.
    Raises InputError for device=gpu without a GPU.
    """
    found = [] if device == "cpu" else gpus()
    if device == "gpu" and not found:
        raise InputError("device=gpu: there is no GPU on this machine. Available: cpu. Use device=cpu or device=auto.")
    return min(asked or len(found), len(found)) if found else asked or min(cores(), MAX_WORKERS)


def plan(device: str, asked: int | None, n_jobs: int) -> list[dict[str, str]]:
    """The environment of each worker: its GPU, if any, and its share of the cores.

    device, asked: see workers(). Those beyond `n_jobs`, which start only if there turn out to be more jobs, have the
    cores of a worker among so many.
    """
    found = [] if device == "cpu" else gpus()
    limit = workers(device, asked)
    count = max(1, min(limit, n_jobs))
    environments = []
    for i in range(limit):
        threads = str(max(1, cores() // (count if i < count else limit)))
        environments.append(
            {
                "CUDA_VISIBLE_DEVICES": found[i] if found else "-1",
                # Two pools of every core each would fight; a trial's work is one op after the other anyway.
                "TF_NUM_INTRAOP_THREADS": threads,
                "TF_NUM_INTEROP_THREADS": "1" if count > 1 else "2",
                "OMP_NUM_THREADS": threads,
                "TF_FORCE_GPU_ALLOW_GROWTH": "true",
                "TF_CPP_MIN_LOG_LEVEL": "2",
                "KERAS_BACKEND": "tensorflow",
            }
        )
    return environments
