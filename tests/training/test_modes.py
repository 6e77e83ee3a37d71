"""The size of a cohort, the estimate of its seconds, and what is remembered of a machine."""

import json

import pytest

from pipeline.training import modes
from pipeline.training.cohort import measure
from pipeline.training.modes import Choice, estimate
from tests.launch.jobs import config_of, job

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


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/caviar/measurements.json"


def remember(key, reason):
    Choice("solo", "a reason", key=key).note_obstacle(reason)


def test_measurements_are_in_the_users_cache(cache):
    assert modes.cache_file() == cache
    assert modes.measurements() == {}
    remember("one", "it does not fuse")
    assert json.loads(cache.read_text()) == modes.measurements() == {"one": {"obstacle": "it does not fuse"}}


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_without_xdg_cache_home_it_is_in_the_home_folder(tmp_path, monkeypatch, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert modes.cache_file() == tmp_path / ".cache/caviar/measurements.json"


def test_what_was_measured_before_stays(cache):
    cache.parent.mkdir(parents=True)
    measured = {"start": 1.0, "step": 0.1, "trials": 4}
    cache.write_text(json.dumps({"one": {"solo": measured}, "two": {"solo": measured}}))
    remember("one", "it does not fuse")
    assert modes.measurements() == {
        "one": {"solo": measured, "obstacle": "it does not fuse"},
        "two": {"solo": measured},
    }


DAMAGED = {
    "empty": b"",
    "cut off": b'{"one": {"solo": {"sta',
    "no JSON": b"\x00\x01 not json",
    "not UTF-8": b"\xff\xfe\xfa",
    "a list": b"[1, 2]",
    "a number": b"7",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_cache_is_measured_again(cache, content):
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content)
    assert modes.measurements() == {}
    remember("one", "it does not fuse")
    assert modes.measurements() == {"one": {"obstacle": "it does not fuse"}}


def test_a_machine_without_a_place_for_it_goes_on(tmp_path, monkeypatch):
    """A file where the folder should be: neither reading nor writing raises."""
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    remember("one", "it does not fuse")
    assert modes.measurements() == {}


@pytest.mark.parametrize("batch_size", [32, 128], ids=["last", "only"])
@pytest.mark.parametrize(("xla", "mode"), [("never", "fused"), ("always", "fused_xla")])
def test_an_epoch_is_measured_in_which_the_last_or_only_batch_is_not_full(cache, tmp_path, batch_size, xla, mode):
    config = config_of(job(tmp_path, 0))  # 54 examples
    config["train"]["batch_size"] = batch_size
    found = measure({"config": config, "planned": 1, "fuse": "always", "xla": xla})
    assert found["mode"] == mode
    assert found["epoch"] > 0
