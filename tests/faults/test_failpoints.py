"""A sweep that is killed after any single step that it stores, and started again, is as if nothing had happened."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, ROOT

pytestmark = pytest.mark.slow
WHOLE = {
    "runs": [["0", "FINISHED", "completed"], ["1", "FINISHED", "pruned"], ["parent", "FINISHED", "completed"]],
    "parents": 0,
    "running": 0,
    "doubled": [],
    "ended": [[0, "completed"], [1, "pruned"]],
    "ends": [1, 1],
}


@pytest.fixture(scope="module")
def outcomes():
    memory = Path("/dev/shm")  # where a sync costs nothing
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        line = [sys.executable, "-m", "tests.faults.failpoints", f"{folder}/sweeps"]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return [json.loads(text) for text in done.stdout.splitlines()]


def test_a_kill_after_any_step_leaves_one_parent_no_double_rows_and_none_running(outcomes):
    whole, repeated, empty, *killed = outcomes
    points = whole.pop("points")
    assert whole == {"step": "none", "statuses": [0], **WHOLE}
    assert len(killed) > 20
    steps = " ".join(outcome.pop("step") for outcome in killed)
    # Not each artifact and each commit: threads number them differently in each start.
    stored = ("events.jsonl: ended", "ledger: ended", "ledger: tracking", "commit", "artifact: ", "tested")
    for step in stored:
        assert step in steps
    assert [outcome for outcome in killed if outcome != {"statuses": [9, 0], "points": points, **WHOLE}] == []
    assert repeated == {"step": "repeated", "statuses": [0, 0], "reads": 1, "points": points, **WHOLE}
    # The store was deleted, and made anew.
    assert empty == {"step": "an empty store", "statuses": [0], "points": points, **WHOLE}
