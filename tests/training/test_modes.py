"""The size of a cohort and the estimate of its seconds."""

import pytest

from pipeline.training import modes
from pipeline.training.cohort import measure
from pipeline.training.modes import Choice, estimate
from tests.workers.jobs import config_of, job

GB = 10**9
# trials, cohort_size, bytes a trial, bytes of memory -> at once
LARGEST = [
    (1, 10**6, 0, GB, 1),
    (24, 10**6, 1000, GB, 24),
    (24, 8, 1000, GB, 8),
    (25, 8, 1000, GB, 7),  # four cohorts of 7, 7, 7, 4, not three of 8 and one of a single trial
    (9, 8, 1000, GB, 5),
    (24, 10**6, 100, 1000, 8),  # 10 fit
    (24, 4, 100, 1000, 4),
    (24, 10**6, 2000, 1000, 1),  # not even one fits: it is tried
    (24, 10**6, 1000, 0, 1),
]


@pytest.mark.parametrize(("n_trials", "most", "each", "memory", "largest"), LARGEST)
def test_cohorts_are_of_about_one_size_and_fit_into_memory(n_trials, most, each, memory, largest):
    choice = Choice("fused", "a reason", bytes_a_trial=each, memory=memory, most=most)
    assert choice.largest(n_trials) == largest
    assert choice.largest(n_trials) <= most


# seconds until the first step, of a step, mode, trials, steps -> seconds
ESTIMATES = [
    (2.0, 0.01, "solo", 1, 100, 3.0),
    (2.0, 0.01, "solo", 10, 100, 30.0),  # each alone compiles its own
    (2.0, 0.01, "fused", 10, 100, 12.0),  # a step is a trial's share of it
    (2.0, 0.01, "fused_xla", 10, 100, 12.0),
    (20.0, 0.001, "fused_xla", 10, 100, 21.0),
    (2.0, 0.01, "fused", 10, 0, 2.0),
]


@pytest.mark.parametrize(("start", "step", "mode", "n_trials", "steps", "seconds"), ESTIMATES)
def test_estimate(start, step, mode, n_trials, steps, seconds):
    assert estimate({"start": start, "step": step}, mode, n_trials, steps) == pytest.approx(seconds)


@pytest.mark.parametrize(("n_trials", "spread", "seconds"), [(10, 1, 30.0), (10, 4, 9.0), (8, 4, 6.0), (2, 4, 3.0)])
def test_trials_one_by_one_are_spread_over_workers(n_trials, spread, seconds):
    assert estimate({"start": 2.0, "step": 0.01}, "solo", n_trials, 100, spread) == pytest.approx(seconds)


ONE = {"start": 1.0, "step": 0.01}
# what is known, trials -> whether it is to be measured (again)
UNKNOWN = [
    ({}, 16, True),
    ({"solo": ONE}, 16, True),
    ({"solo": {**ONE, "trials": 1}, "fused_xla": {**ONE, "trials": 16}, "fused": None}, 16, False),
    ({"solo": {**ONE, "trials": 1}, "fused_xla": {**ONE, "trials": 8}, "fused": None}, 16, False),
    ({"solo": {**ONE, "trials": 1}, "fused_xla": {**ONE, "trials": 2}, "fused": None}, 16, True),
    ({"solo": {**ONE, "trials": 1}, "fused_xla": {**ONE, "trials": 2}, "fused": None}, 4, False),
]


@pytest.mark.parametrize(("known", "n_trials", "again"), UNKNOWN)
def test_a_probe_of_few_trials_says_little_of_many(known, n_trials, again):
    assert modes._unknown(known, ["fused_xla", "fused"], n_trials) is again


@pytest.mark.parametrize("batch_size", [32, 128], ids=["last", "only"])
@pytest.mark.parametrize(("xla", "mode"), [("never", "fused"), ("always", "fused_xla")])
def test_an_epoch_is_measured_in_which_the_last_or_only_batch_is_not_full(tmp_path, monkeypatch, batch_size, xla, mode):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = config_of(job(tmp_path, 0))  # 54 examples
    config["train"]["batch_size"] = batch_size
    found = measure({"config": config, "planned": 1, "fuse": "always", "xla": xla})
    assert found["mode"] == mode
    assert found["epoch"] > 0
