"""What is remembered of a machine."""

import json

import pytest

from pipeline.training import measurements


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/caviar/measurements.json"


OBSTACLE = {"obstacle": "it does not fuse"}
MEASURED = {"solo": {"start": 1.0, "step": 0.1, "trials": 4}}


def test_measurements_are_in_the_users_cache(cache):
    assert measurements.file() == cache
    assert measurements.known("one") == {}
    measurements.remember("one", OBSTACLE)
    assert json.loads(cache.read_text()) == {"one": OBSTACLE}
    assert measurements.known("one") == OBSTACLE
    assert measurements.known("two") == {}


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_without_xdg_cache_home_it_is_in_the_home_folder(tmp_path, monkeypatch, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert measurements.file() == tmp_path / ".cache/caviar/measurements.json"


def test_what_was_measured_before_stays(cache):
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({"one": MEASURED, "two": MEASURED}))
    measurements.remember("one", OBSTACLE)
    assert measurements.known("one") == MEASURED | OBSTACLE
    assert measurements.known("two") == MEASURED


DAMAGED = {
    "empty": b"",
    "cut off": b'{"one": {"solo": {"sta',
    "no JSON": b"\x00\x01 not json",
    "not UTF-8": b"\xff\xfe\xfa",
    "a list": b"[1, 2]",
    "a number": b"7",
    "a number for a kind": b'{"one": 7}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_cache_is_measured_again(cache, content):
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content)
    assert measurements.known("one") == {}
    measurements.remember("one", OBSTACLE)
    assert measurements.known("one") == OBSTACLE


def test_a_machine_without_a_place_for_it_goes_on(tmp_path, monkeypatch):
    """A file where the folder should be: neither reading nor writing raises."""
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    measurements.remember("one", OBSTACLE)
    assert measurements.known("one") == {}
