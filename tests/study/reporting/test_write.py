"""The report never stands in the way of a sweep."""

import shutil

import pytest

from pipeline.study.reporting.write import conclude_report
from pipeline.tracking.recorder import Recorder
from tests.study.made_up_sweep import make_sweep


class Recording(Recorder):
    def __init__(self):
        self.artifacts = []

    def artifact(self, number, path):
        self.artifacts.append((number, path.name))


def full(folder):
    (folder / "report.html").mkdir()


def damaged(folder):
    path = folder / "0/events.jsonl"
    path.write_text("{}\nnothing\n" + path.read_text())


def no_ledger(folder):
    (folder / "ledger").unlink()


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (full, "report: not written, IsADirectoryError: "),
        (damaged, "report: not written, "),
        (no_ledger, "report: not written, "),
    ],
)
def test_what_keeps_it_from_being_written_is_said_in_a_line(tmp_path, capsys, fault, line):
    folder, recorder = make_sweep(tmp_path / "s", n=4, epochs=2), Recording()
    fault(folder)
    conclude_report(folder, recorder)
    (printed,) = capsys.readouterr().out.splitlines()
    assert printed.startswith(line)
    assert not recorder.artifacts
    assert not list(folder.glob(".report*"))


def test_it_is_an_artifact_of_the_sweep(tmp_path, capsys):
    folder, recorder = make_sweep(tmp_path / "s", n=4, epochs=2), Recording()
    conclude_report(folder, recorder)
    assert recorder.artifacts == [(None, "report.html")]
    assert capsys.readouterr().out == f"report:   {folder}/report.html\n"
    shutil.rmtree(folder)
