"""What the layers of a network do while it trains, measured from its weights after an epoch (`train.diagnostics=true`).

All of it is a function of the weights, the data and the seed, computed outside of training by a copy of the model: a
trial trains the same bits with it as without, and one that trains fused, alone or resumed is measured alike.
"""

import time
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from pipeline.data.splits import Split
from pipeline.errors import InputError, in_one_line
from pipeline.heads.head import Head
from pipeline.records import Event, Undiagnosed
from pipeline.training.callbacks import Callback, Moment, Observation
from pipeline.training.diagnostics.layer_probe import Arrays, Probe
from pipeline.training.fused import stacking
from pipeline.training.recent import Recent

PROBE = 256  # training examples that are looked at, the first ones: many enough for a percentile of a single unit
BATCHES = 16  # drawn to see how batch statistics vary
DRAWN = 256  # examples of a batch at most: from there on its noise follows from that of fewer
POOL = BATCHES * DRAWN  # examples that batches are drawn from at most, read once
POOL_BYTES = 2**26  # or fewer, of large images; yet enough for two batches
RUN = 64  # examples of the pool that stand together: a file is read in blocks
# Some 10 MB and half a second of tracing each; a cohort may hold as many structures as trials.
PROBES: Recent[Probe] = Recent(32)

_examples: dict[int, "ProbedExamples"] = {}  # by id of the split, while that lives


class Diagnostics(Callback):
    """Records what the layers of a trial do, by epoch. If that can't be had it says why, once, and the trial trains on:
    only data that can't be read would fail it in training, too."""

    def __init__(self, diagnose: Callable[[list[np.ndarray]], Observation], emit: Callable[[Event], None]) -> None:
        self._diagnose: Callable[[list[np.ndarray]], Observation] | None = diagnose
        self._emit = emit

    def at_start(self, moment: Moment) -> Observation | None:
        return self.after_epoch(moment)

    def after_epoch(self, moment: Moment) -> Observation | None:
        if self._diagnose is None:
            return None
        weights = moment.weights()
        try:
            return self._diagnose(weights)
        except (InputError, OSError):
            raise
        except Exception as error:
            self._diagnose = None
            self._emit(Undiagnosed(time.time(), in_one_line(error)))
            return None


class Diagnosis:
    """Measures a trial whose `model` has the weights that it begins with, on examples of `train`.

    make: makes another model of the same layers, to be measured with; head, batch_size, seed: the trial's.
    """

    def __init__(
        self,
        model: keras.Model,
        make: Callable[[], keras.Model],
        train: Split,
        head: Head,
        batch_size: int,
        seed: int,
        probes: Recent[Probe] = PROBES,
    ) -> None:
        self._probes = probes  # none is kept here: they bound what all trials hold
        self._model, self._make, self._head, self._train = model, make, head, train
        self._batch_size, self._seed = batch_size, seed
        self._start: Arrays | None = None

    def __call__(self, weights: list[np.ndarray]) -> Observation:
        """What an epoch's record gains, of the network with `weights` (as in model.weights).

        probe_loss: the plain loss of the probe batch, predicted as val_loss is, and so beside it the gap between
        training and validation without what moving weights and batch statistics do to the training loss.
        layers: by layer, in the order in which they compute:
        pre_activation_mean, _std, _p15, _p50, _p85: of what enters the activation, over examples and units; the
        percentiles are those of Ioffe & Szegedy (2015, figure 1). The network runs as it trains, batch norm with the
        statistics of the probe batch, but drops nothing.
        shift: how far the mean of a unit has moved since epoch 0, in standard deviations of that unit (pooled over
        then and now), root mean square over units.
        dead_share: of units whose activation is the same for every example.
        gradient_norm, weight_norm: L2, of the kernel; the loss is that of the probe batch.
        batch_noise: the standard deviation of a unit's batch mean over batches of the trial's size, in standard
        deviations of the unit, root mean square over units. Of what enters batch norm; of the pre-activation where
        there is none. It is 1 / sqrt(batch size) for independent examples; behind another batch norm it is less, which
        has given the inputs of every batch the same mean. Beyond DRAWN examples it is that of batches of DRAWN, times
        what it is less for independent ones.

        What a layer does not have is left out, and so is a layer that has nothing of it. Raises InputError or OSError
        if the examples can't be read, and whatever a custom layer does that can't be watched.
        """
        if self._start is None:
            _, self._start = self._measure(self._model.get_weights())
        loss, measures = self._measure(weights)
        layers = {name: _summary(arrays, self._start[name]) for name, arrays in measures.items()}
        return Observation({"probe_loss": loss}, layers)

    @cached_property
    def _key(self) -> Hashable:
        """By which models of the very same layers share a probe."""
        return self._head, str([*stacking.leaves(self._model.get_config())])

    @cached_property
    def _drawn(self) -> np.ndarray:
        """The rows of the pool in each batch [BATCHES, drawn], the same for all epochs."""
        rng, pool = np.random.default_rng(self._seed), len(_examples_of(self._train).pool)
        size = min(self._batch_size, DRAWN, pool)
        return np.stack([rng.choice(pool, size, replace=False) for _ in range(BATCHES)])

    def _measure(self, weights: list[np.ndarray]) -> tuple[float, Arrays]:
        examples = _examples_of(self._train)
        batches = (examples.pool[rows] for rows in self._drawn)
        probe = self._probes.get(self._key, lambda: Probe(self._make(), self._head))
        loss, measures = probe.measure(weights, examples.inputs, examples.labels, batches)
        scale = noise_ratio(self._batch_size, len(self._train), self._drawn.shape[1], len(examples.pool))
        for seen in measures.values():
            if "batch_means" in seen:
                seen["batch_noise"] = scale * seen["batch_means"].std(0, ddof=1)
        return loss, measures


