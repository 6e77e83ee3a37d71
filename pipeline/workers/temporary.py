"""What libraries leave in the temporary folder: TensorFlow writes a file for each function that it rewrites, and
deletes them at an exit that a worker never comes to."""

import contextlib
import shutil
import tempfile
from pathlib import Path

from pipeline import locks

PREFIX = "caviar-workers-"


class TemporaryFolder:
    """One for all workers of this process, until close(); those of processes that were killed are removed first."""

    def __init__(self) -> None:
        for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
            with contextlib.suppress(OSError):  # in use, or somebody else's
                locks.exclusive(left, wait=False).close()
                shutil.rmtree(left.parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        # Under its name once it is held: before, another start would take the folder for one of the dead.
        self._lock = locks.exclusive(self.path / "new", wait=True)
        (self.path / "new").rename(self.path / "lock")

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()
