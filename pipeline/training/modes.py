"""How a cohort trains, by a plain rule: fused with XLA, fused, or one by one; and what a step of it takes."""

import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from pipeline.errors import in_one_line
from pipeline.records import CohortSummary, Conditions
from pipeline.training.fused import stacking
from pipeline.training.fused.trainer import FusedTrainer
from pipeline.training.solo import SoloTrainer
from pipeline.training.trial import TrainedTrial

# `python -m tests.benchmarks modes` measures: XLA takes about 2.5 s more to compile, and saves about a millisecond at
# every step, and one more for each 10 MB that the cohort works on.
XLA_STEPS, XLA_BYTES = 2500, 10e6
# Of larger models matrix products take nearly all the time, and XLA's are slower than TensorFlow's own on a CPU.
XLA_WEIGHTS = 4_000_000
RESIDENT_SHARE = 0.25  # of the memory a cohort may take, for data held on the device
TIMED_STEPS, TIMED_TRIALS = 24, 16  # a step's cost a trial hardly falls beyond
REPEATS, ENOUGH_SECONDS = 5, 0.3

_failures: dict[tuple[Hashable, str], str] = {}  # why a graph did not train in a mode, as long as this process lives


@dataclass(frozen=True)
class FusionPlan:
    mode: str  # `fused_xla`, `fused` or `solo`
    reason: str
    resident: bool  # whether the data lies on the device
    bytes_a_trial: int
    memory: float  # bytes that a cohort may take
    most: int  # trials of a cohort, whatever the memory

    def largest(self, n_trials: int) -> int:
        """How many trials of `n_trials` one cohort takes, in cohorts of about one size: a new size compiles anew."""
        most = max(1, int(min(self.most, self.memory / max(1, self.bytes_a_trial))))
        return math.ceil(n_trials / math.ceil(n_trials / most))

    def summary(self, at_once: int) -> CohortSummary:
        """What the user reads, of `at_once` trials that train together."""
        return CohortSummary(self.mode, self.reason, at_once, self.bytes_a_trial, self.memory)


def plan_fusion(
    trials: Sequence[TrainedTrial], planned: int, obstacle: str | None, conditions: Conditions
) -> FusionPlan:
    """How a group of `planned` trials trains; `trials` are those of them that have not ended.

    Only what is known before training decides, so that a resumed trial goes on as it began; and whether the graph has
    already failed in this process.
    """
    trial, memory = trials[0], conditions.memory
    models = {id(t.model): t for t in trials}  # narrow ones are padded to the widest
    splits = {id(t.splits): t.splits for t in trials}
    resident = sum(s.nbytes for s in splits.values()) <= RESIDENT_SHARE * memory and not any(t.streams for t in trials)
    size = max(bytes_a_trial(t) for t in models.values())
    plan = FusionPlan("solo", "", resident, size, memory, conditions.cohort_size or 10**6)
    fuse = conditions.fuse
    if not resident and len(splits) > 1:
        obstacle = "their data sets do not fit into memory side by side"
    if fuse == "never":
        return replace(plan, reason="executor.fuse=never")
    if obstacle:
        return replace(plan, reason=unfused(fuse, obstacle))
    if planned == 1 and fuse == "auto":
        return replace(plan, reason="it is the only one of its kind")
    weights = max(t.model.count_params() for t in models.values())
    steps = trial.steps * trial.config.train.epochs
    modes, reason = fused_modes(fuse, conditions.xla, steps, weights, size * plan.largest(planned))
    failure = None
    for mode in modes:
        reason = f"with XLA {failure}" if failure else reason
        failure = _failures.get((graph_of(trial), mode))
        if failure is None:
            return replace(plan, mode=mode, reason=reason)
    return replace(plan, reason=unfused(fuse, str(failure)))


def fused_modes(fuse: str, xla: str, steps: int, weights: int, cohort_bytes: int) -> tuple[list[str], str]:
    """The modes in which a cohort may train, the one to be tried first in front, and why.

    fuse, xla: as in conf/executor. steps, weights: of a trial, from its first to its last epoch. cohort_bytes: that
    the cohort takes.
    """
    if fuse == "always" or xla != "auto":
        modes = {"auto": ["fused_xla", "fused"], "always": ["fused_xla"], "never": ["fused"]}[xla]
        return modes, "executor.fuse=always" if fuse == "always" else f"executor.xla={xla}"
    if weights > XLA_WEIGHTS:
        return ["fused"], f"XLA saves nothing at {weights:,} weights"
    if steps * (1 + cohort_bytes / XLA_BYTES) < XLA_STEPS:
        return ["fused"], f"{steps:,} steps do not repay compiling with XLA"
    return ["fused_xla", "fused"], f"{steps:,} steps repay compiling"


def note_failure(trial: TrainedTrial, mode: str, error: Exception) -> None:
    """Remembers that the trial's graph does not train in `mode`: the next cohort of this kind does without the try."""
    _failures[graph_of(trial), mode] = unfused_reason(error)


def graph_of(trial: TrainedTrial) -> Hashable:
    """Equal for trials whose graphs fuse or fail alike: their layers have the same settings, widths aside."""
    layers = stacking.structure(trial.model).key()
    return layers, type(trial.optimizer), trial.head, trial.config.device.precision


def unfused(fuse: str, reason: str) -> str:
    """Why trials train one by one, though executor.fuse may say that they are not to."""
    return f"whatever executor.fuse=always says, for {reason}" if fuse == "always" else reason


def unfused_reason(error: Exception) -> str:
    """What the user reads of a graph that failed when it was fused."""
    return f"its graph can't be fused ({in_one_line(error)[:180]})"


def timed(make_trainer: Callable[[], FusedTrainer | SoloTrainer], trial: TrainedTrial) -> tuple[float, float]:
    """Seconds that a trainer of trials like `trial` takes until its first step, and for a step of one of them."""
    began = time.perf_counter()
    trainer = make_trainer()
    rates = np.full((trainer.size, trial.steps), trial.config.optimizer.learning_rate, np.float32)
    steps = trainer.rehearse(rates, min(TIMED_STEPS, trial.steps))
    first = time.perf_counter() - began
    takes: list[float] = []
    # The least of a few: what else the machine does at the moment only adds.
    while len(takes) < REPEATS and sum(takes) < ENOUGH_SECONDS:
        again = time.perf_counter()
        trainer.rehearse(rates, steps)
        takes.append(time.perf_counter() - again)
    return max(0.0, first - min(takes)), min(takes) / steps / trainer.size


def bytes_a_trial(trial: TrainedTrial) -> int:
    """What one more trial in a cohort takes: weights, best weights, gradients, slots and their new values, and the
    activations of a batch, forward and backward."""
    model, batch = trial.model, trial.config.train.batch_size
    slots = 2  # the most that an optimizer here has
    weights: int = (6 + 2 * slots) * model.count_params()
    activations = 0
    for layer in model.layers:
        size = sum(math.prod(d or 1 for d in tensor.shape[1:]) for tensor in keras.tree.flatten(layer.output))
        if isinstance(layer, keras.layers.Conv2D):  # as shifted copies, see layer_calls.convolution
            size += math.prod(layer.kernel_size) * math.prod(d or 1 for d in layer.input.shape[1:])
        activations += 3 * batch * size
    return 4 * (weights + activations)
