"""How a cohort trains best on this machine, by what a short probe has measured: fused with XLA, fused, or alone."""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.jsonl import write_atomically

if TYPE_CHECKING:
    from pipeline.training.trial import Trial

FUSED = ("fused_xla", "fused")
PROBED_STEPS = 24
REPEATS, ENOUGH_SECONDS = 5, 0.3
# A fused trial that takes less than this share of a lone one's step leaves nothing that the other mode could win.
CLEARLY = 0.5
RESIDENT_SHARE = 0.25  # of the memory a cohort may take, for data held on the device


@dataclass
class Choice:
    """mode: `fused_xla`, `fused` or `solo`. bytes_a_trial, memory: for the size of a cohort."""

    mode: str
    reason: str
    resident: bool = True
    bytes_a_trial: int = 0
    memory: float = math.inf
    most: int = 10**6
    key: str = ""

    def largest(self, n_trials: int) -> int:
        """How many trials of `n_trials` one cohort takes, in cohorts of about one size: a new size compiles anew."""
        most = max(1, int(min(self.most, self.memory / max(1, self.bytes_a_trial))))
        return math.ceil(n_trials / math.ceil(n_trials / most))

    def told(self, at_once: int) -> dict[str, Any]:
        """What the user is told, of `at_once` trials that train together."""
        sizes = {"at_once": at_once, "bytes_a_trial": self.bytes_a_trial, "memory": self.memory}
        return {"mode": self.mode, "reason": self.reason, **sizes}

    def note_obstacle(self, reason: str) -> None:
        """Remembers that this structure does not fuse."""
        _remember(self.key, {"obstacle": reason})


def choose(trials: Sequence["Trial"], planned: int, obstacle: str | None, job: dict[str, Any]) -> Choice:
    """The mode of a group of `planned` trials; probes once for each kind of model on this machine.

    Measured are the seconds until the first step and those of a step: the first decide for short trainings of few
    trials, the second for the others.
    """
    trial = trials[0]
    key = _kind(trial)
    models = {id(t.model): t for t in trials}  # narrow ones are padded to the widest
    sizes = max(bytes_a_trial(t) for t in models.values()), job.get("memory", math.inf)
    common: dict[str, Any] = {"bytes_a_trial": sizes[0], "memory": sizes[1], "key": key}
    common["most"] = job.get("cohort_size") or 10**6
    shared = len({id(t.splits) for t in trials}) == 1
    data = sum({id(t.splits): t.splits.nbytes for t in trials}.values())
    resident = data <= RESIDENT_SHARE * sizes[1]
    fuse, xla = job.get("fuse", "auto"), job.get("xla", "auto")
    measured = measurements().get(key, {})
    obstacle = obstacle or measured.get("obstacle")
    if not resident and not shared:
        obstacle = "their data sets do not fit into memory side by side"
    if fuse == "never":
        return Choice("solo", "executor.fuse=never", **common)
    if obstacle:
        return Choice("solo", obstacle, **common)
    if planned == 1 and fuse == "auto":
        return Choice("solo", "it is the only one of its kind", **common)
    allowed = [m for m, use in (("fused_xla", xla != "never"), ("fused", xla != "always")) if use]
    if fuse == "always":
        return Choice(allowed[0], "executor.fuse=always", resident, **common)
    if any(mode not in measured for mode in (*allowed, "solo")):
        with _alone():
            measured = measurements().get(key, {})  # another worker may just have found out
            if any(mode not in measured for mode in (*allowed, "solo")):
                measured = probe(trials, allowed, resident, key)
        if obstacle := measured.get("obstacle"):
            return Choice("solo", obstacle, **common)
    steps = trial.steps * trial.config["train"]["epochs"]  # all of them: a resumed trial goes on in the mode it had
    cost = {m: estimate(measured[m], m, planned, steps) for m in (*allowed, "solo") if measured.get(m)}
    mode = min(cost, key=lambda m: cost[m])
    told = ", ".join(f"{NAMES[m]} {cost[m]:.1f} s" for m in sorted(cost, key=lambda m: cost[m]))
    return Choice(mode, f"estimated {told}", resident, **common)


NAMES = {"fused_xla": "fused with XLA", "fused": "fused without XLA", "solo": "one by one"}


def estimate(measured: dict[str, float], mode: str, n_trials: int, steps: int) -> float:
    """Seconds that `n_trials` of `steps` steps take."""
    if mode == "solo":
        return n_trials * (measured["start"] + steps * measured["step"])
    return measured["start"] + n_trials * steps * measured["step"]


