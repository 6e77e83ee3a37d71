import subprocess
import sys
import tempfile

from pipeline.workers.temporary import TemporaryFolder
from tests.conftest import ROOT

KILLED = "import os; from pipeline.workers.temporary import TemporaryFolder; TemporaryFolder(); os._exit(1)"


def test_what_a_killed_process_left_goes_at_the_next_start_and_what_another_uses_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, check=False)
    (left,) = tmp_path.iterdir()
    (left / "__autograph_generated_file1.py").write_text("")
    (tmp_path / "caviar-workers-being-made").mkdir()
    used = TemporaryFolder()
    second = TemporaryFolder()
    assert {path.name for path in tmp_path.iterdir()} == {used.path.name, second.path.name, "caviar-workers-being-made"}
    used.close()
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == ["caviar-workers-being-made"]
