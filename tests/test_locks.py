import subprocess
import sys

import pytest

from pipeline.locks import exclusive
from tests.conftest import ROOT

HOLD = (
    "import sys, time; from pathlib import Path; from pipeline.locks import exclusive\n"
    "held = exclusive(Path(sys.argv[1]), wait=False); print('held', flush=True); sys.stdin.read()"
)


def test_one_process_holds_a_file_until_it_ends(tmp_path):
    path = tmp_path / "lock"
    path.write_text("content")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            exclusive(path, wait=False)
        other.stdin.close()
        exclusive(path, wait=True).close()
    exclusive(path, wait=False).close()
    assert path.read_text() == "content"


def test_a_file_is_made_only_where_its_folder_is(tmp_path):
    with exclusive(tmp_path / "new", wait=False):
        assert (tmp_path / "new").exists()
    with pytest.raises(FileNotFoundError):
        exclusive(tmp_path / "absent/new", wait=True)
