"""What was measured on this machine of each kind of model, remembered in the user's cache."""

import contextlib
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from pipeline import cache
from pipeline.jsonl import write_atomically

if TYPE_CHECKING:
    from pipeline.training.trial import Trial

MEASUREMENT = 2  # counts the ways of measuring: what another one found is measured again


def kind_of(trial: "Trial", resident: bool) -> str:
    """What a measurement holds for: the layers, the optimizer, the work of a step to a factor of 4, the device, and
    whether the data lies on it."""
    model = trial.model
    kinds = sorted({type(layer).__name__ for layer in model._flatten_layers()})
    work = sum(math.prod(v.shape) * max(1, math.prod(_positions(model, v))) for v in model.trainable_variables)
    work *= trial.config["train"]["batch_size"]
    device = [trial.config["device"]["name"] == "tpu", *(d.name for d in tf.config.list_logical_devices("GPU"))]
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    parts = [
        MEASUREMENT,
        kinds,
        type(trial.optimizer).__name__,
        round(math.log(max(work, 1), 4)),
        device,
        threads,
        resident,
    ]
    parts += [trial.config["device"]["precision"], version("tensorflow"), version("keras"), str(os.cpu_count())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _positions(model: keras.Model, variable: Any) -> tuple[int, ...]:
    """The places at which a convolution's kernel is applied; () for other weights."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and variable is layer.kernel:
            return tuple(d or 1 for d in layer.output.shape[1:3])
    return ()


def file() -> Path:
    """Where they are."""
    return cache.file("measurements.json")


def known(kind: str) -> dict[str, Any]:
    """What was measured of a kind; empty if nothing was, or nothing readable."""
    return _load().get(kind, {})


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One process measures at a time: side by side each would measure the other."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            file().parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(file().with_suffix(".lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remember(kind: str, found: dict[str, Any]) -> None:
    """Adds to what is known of a kind. A machine without a place for it measures again next time."""
    path = file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        everything = _load()
        everything[kind] = {**everything.get(kind, {}), **found}
        write_atomically(path, [json.dumps(everything, indent=1).encode()])
    except OSError:
        pass


def _load() -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(file().read_text())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}
