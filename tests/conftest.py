"""What several test files share: running the program as a user does."""

import contextlib
import gc
import io
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from hydra.core.global_hydra import GlobalHydra

from pipeline.data import sources
from pipeline.workers import devices

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same results, and the same answer to device=gpu, on every machine
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="caviar-cache-")  # what other runs measured decides nothing

gc.disable()  # until all is imported: a million objects, that live as long as the tests and need no collecting

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "pipeline/plugins"))  # Hydra looks for plugins once a process, whoever is the first to ask
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


def here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What caviar() gives, of run.py executed in this process: for what a process of its own adds nothing to.

    With executor=inline TensorFlow is imported once for all of them. What other commands left is not seen.
    """
    GlobalHydra.instance().clear()
    sources._splits.clear()  # keyed by paths, which start from another folder now
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ))
        stack.enter_context(mock.patch.object(devices, "_before", None))
        stack.enter_context(mock.patch.object(sys, "argv", command(*arguments)[1:]))
        stack.enter_context(mock.patch.object(sys, "path", [*sys.path]))
        stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            runpy.run_path(str(ROOT / "run.py"), run_name="__main__")
        except SystemExit as ended:
            status = ended.code
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def files(folder: Path) -> Sequence[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
