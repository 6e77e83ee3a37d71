"""report.html holds what the ledger says, as it is, whatever the words in it; and nothing from elsewhere."""

import base64
import json
import re
import time
from importlib.resources import files

import numpy as np
import pytest

from pipeline.study.reporting.read import read_sweep
from pipeline.tracking.report import packing
from pipeline.tracking.report.page import SCRIPTS, render
from tests.study.made_up_sweep import make_sweep

NASTY = "</script><img src=x onerror=alert(1)> \" ' & \x1b[31m \u2028 \u202e {{data}} \ud800"


def data_of(page):
    """What its scripts read."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def floats(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("made") / "s")


@pytest.fixture(scope="module")
def page(folder):
    return render([read_sweep(folder)])


def test_the_numbers_are_those_of_the_sweep(folder, page):
    sweep = read_sweep(folder)
    (record,) = data_of(page)["sweeps"]
    columns = record["trials"]
    assert columns["number"] == [report.trial.number for report in sweep.trials]
    assert columns["status"] == [report.trial.status for report in sweep.trials]
    assert record["metrics"][0] == record["metric"] == "val_accuracy"
    for name, column in zip(record["metrics"], columns["metrics"], strict=True):
        assert column == [report.metrics.get(name) for report in sweep.trials]  # with all their digits
    for axis, column in zip(record["axes"], columns["params"], strict=True):
        assert column == [report.trial.params.get(axis["key"]) for report in sweep.trials]
    at = floats(columns["at"]).reshape(len(sweep.trials), -1)
    for report, row in zip(sweep.trials, at, strict=True):
        assert row == pytest.approx(np.array([np.nan if c is None else c for c in report.coordinates]), nan_ok=True)
    values, start = floats(record["curves"]["values"]), 0
    for report, epochs in zip(sweep.trials, record["curves"]["epochs"], strict=True):
        assert epochs == len(report.epochs)  # from 1 on, without a gap
        for name in record["metrics"]:
            curve = values[start : start + epochs]
            assert curve == pytest.approx(np.array(report.curves[name]), rel=1e-6, nan_ok=True)
            start += epochs
    assert start == len(values)
    assert record["winner"]["number"] == sweep.winner.number


def test_the_page_needs_nothing_from_elsewhere(page):
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)|<link|<iframe|@import|\burl\(|src=", page)
    assert "default-src 'none'" in page
    assert "{{" not in page.replace("{{data}}", "")


def test_words_are_never_read_as_html(tmp_path):
    folder = make_sweep(tmp_path / 's<b>"&')
    lines = [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]
    for line in lines:
        if line["record"] == "ended" and line["reason"]:
            line["reason"] = NASTY
        if line["record"] == "asked":
            line["params"] = {**line["params"], "optimizer": NASTY, "model.<b>": NASTY}
        if line["record"] == "data":
            line["arms"][0]["description"] = NASTY
    (folder / "ledger").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = render([read_sweep(folder)])
    assert page.count("</script>") == 2
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "<title>s&lt;b&gt;&quot;&amp; · Caviar</title>" in page
    (record,) = data_of(page)["sweeps"]
    shown = NASTY.replace("\ud800", "?")
    assert {reason for reason in record["trials"]["reason"] if reason} == {shown}
    assert set(record["trials"]["params"][0]) == {shown}
    page.encode()
    text = page[page.index('id="data">') : page.index("</script>")]
    assert not set(text) & set("\u2028\x1b")


def test_no_script_makes_html_of_text():

    for name in SCRIPTS:
        text = (files("pipeline.tracking.report") / f"{name}.js").read_text()
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )


def test_long_curves_are_thinned_and_the_worst_ones_left_out(tmp_path, monkeypatch):
    sweep = read_sweep(make_sweep(tmp_path / "s", n=6, epochs=500))
    long = next(report for report in sweep.trials if len(report.epochs) == 500)
    places = packing._thinned(long)
    assert len(places) <= packing.MOST_POINTS + 1
    assert {places[0], places[-1]} == {0, 499}
    assert long.trial.best_epoch - 1 in places
    page = render([sweep] * 300)  # which share the room
    records = data_of(page)["sweeps"]
    assert all(record["curves"]["shown"] < 6 for record in records)
    assert all(len(record["trials"]["number"]) == 6 for record in records)  # of which the table has all


def test_several_sweeps(folder, tmp_path):
    other = make_sweep(tmp_path / "other", n=10, seed=1)
    page = render([read_sweep(folder), read_sweep(other)])
    assert [sweep["name"] for sweep in data_of(page)["sweeps"]] == ["s", "other"]


@pytest.mark.slow
def test_a_thousand_trials_make_a_page_of_two_megabytes_at_most(tmp_path):
    folder = make_sweep(tmp_path / "s", n=1000, epochs=20)
    start = time.process_time()
    page = render([read_sweep(folder)])
    assert time.process_time() - start < 3
    assert len(page.encode()) < 2 * 10**6
