"""A disk without room for a trial's state, for which a limit on the size of files stands: it fails writes as that does.

The trials fail with the reason, and the same command trains them once there is room.
"""

import contextlib
import json
import re
import resource

from pipeline.eventlog import events_of
from pipeline.records import Ended, EpochEnded, Restarting
from tests.conftest import TINY, files, here

QUICK = [
    *TINY,
    "model.hidden_units=2000",
    "tracking=none",
    "executor.fuse=always",
    "executor.xla=never",
    "executor=inline",
]
SWEEP = ["-m", "sweep.name=s", "sweep.n_trials=2", "sweep.max_tier=1"]


@contextlib.contextmanager
def room(size):
    """No file of this process grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def ended(folder):
    return [(e.status, e.lacked) for e in events_of(folder) if isinstance(e, Ended)]


def test_trials_of_a_sweep_that_lacked_disk_run_with_the_same_command(tmp_path):
    folder = tmp_path / "outputs/sweeps/s"
    with room(100_000):
        done = here(*SWEEP, *QUICK, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    for number in range(2):
        assert f"failed: File too large: {folder}/{number}/state.h5" in done.stdout
        assert ended(folder / str(number)) == [("failed", "disk")]
    assert "2 lacked disk or memory: the same command with sweep.name=s starts them again" in done.stdout
    whole = files(folder)

    (folder / "0/.state.4711.h5").write_bytes(b"what a killed worker left")
    (folder / "1/..hydra.4711").mkdir()
    (folder / ".leaderboard.csv.4711").write_text("")
    again = here(*SWEEP, *QUICK, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert "2 trials that had failed for want of disk or memory start again" in again.stdout
    assert (folder / "leaderboard.csv").read_text().count("completed") == 2
    for number in range(2):
        kinds = [type(event) for event in events_of(folder / str(number))]
        assert kinds.count(Restarting) == 1 and kinds.count(EpochEnded) >= 2
        assert ended(folder / str(number)) == [("completed", None)]
    gone = {name for name in files(folder) if "4711" in name} | {path.name for path in folder.rglob("*4711*")}
    assert not gone and set(whole) <= set(files(folder))
    records = [json.loads(line)["record"] for line in (folder / "ledger").read_text().splitlines()]
    assert records.count("again") == 2

    last = here(*SWEEP, *QUICK, cwd=tmp_path)
    assert last.returncode == 0 and "2 already ended" in last.stdout


def test_a_run_that_lacked_disk_is_resumed(tmp_path):
    with room(100_000):
        done = here(*QUICK, cwd=tmp_path)
    (folder,) = (tmp_path / "outputs/runs").iterdir()
    assert (done.returncode, done.stderr) == (1, "")
    assert f"failed: File too large: {folder}/state.h5" in done.stdout
    assert f"go on with the same command and resume=outputs/runs/{folder.name}" in done.stdout
    again = here(*QUICK, f"resume=outputs/runs/{folder.name}", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert ended(folder) == [("completed", None)]


def test_without_room_for_what_the_parent_writes_a_line_says_so(tmp_path):
    for size in (3, 2000):
        with room(size):
            done = here(*SWEEP, *QUICK, cwd=tmp_path)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert re.match(r"(No space left on device|File too large): outputs/sweeps/s/\S+\. What was there", line)
        assert line.endswith("before is whole: make room, and repeat the command.")
    assert here(*SWEEP, *QUICK, cwd=tmp_path).returncode == 0