def probe(trials: Sequence["Trial"], allowed: Sequence[str], resident: bool, key: str) -> dict[str, Any]:
    """Times a few steps in each mode that may be the best: seconds until the first step, and of a step, a trial.

    A mode that can't win or fails is None; `obstacle` says why none of the fused ones works.
    """
    found: dict[str, Any] = {"solo": _timed("solo", trials)}
    reason = None
    for mode in allowed:
        found[mode] = None
        if mode == "fused" and (found.get("fused_xla") or {}).get("step", math.inf) < CLEARLY * found["solo"]["step"]:
            continue
        try:
            found[mode] = _timed(mode, trials, resident)
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0][:160]
            reason = f"its graph can't be fused ({type(error).__name__}: {first})"
    if reason and not any(found[mode] for mode in allowed):
        found["obstacle"] = reason
    _remember(key, found)
    return found


def measured(trials: Sequence["Trial"], choice: Choice) -> dict[str, float]:
    """What the chosen mode takes: seconds until the first step, `start`, and of a step, a trial, `step`. Timed now if
    the choice did not need to know."""
    known = measurements().get(choice.key, {}).get(choice.mode)
    if not known:
        known = _timed(choice.mode, trials, choice.resident)
        _remember(choice.key, {choice.mode: known})
    return {"start": known["start"], "step": known["step"]}


def _timed(mode: str, trials: Sequence["Trial"], resident: bool = True) -> dict[str, float]:
    from pipeline.training.cohort import fused_trainer, solo_trainer

    began = time.perf_counter()
    trials = trials[:1] if mode == "solo" else trials
    trainer: Any = (
        solo_trainer(trials[0]) if mode == "solo" else fused_trainer(list(trials), Choice(mode, "probe", resident))
    )
    rates = np.array([[trial.config["optimizer"]["learning_rate"]] * trial.steps for trial in trials], np.float32)
    steps = min(PROBED_STEPS, trials[0].steps)
    trainer.rehearse(rates, steps)
    warm = time.perf_counter()
    takes: list[float] = []
    # The least of a few: what else the machine does at the moment only adds.
    while len(takes) < REPEATS and sum(takes) < ENOUGH_SECONDS:
        again = time.perf_counter()
        trainer.rehearse(rates, steps)
        takes.append(time.perf_counter() - again)
    once = min(takes)
    return {"start": max(0.0, warm - began - once), "step": once / steps / len(trials), "trials": len(trials)}


def bytes_a_trial(trial: "Trial") -> int:
    """What one more trial in a cohort takes: weights, best weights, gradients, slots and their new values, and the
    activations of a batch, forward and backward."""
    model, batch = trial.model, trial.config["train"]["batch_size"]
    slots = 2  # the most that an optimizer here has
    weights = (6 + 2 * slots) * model.count_params()
    activations = 0
    for layer in model.layers:
        size = math.prod(d or 1 for d in layer.output.shape[1:])
        if isinstance(layer, keras.layers.Conv2D):  # as shifted copies, see layer_calls.convolution
            size += math.prod(layer.kernel_size) * math.prod(d or 1 for d in layer.input.shape[1:])
        activations += 3 * batch * size
    return 4 * (weights + activations)


def _kind(trial: "Trial") -> str:
    """What a measurement holds for: the layers, the optimizer, the work of a step to a factor of 4, the device."""
    model = trial.model
    kinds = sorted({type(layer).__name__ for layer in model._flatten_layers()})
    work = sum(math.prod(v.shape) * max(1, math.prod(_positions(model, v))) for v in model.trainable_variables)
    work *= trial.config["train"]["batch_size"]
    gpus = [d.name for d in tf.config.list_logical_devices("GPU")]
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    parts = [kinds, type(trial.optimizer).__name__, round(math.log(max(work, 1), 4)), gpus, threads]
    parts += [trial.config["device"]["precision"], version("tensorflow"), version("keras"), str(os.cpu_count())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _positions(model: keras.Model, variable: Any) -> tuple[int, ...]:
    """The places at which a convolution's kernel is applied; () for other weights."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and variable is layer.kernel:
            return tuple(d or 1 for d in layer.output.shape[1:3])
    return ()


def cache_file() -> Path:
    """Where measurements of this machine are: the user's cache, for they say nothing about a project."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "caviar" / "measurements.json"


def measurements() -> dict[str, dict[str, Any]]:
    """Everything measured; empty if there is nothing, or nothing readable."""
    try:
        found = json.loads(cache_file().read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process measures at a time: side by side each would measure the other."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            cache_file().parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(cache_file().with_suffix(".lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remember(key: str, found: dict[str, Any]) -> None:
    """Adds to the cache. A machine without a place for it measures again next time."""
    path = cache_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        everything = measurements()
        everything[key] = {**everything.get(key, {}), **found}
        write_atomically(path, [json.dumps(everything, indent=1).encode()])
    except OSError:
        pass
