"""Which processor each worker gets. No TensorFlow: the parent decides before a worker exists."""

import os
import shutil
import subprocess
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cache

from pipeline import memory as memory_
from pipeline.errors import InputError
from pipeline.limits import LEAST_GPUS, MULTI_DEVICE
from pipeline.schema import Config, Device

MAX_WORKERS = 8  # a worker holds TensorFlow in memory, about 600 MB
BEFORE = "CAVIAR_GPUS"  # of the environment: the GPUs there were when this process became a worker


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Machine:
    """What this process may train on."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    cores: int = field(default_factory=_cores)
    tpu_files: tuple[str, ...] = ("/dev/accel0", "/dev/vfio/0")  # some are there where a TPU is

    @property
    def gpus(self) -> list[str]:
        """As CUDA_VISIBLE_DEVICES wants them."""
        visible = self.environment.get(BEFORE, self.environment.get("CUDA_VISIBLE_DEVICES"))
        if visible is None:
            return [str(i) for i in range(len(_gpu_megabytes(shutil.which("nvidia-smi"))))]
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]

    @property
    def tpu(self) -> bool:
        """Whether something says that there is a TPU: TensorFlow itself takes long to find that there is none."""
        hints = ("TPU_NAME", "TPU_WORKER_HOSTNAMES", "COLAB_TPU_ADDR")
        return any(hint in self.environment for hint in hints) or any(map(os.path.exists, self.tpu_files))

    def leased(self, device: Device) -> list[str]:
        """The GPUs that workers get. Raises InputError, with what there is, for a device or a GPU that is not there."""
        gpus = [] if device.name == "cpu" else self.gpus
        there = ", ".join(["cpu", *(f"gpu {i}" for i in range(len(gpus))), *(["tpu"] if self.tpu else [])])
        if (visible := device.visible) is not None:
            what = f"device.visible={visible}"
            if device.name in ("cpu", "tpu"):
                raise InputError(f"{what} chooses GPUs, and device={device.name} uses none.")
            if not visible:
                raise InputError(f"{what} leaves no GPU; null takes all, device=cpu none. Available: {there}.")
            if len(set(visible)) < len(visible):
                raise InputError(f"{what} names a GPU twice.")
            if missing := [i for i in visible if i >= len(gpus)]:
                raise InputError(f"{what}: there is no GPU {missing[0]} here. Available: {there}.")
            gpus = [gpus[i] for i in visible]
        if device.name == "gpu" and not gpus:
            raise InputError(f"device=gpu: there is no GPU on this machine. Available: {there}. Use device=auto.")
        if device.name == "multi_gpu" and len(gpus) < LEAST_GPUS[device.name]:
            of = "this machine has" if visible is None else f"device.visible={visible} has"
            raise InputError(f"device=multi_gpu needs 2 GPUs or more; {of} {len(gpus) or 'none'}. Available: {there}.")
        if device.name == "tpu" and not self.tpu:
            raise InputError(f"device=tpu: there is no TPU on this machine. Available: {there}.")
        return gpus if device.name != "tpu" else []

    def workers(self, device: Device, asked: int | None) -> int:
        """How many workers may train side by side: `asked`, or one a core (at most MAX_WORKERS), or one a GPU.

        A GPU is leased to one worker, so there are at most as many workers as GPUs; one worker has all of several that
        a model trains on at once. Raises InputError as leased() does.
        """
        gpus = self.leased(device)
        if device.name in MULTI_DEVICE:
            return 1
        return min(asked or len(gpus), len(gpus)) if gpus else asked or min(self.cores, MAX_WORKERS)

    def environments(
        self, device: Device, asked: int | None, n_jobs: int, threads: int | None = None
    ) -> list[dict[str, str]]:
        """What sets up each of workers(): its GPUs, if any, and its share of the cores, or `threads`.

        Those beyond `n_jobs`, which start only if there turn out to be more jobs, have the cores of a worker among so
        many.
        """
        gpus, limit = self.leased(device), self.workers(device, asked)
        leases = [",".join(gpus)] if device.name in MULTI_DEVICE else gpus
        count = max(1, min(limit, n_jobs))
        shares = [str(threads or max(1, self.cores // (count if i < count else limit))) for i in range(limit)]
        return [
            {
                "CUDA_VISIBLE_DEVICES": leases[i] if gpus else "-1",
                # Two pools of every core each would fight; a trial's work is one op after the other anyway.
                "TF_NUM_INTRAOP_THREADS": shares[i],
                "TF_NUM_INTEROP_THREADS": "1" if count > 1 else "2",
                "OMP_NUM_THREADS": shares[i],
                # GPUs in nvidia-smi's order, unless the user has chosen some in CUDA's own
                **({} if "CUDA_VISIBLE_DEVICES" in self.environment else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
                "TF_FORCE_GPU_ALLOW_GROWTH": "true",
                "TF_CPP_MIN_LOG_LEVEL": "2",
                "KERAS_BACKEND": "tensorflow",
            }
            for i in range(limit)
        ]


@cache
def _gpu_megabytes(nvidia_smi: str | None) -> list[str]:
    """The memory of each GPU that a driver's tool lists, once a process: it takes up to seconds to answer. Some GPUs
    have no memory of their own, and a text in its place."""
    if nvidia_smi is None:
        return []
    query = [nvidia_smi, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    listing = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    return [] if listing.returncode else [line.strip() for line in listing.stdout.splitlines() if line.strip()]


def become(worker: Mapping[str, str], environment: MutableMapping[str, str] = os.environ) -> None:
    """Makes this process a worker, of one of environments(); a Machine keeps the GPUs that it had."""
    environment.update({BEFORE: ",".join(Machine(environment).gpus), **worker})


def workers_of(config: Config) -> int:
    """How many workers may train the trials of a config side by side."""
    return Machine().workers(config.device, config.executor.workers)


def memory_of(config: Config) -> float:
    """Bytes that a worker's cohort may take: half of its share of the memory, or most of its GPU's."""
    if config.device.name != "cpu" and Machine().gpus:
        totals = [int(line) for line in _gpu_megabytes(shutil.which("nvidia-smi")) if line.isdigit()]
        if totals:
            return 0.7 * min(totals) * 2**20
    return 0.5 * memory_.total() / workers_of(config)
