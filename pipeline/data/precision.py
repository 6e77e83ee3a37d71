"""Whether float32, with which models compute, can tell the values of a feature apart."""

from dataclasses import dataclass

import numpy as np

from pipeline.data.splits import moments
from pipeline.errors import InputError

# Of a feature's standard deviation, that its values may be off by once they are float32. A date as 20201231 is by a
# three-hundredth over a year; times in seconds since 1970, one every half minute, by a twentieth over an hour and more.
TOLERANCE = 1 / 200
SLICE = 2**20  # numbers that are looked at together
NOISE = 2.0**-48  # of a constant that was computed in float64


@dataclass(frozen=True)
class Loss:
    """A feature that float32 can't hold."""

    feature: int  # its place in the last axis
    low: float
    high: float
    error: float  # by which a value is off at most

    def __str__(self) -> str:
        return (
            f"goes from {self.low:.15g} to {self.high:.15g}, where float32, with which models compute, is off by up to "
            f"{self.error:.3g}"
        )


def loss(values: np.ndarray) -> Loss | None:
    """The first feature of values [n, ..., features] that loses what tells its values apart when they become float32;
    None if there is none."""
    if values.dtype.kind not in "fiu" or values.dtype.itemsize <= 2 or values.dtype == np.float32 or not values.size:
        return None
    flat = values.reshape(-1, values.shape[-1])
    step = max(1, SLICE // flat.shape[1])
    low, high, error = flat.min(0), flat.max(0), np.zeros(flat.shape[1])
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is told of elsewhere
            rounded = part.astype(np.float32).astype(np.float64)
            error = np.maximum(error, np.abs(rounded - part).max(0))
    largest = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    if values.dtype.kind in "iu":  # beyond 2^53 float64 does not see what float32 loses
        error = np.where(largest > 2**53, np.spacing(largest.astype(np.float32)), error)
    if not (np.isfinite(error) & (error > 0)).any():
        return None
    spread = np.sqrt(moments(flat)[1])
    varies = low < high if values.dtype.kind in "iu" else spread > NOISE * largest
    lost = np.isfinite(error) & varies & (error > TOLERANCE * spread)
    if not lost.any():
        return None
    i = int(lost.argmax())
    return Loss(i, float(low[i]), float(high[i]), float(error[i]))


def check_precision(where: str, key: str, values: np.ndarray) -> None:
    """Raises InputError if float32 can't tell the values of a feature apart, the last axis of values [n, ..., features]
    as the file has them."""
    if lost := loss(values):
        n = values.shape[-1]
        feature = f"feature {lost.feature + 1} of {n} in {key}" if n > 1 else key
        raise InputError(f"{where}: {feature} {lost}; subtract {lost.low:.15g} from it, or leave it out.")
