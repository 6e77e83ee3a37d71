"""What several test files share: running the program as a user does."""

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same results, and the same answer to device=gpu, on every machine
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="caviar-cache-")  # what other runs measured decides nothing

gc.disable()  # until all is imported: a million objects, that live as long as the tests and need no collecting

ROOT = Path(__file__).parents[1]
# Seconds instead of minutes: 900 points in the plane, a narrow net, large batches.
TINY = ("dataset=blobs", "model.hidden_units=8", "train.batch_size=128", "train.epochs=2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: a worker runs a file whole, and a long one begun last would keep the others idle."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), *arguments]


def caviar(*arguments: str, cwd: Path, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    """`python run.py *arguments` from the folder `cwd`, where its outputs/ go."""
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=timeout)


def files(folder: Path) -> Sequence[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
