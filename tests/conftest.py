"""What several test files share: running the program as a user does."""

import contextlib
import gc
import io
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from pipeline.config import Composed
from pipeline.heads.head import Head
from pipeline.heads.lookup import make_head
from pipeline.hydra_schema import register

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same results, and the same answer to device=gpu, on every machine
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="caviar-cache-")  # what other runs measured decides nothing

gc.disable()  # until all is imported: a million objects, that live as long as the tests and need no collecting

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "pipeline/plugins"))  # Hydra looks for plugins once a process, whoever is the first to ask
# Seconds instead of minutes: 900 points in the plane, a narrow net, large batches. To trace layers is what takes long.
TINY = ("dataset=blobs", "model.hidden_units=8", "model.hidden_layers=1", "train.batch_size=128", "train.epochs=2")
PATIENCE = 1200.0  # seconds after which something hangs, on however slow a machine: no test measures one
MAPS = {key: dict(OmegaConf.load(ROOT / "conf/config.yaml")[key]) for key in ("heads", "metrics")}


def head(name: str = "softmax", asked: Sequence[str] = ()) -> Head:
    """A head as conf/config.yaml has it, which records the metrics that are `asked` for, too."""
    return make_head(name, **MAPS, asked=asked)


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # or xdist begins with the files of most tests, not with the longest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: a worker runs a file whole, and a long one begun last would keep the others idle."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(50_000)  # TensorFlow traces millions of objects, and a tenth of that time was spent on looking
    gc.enable()


def composed(*overrides: str) -> Composed:
    """What `python run.py *overrides` composes, in this process."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return Composed(compose("config", list(overrides)))


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), *arguments]


def caviar(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python run.py *arguments` from the folder `cwd`, where its outputs/ go."""
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)


def children(pid: int) -> list[int]:
    """The processes that the main thread of a process has started and that are still there."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Returns once `condition()` is true; `process` must not have ended by then."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, "the process ended before it came to that"
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


_get_mode = Hydra.get_mode


def mode_of(hydra: Hydra, config_name: str | None, overrides: list[str]) -> Any:
    """Hydra composes every config twice, first for its hydra.mode alone, which nobody says but by that name."""
    return _get_mode(hydra, config_name, overrides) if any("hydra" in line for line in overrides) else None


def here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What caviar() gives, of run.py executed in this process: for what a process of its own adds nothing to.

    With executor=inline TensorFlow is imported once for all of them. What other commands left is not seen.
    """
    GlobalHydra.instance().clear()
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ))
        stack.enter_context(mock.patch.object(sys, "argv", command(*arguments)[1:]))
        stack.enter_context(mock.patch.object(sys, "path", [*sys.path]))
        stack.enter_context(mock.patch.object(Hydra, "get_mode", mode_of))
        stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            runpy.run_path(str(ROOT / "run.py"), run_name="__main__")
        except SystemExit as ended:
            status = ended.code
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def interrupting(condition: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C in this process once `condition()` is true, of what is run in here() meanwhile."""
    left = threading.Event()

    def interrupt() -> None:
        wait_for(lambda: left.is_set() or condition())
        if not left.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        interrupted = pool.submit(interrupt)
        try:
            yield
        finally:
            left.set()
            interrupted.result()


def files(folder: Path) -> Sequence[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
