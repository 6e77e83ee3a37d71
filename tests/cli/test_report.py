"""`python -m pipeline report`: which sweeps it takes, where it writes, and what it says of others."""

import shutil

import pytest

from pipeline.__main__ import main
from tests.conftest import ROOT
from tests.study.made_up_sweep import make_sweep


@pytest.fixture
def sweeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        make_sweep(tmp_path / "outputs/sweeps" / name, n=8, epochs=3)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["first"], "outputs/sweeps/first/report.html"),
        (["outputs/sweeps/second"], "outputs/sweeps/second/report.html"),
        (["first", "second"], "outputs/sweeps/report.html"),
        (["first", "second", "--out", "both.html"], "both.html"),
        (["first", "outputs/sweeps/first/", "--out=once.html"], "once.html"),
    ],
)
def test_what_it_writes(sweeps, capsys, words, written):
    assert main(["report", *words]) == 0
    assert capsys.readouterr().out == f"report: {written}\n"
    assert (sweeps / written).read_text().startswith("<!doctype html>")


def test_a_folder_that_was_moved(sweeps, capsys):
    shutil.move(sweeps / "outputs/sweeps/first", sweeps / "kept")
    assert main(["report", "kept"]) == 0
    assert "kept/" in (sweeps / "kept/report.html").read_text()


def test_a_sweep_of_an_earlier_version(tmp_path, capsys):
    shutil.copytree(ROOT / "tests/fixtures/begun_earlier/sweep", tmp_path / "half")
    assert main(["report", str(tmp_path / "half")]) == 0
    assert (tmp_path / "half/report.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["firts"], "SWEEP=firts: there is no such sweep, nor folder. Those in outputs/sweeps: first, second. "
                    "Did you mean 'first'?"),
        (["outputs"], "SWEEP=outputs: no sweep was run there; its folder would hold a file called ledger."),
        (["first", "--out=report.pdf"], "--out=report.pdf: must end in .html."),
        (["first", "--out=no/where.html"], "--out=no/where.html: there is no folder no."),
        ([], "the following arguments are required: SWEEP"),
    ],
)  # fmt: skip
def test_mistakes(sweeps, capsys, words, message):
    assert main(["report", *words]) == 2
    assert capsys.readouterr().err.splitlines()[0].startswith(message)
    assert not list(sweeps.rglob("*.html"))
