"""report.html: at the end of every sweep, and by `python -m pipeline report`, in one and the same way."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError, in_one_line
from pipeline.jsonl import write_atomically
from pipeline.study.reporting.read import read_sweep
from pipeline.tracking.display import print_line, print_whole
from pipeline.tracking.recorder import Recorder
from pipeline.tracking.report.page import render

NAME = "report.html"


def write_report(folders: Sequence[Path], path: Path) -> None:
    """The page of a sweep, or of several that compare. Raises InputError for a folder without a sweep."""
    write_atomically(path, [render([read_sweep(folder) for folder in folders]).encode()])


def conclude_report(folder: Path, recorder: Recorder) -> None:
    """The trials are what a sweep is for: whatever keeps its report from being written is said in a line."""
    path = folder / NAME
    try:
        write_report([folder], path)
    except Exception as error:
        problem = str(error) if isinstance(error, InputError) else in_one_line(error)
        print_line(f"report: not written, {' '.join(problem.split())}", "yellow")
        return
    recorder.artifact(None, path)
    print_whole(f"report:   {path}")
