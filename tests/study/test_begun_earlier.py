"""A sweep and a run that an earlier version began, each killed halfway, go on as if nothing had changed."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, here

BEGUN = ROOT / "tests/fixtures/begun_earlier"


def epochs(folder: Path) -> dict[int, float]:
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return {e["epoch"]: e["val_loss"] for e in events if e["event"] == "epoch"}


@pytest.mark.slow
def test_a_sweep(tmp_path):
    """Two stages with halving: trials have ended, were pruned, and one was at epoch 12 or so of 60."""
    line = shlex.split((BEGUN / "sweep/command").read_text())
    begun, anew = tmp_path / "begun/outputs/sweeps/half", tmp_path / "anew"
    shutil.copytree(BEGUN / "sweep", begun)
    anew.mkdir()
    before = {path.name: epochs(path) for path in begun.iterdir() if path.is_dir()}
    # What came later than it, other seeds of the best between two stages, would shift the numbers of a new one.
    commands = (tmp_path / "begun", line), (anew, [*line, "sweep.stop_seeds=null"])
    done, whole = (here(*words, "executor=inline", cwd=folder) for folder, words in commands)
    assert (done.returncode, whole.returncode) == (0, 0), done.stdout + done.stderr
    assert ("already ended" in done.stdout, "already ended" in whole.stdout) == (True, False)
    for name, known in before.items():
        after = epochs(begun / name)
        assert {epoch: after[epoch] for epoch in known} == known  # none was trained again
        assert after == pytest.approx(epochs(anew / "outputs/sweeps/half" / name), rel=1e-4)
    rows = [
        [
            {key: row[key] for key in ("trial", "status", "stage")}
            for row in csv.DictReader((path / "leaderboard.csv").open())
        ]
        for path in (begun, anew / "outputs/sweeps/half")
    ]
    assert rows[0] == rows[1]
    started = [json.loads(line) for line in (begun / "4/events.jsonl").read_text().splitlines()]
    assert max(e["resumed_after"] for e in started if e["event"] == "started") > 6


@pytest.mark.slow
def test_a_run(tmp_path):
    line = shlex.split((BEGUN / "run/command").read_text())
    begun = tmp_path / "outputs/runs/begun"
    shutil.copytree(BEGUN / "run", begun)
    known = epochs(begun)
    done = here(*line, f"resume={begun}", "executor=inline", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"going on after epoch {max(known)}" in done.stdout
    (tmp_path / "anew").mkdir()
    assert here(*line, "executor=inline", cwd=tmp_path / "anew").returncode == 0
    (whole,) = (tmp_path / "anew/outputs/runs").iterdir()
    assert epochs(begun) == pytest.approx(epochs(whole), rel=1e-4)
    assert (begun / "model.h5").exists()
