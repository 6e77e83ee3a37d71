import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.schema import Schedule
from pipeline.training.schedules import constant, cosine, exponential, factors, inverse_time, staircase


@pytest.mark.parametrize(
    ("schedule", "arguments", "epochs", "expected"),
    [
        (constant, {}, 4, [1, 1, 1, 1]),
        (inverse_time, {"decay": 1}, 4, [1, 1 / 2, 1 / 3, 1 / 4]),
        (inverse_time, {"decay": 0.1}, 3, [1, 1 / 1.1, 1 / 1.2]),
        (exponential, {"decay": 0.95}, 4, [1, 0.95, 0.9025, 0.857375]),
        (exponential, {"decay": 1}, 3, [1, 1, 1]),
        (staircase, {"decay": 0.5, "epochs_per_step": 2}, 6, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        (staircase, {"decay": 0.1, "epochs_per_step": 1}, 3, [1, 0.1, 0.01]),
        (staircase, {"decay": 0.5, "epochs_per_step": 9}, 3, [1, 1, 1]),
        (cosine, {"final_fraction": 0}, 5, [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]),
        (cosine, {"final_fraction": 0.2}, 3, [1, 0.6, 0.2]),
        (cosine, {"final_fraction": 0.2}, 2, [1, 0.2]),
        (cosine, {"final_fraction": 0.2}, 1, [1]),  # a single epoch is the first one
        (cosine, {"final_fraction": 1}, 3, [1, 1, 1]),
    ],
)
def test_factor_of_each_epoch(schedule, arguments, epochs, expected):
    assert [schedule(epoch, epochs, **arguments) for epoch in range(epochs)] == pytest.approx(expected, abs=1e-12)


def schedule_of(name, warmup_epochs=None, **arguments):
    return Schedule(f"pipeline.training.schedules.{name}", arguments, warmup_epochs=warmup_epochs)


@pytest.mark.parametrize(
    ("schedule", "epoch", "steps", "expected"),
    [
        (schedule_of("constant"), 0, 3, [1, 1, 1]),
        (schedule_of("constant", warmup_epochs=0), 0, 2, [1, 1]),
        (schedule_of("constant", warmup_epochs=None), 0, 2, [1, 1]),
        (schedule_of("exponential", decay=0.5), 2, 3, [0.25, 0.25, 0.25]),  # constant within an epoch
        # the ramp rises by step and reaches the schedule at its end
        (schedule_of("constant", warmup_epochs=1), 0, 4, [0.25, 0.5, 0.75, 1]),
        (schedule_of("constant", warmup_epochs=1), 1, 4, [1, 1, 1, 1]),
        (schedule_of("constant", warmup_epochs=2), 0, 4, [0.125, 0.25, 0.375, 0.5]),
        (schedule_of("constant", warmup_epochs=2), 1, 4, [0.625, 0.75, 0.875, 1]),
        (schedule_of("constant", warmup_epochs=0.5), 0, 4, [0.5, 1, 1, 1]),
        (schedule_of("constant", warmup_epochs=1.5), 1, 2, [1, 1]),
        (schedule_of("exponential", decay=0.5, warmup_epochs=2), 1, 2, [0.5 * 0.75, 0.5 * 1]),
        (schedule_of("cosine", final_fraction=0.0, warmup_epochs=1), 9, 2, [0, 0]),
        (schedule_of("constant", warmup_epochs=1), 0, 1, [1]),
    ],
)
def test_factors_of_each_step(schedule, epoch, steps, expected):
    computed = factors(schedule, epoch, 10, steps)
    assert computed.dtype == np.float32
    np.testing.assert_allclose(computed, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("warmup_epochs", [0.3, 1, 2.5])
def test_a_warm_up_rises_evenly_then_follows_the_schedule(warmup_epochs):
    schedule = schedule_of("inverse_time", decay=0.1, warmup_epochs=warmup_epochs)
    plain = np.concatenate([factors(replace(schedule, warmup_epochs=0), epoch, 5, 10) for epoch in range(5)])
    ramp = np.concatenate([factors(schedule, epoch, 5, 10) for epoch in range(5)]) / plain
    up = round(warmup_epochs * 10)
    np.testing.assert_allclose(ramp[:up], np.arange(1, up + 1) / up, rtol=1e-5)
    np.testing.assert_allclose(ramp[up:], 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (schedule_of("exponential"), "missing a required argument: 'decay'"),
        (schedule_of("exponential", decya=0.5), "Did you mean 'decay'?"),
        (schedule_of("exponental", decay=0.5), "Did you mean 'exponential'?"),
        (schedule_of("constant", decay=0.5), "unexpected keyword argument 'decay'"),
    ],
)
def test_factors_refuses(schedule, message):
    with pytest.raises(InputError) as raised:
        factors(schedule, 0, 10, 3)
    assert message in str(raised.value)