@dataclass(frozen=True)
class ProbedExamples:
    """Of a training split: the probe batch, inputs [probe, ...] and labels [probe], and pool [pool, ...]."""

    inputs: np.ndarray
    labels: np.ndarray
    pool: np.ndarray


def _examples_of(train: Split) -> ProbedExamples:
    """Read once for all trials of this split."""
    key = id(train)
    if key not in _examples:
        pool = train.inputs.take(pool_rows(len(train), train.inputs.nbytes // len(train)))
        _examples[key] = ProbedExamples(train.inputs[:PROBE], train.labels[:PROBE], pool)
        weakref.finalize(train, _examples.pop, key)
    return _examples[key]


def pool_rows(n: int, row_bytes: int) -> np.ndarray:
    """Which of n examples of so many bytes batches are drawn from, ascending: all if they are few, else runs of RUN
    spread evenly. They do not depend on where the examples are held."""
    most = min(POOL, max(2 * DRAWN, POOL_BYTES // max(1, row_bytes)))
    if n <= most:
        return np.arange(n)
    runs = most // RUN
    return (np.arange(runs)[:, None] * n // runs + np.arange(RUN)).ravel()


def noise_ratio(batch: int, n: int, drawn: int, pool: int) -> float:
    """How much more the mean of `batch` of n examples varies than that of `drawn` of a pool of them, each drawn
    without replacement: the variance of a mean is then (n - batch) / (batch * (n - 1)) of that of an example."""
    if batch >= n:
        return 0.0  # every batch is all there is
    return float(np.sqrt((n - batch) / (batch * (n - 1)) / ((pool - drawn) / (drawn * (pool - 1)))))


def _summary(now: dict[str, np.ndarray], start: dict[str, np.ndarray]) -> dict[str, float]:
    """What is recorded of a layer. start: the layer at epoch 0."""
    result: dict[str, float] = {}
    if "mean" in now:
        result |= {f"pre_activation_{key}": float(now[key]) for key in ("mean", "std", "p15", "p50", "p85")}
        pooled = np.sqrt((now["unit_stds"] ** 2 + start["unit_stds"] ** 2) / 2)
        result["shift"] = _relative(now["unit_means"] - start["unit_means"], pooled)
        result["dead_share"] = float(now["dead"].mean())
    result |= {key: float(now[key]) for key in ("gradient_norm", "weight_norm") if key in now}
    if "batch_noise" in now:
        result["batch_noise"] = _relative(now["batch_noise"], now["batch_spread"])
    return result


def _relative(values: np.ndarray, spreads: np.ndarray) -> float:
    """Root mean square of values [units] in units of their spreads, without the units that never vary; 0 if none
    does."""
    ratios = values[spreads != 0] / spreads[spreads != 0]
    return float(np.sqrt(np.mean(ratios**2))) if len(ratios) else 0.0
