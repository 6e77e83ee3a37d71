"""A population that is killed twenty times is as if nothing had happened: its curves, and who copied whom."""

import json
import signal
import subprocess
import sys

import pytest

from tests.conftest import PATIENCE, ROOT
from tests.faults.population import EPOCHS, KILLS, SIZE

pytestmark = pytest.mark.slow


def test_twenty_kills_leave_the_lineage_intact(tmp_path):
    line = [sys.executable, "-m", "tests.faults.population", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    whole, killed = map(json.loads, done.stdout.splitlines())
    assert whole.pop("statuses") == [0]
    assert killed.pop("statuses") == [-signal.SIGKILL] * KILLS + [0]
    assert killed == whole
    assert killed["intact"]
    assert [len(curve) for curve in whole["curves"]] == [EPOCHS] * SIZE
    assert any(loss is None for curve in whole["curves"] for _, loss, *_ in curve)  # some had diverged,
    assert set(whole["ends"]) == {"completed"}  # and copied another one
    assert sum(map(len, whole["exploits"])) > 2 * SIZE
