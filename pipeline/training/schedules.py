"""How the learning rate changes over a run: factors of the base rate, so that the base stays free to change.

Each schedule maps an epoch, counted from 0, to a factor; a new one is one function here and one file in
conf/schedule. The rate is constant within an epoch, as in the course's alpha = alpha_0 / (1 + decay * epoch).
"""

import math

import numpy as np

from pipeline.schema import Schedule
from pipeline.targets import call


def constant(epoch: int, epochs: int) -> float:
    return 1.0


def inverse_time(epoch: int, epochs: int, *, decay: float) -> float:
    """1 / (1 + decay * epoch)"""
    return 1 / (1 + decay * epoch)


def exponential(epoch: int, epochs: int, *, decay: float) -> float:
    """decay ** epoch"""
    return decay**epoch


def staircase(epoch: int, epochs: int, *, decay: float, epochs_per_step: int) -> float:
    """decay ** floor(epoch / epochs_per_step)"""
    return decay ** (epoch // epochs_per_step)


def cosine(epoch: int, epochs: int, *, final_fraction: float) -> float:
    """From 1 in the first of `epochs` epochs to `final_fraction` in the last (Loshchilov & Hutter 2017, eq. 5)."""
    progress = epoch / max(epochs - 1, 1)
    return final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * progress))


def factors(schedule: Schedule, epoch: int, epochs: int, steps: int) -> np.ndarray:
    """Factors of the base rate for each of the `steps` of an epoch, float32 [steps].

    `warmup_epochs` ramps up linearly by step, reaching the schedule's own factor at its end (Goyal et al. 2017,
    section 2.2); it may be a fraction of an epoch.
    """
    factor = call("schedule", schedule, epoch, epochs)
    warmup = schedule.warmup_epochs or 0
    done = epoch * steps + np.arange(1, steps + 1)
    ramp = np.minimum(1, done / (warmup * steps)) if warmup else np.ones(steps)
    return np.asarray(factor * ramp, np.float32)
