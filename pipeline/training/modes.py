"""How a cohort trains best on this machine, by what a short probe has measured: fused with XLA, fused, or alone."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from pipeline.training import measurements

if TYPE_CHECKING:
    from pipeline.training.trial import Trial

PROBED_STEPS = 24
PROBED_TRIALS = 16  # a step's cost a trial hardly falls beyond
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
        measurements.remember(self.key, {"obstacle": reason})


def choose(trials: Sequence["Trial"], planned: int, obstacle: str | None, job: dict[str, Any]) -> Choice:
    """The mode of a group of `planned` trials; probes once for each kind of model on this machine.

    Measured are the seconds until the first step and those of a step: the first decide for short trainings of few
    trials, the second for the others.
    """
    trial = trials[0]
    models = {id(t.model): t for t in trials}  # narrow ones are padded to the widest
    memory = job.get("memory", math.inf)
    shared = len({id(t.splits) for t in trials}) == 1
    data = sum({id(t.splits): t.splits.nbytes for t in trials}.values())
    resident = data <= RESIDENT_SHARE * memory and not any(t.streams for t in trials)
    choice = Choice(
        "solo",
        "",
        resident=resident,
        bytes_a_trial=max(bytes_a_trial(t) for t in models.values()),
        memory=memory,
        most=job.get("cohort_size") or 10**6,
        key=measurements.kind_of(trial, resident),
    )
    fuse, xla = job.get("fuse", "auto"), job.get("xla", "auto")
    allowed = [m for m, use in (("fused_xla", xla != "never"), ("fused", xla != "always")) if use]
    known = measurements.known(choice.key)
    if fuse == "auto":
        obstacle = obstacle or known.get("obstacle")
    if not choice.resident and not shared:
        obstacle = "their data sets do not fit into memory side by side"
    if fuse == "never":
        return replace(choice, reason="executor.fuse=never")
    if obstacle:
        return replace(choice, reason=obstacle)
    if planned == 1 and fuse == "auto":
        return replace(choice, reason="it is the only one of its kind")
    if fuse == "always":
        return replace(choice, mode=allowed[0], reason="executor.fuse=always")
    n = min(planned, PROBED_TRIALS, choice.largest(planned))
    if _unknown(known, allowed, n):
        with measurements.alone():
            known = measurements.known(choice.key)  # another worker may just have found out
            if _unknown(known, allowed, n):
                known = probe(trials, n, allowed, choice)
        if obstacle := known.get("obstacle"):
            return replace(choice, reason=obstacle)
    steps = trial.steps * trial.config["train"]["epochs"]  # all of them: a resumed trial goes on in the mode it had
    spread = min(planned, job.get("spread", 1))
    cost = {m: estimate(known[m], m, planned, steps, spread) for m in (*allowed, "solo") if known.get(m)}
    mode = min(cost, key=lambda m: cost[m])
    told = ", ".join(f"{NAMES[m]} {cost[m]:.1f} s" for m in sorted(cost, key=lambda m: cost[m]))
    return replace(choice, mode=mode, reason=f"estimated {told}")


NAMES = {"fused_xla": "fused with XLA", "fused": "fused without XLA", "solo": "one by one"}


def estimate(measured: dict[str, float], mode: str, n_trials: int, steps: int, spread: int = 1) -> float:
    """Seconds that `n_trials` of `steps` steps take; one by one, by `spread` workers side by side."""
    if mode == "solo":
        return math.ceil(n_trials / spread) * (measured["start"] + steps * measured["step"])
    return measured["start"] + n_trials * steps * measured["step"]


def _unknown(known: dict[str, Any], allowed: Sequence[str], n_trials: int) -> bool:
    """Whether a mode was not measured yet, or with so few trials that it says little of `n_trials`."""
    if any(mode not in known for mode in (*allowed, "solo")):
        return True
    return any(2 * known[mode]["trials"] < n_trials for mode in allowed if known[mode])


def probe(trials: Sequence["Trial"], n_trials: int, allowed: Sequence[str], choice: Choice) -> dict[str, Any]:
    """Times a few steps in each mode that may be the best: seconds until the first step, and of a step, a trial.

    A mode that can't win or fails is None; `obstacle` says why none of the fused ones works.
    """
    from pipeline.training.trial import out_of_memory

    found: dict[str, Any] = {"solo": _timed(trials, 1, choice)}
    reason = None
    for mode in allowed:
        found[mode] = None
        if mode == "fused" and (found.get("fused_xla") or {}).get("step", math.inf) < CLEARLY * found["solo"]["step"]:
            continue
        try:
            found[mode] = _timed(trials, n_trials, replace(choice, mode=mode))
        except Exception as error:
            if out_of_memory(error):  # says nothing of its graph
                del found[mode]
                continue
            reason = unfused_reason(error)
    if reason and not any(found.get(mode) for mode in allowed):
        found["obstacle"] = reason
    measurements.remember(choice.key, found)
    return found


def unfused_reason(error: Exception) -> str:
    """What the user is told of a graph that failed when it was fused."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"its graph can't be fused ({type(error).__name__}: {first[:160]})"


def measured(trial: "Trial", choice: Choice, planned: int) -> dict[str, float]:
    """What the chosen mode takes: seconds until the first step, `start`, and of a step, a trial, `step`. Timed now if
    the choice did not need to know."""
    known = measurements.known(choice.key).get(choice.mode)
    if not known:
        known = _timed([trial], min(planned, PROBED_TRIALS, choice.largest(planned)), choice)
        measurements.remember(choice.key, {choice.mode: known})
    return {"start": known["start"], "step": known["step"]}


def _timed(trials: Sequence["Trial"], n_trials: int, choice: Choice) -> dict[str, float]:
    from pipeline.training.cohort import fused_trainer, solo_trainer

    began = time.perf_counter()
    n = 1 if choice.mode == "solo" else n_trials
    trainer: Any = solo_trainer(trials[0]) if choice.mode == "solo" else fused_trainer(list(trials[:n]), choice, n)
    rates = np.full((n, trials[0].steps), trials[0].config["optimizer"]["learning_rate"], np.float32)
    steps = min(PROBED_STEPS, trials[0].steps)
    steps = trainer.rehearse(rates, steps)
    warm = time.perf_counter()
    takes: list[float] = []
    # The least of a few: what else the machine does at the moment only adds.
    while len(takes) < REPEATS and sum(takes) < ENOUGH_SECONDS:
        again = time.perf_counter()
        trainer.rehearse(rates, steps)
        takes.append(time.perf_counter() - again)
    once = min(takes)
    return {"start": max(0.0, warm - began - once), "step": once / steps / n, "trials": n}


def bytes_a_trial(trial: "Trial") -> int:
    """What one more trial in a cohort takes: weights, best weights, gradients, slots and their new values, and the
    activations of a batch, forward and backward."""
    model, batch = trial.model, trial.config["train"]["batch_size"]
    slots = 2  # the most that an optimizer here has
    weights = (6 + 2 * slots) * model.count_params()
    activations = 0
    for layer in model.layers:
        size = sum(math.prod(d or 1 for d in tensor.shape[1:]) for tensor in keras.tree.flatten(layer.output))
        if isinstance(layer, keras.layers.Conv2D):  # as shifted copies, see layer_calls.convolution
            size += math.prod(layer.kernel_size) * math.prod(d or 1 for d in layer.input.shape[1:])
        activations += 3 * batch * size
    return 4 * (weights + activations)
