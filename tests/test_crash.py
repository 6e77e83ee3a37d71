"""Files on which HDF5 hangs or crashes: one line says so, exit status 2, and nothing is left behind."""

import contextlib
import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline import crash, hdf5, hdf5_contents
from tests.conftest import PATIENCE, ROOT, command, files

HANGS = "bad.h5: HDF5 reads its structure without end; it is damaged. Use another copy."
CRASHES = "bad.h5: HDF5 crashes on its structure; it is damaged. Use another copy."
QUICK = {**os.environ, "PYTHONPATH": str(ROOT)}


def endless(path: Path) -> None:
    """The heap in which texts of any length lie begins with one that takes no place: the next one is itself."""
    raw = bytearray(path.read_bytes())
    first = raw.index(b"GCOL") + 16
    raw[first : first + 16] = bytes(16)
    path.write_bytes(raw)


def bottomless(path: Path) -> None:
    """The tree in which chunks are listed has itself as its first branch."""
    raw = bytearray(path.read_bytes())
    nodes = [i for i in range(len(raw)) if raw.startswith(b"TREE\1", i)]
    root = next(i for i in nodes if raw[i + 5])  # its level
    raw[root + 56 : root + 64] = root.to_bytes(8, "little")
    path.write_bytes(raw)


def write(path: Path, *, model: bool = False) -> None:
    """Examples with names for labels, in many chunks; or what there is of a model before its layers are read."""
    with h5py.File(path, "w") as file:
        file.create_dataset("inputs", data=np.zeros((200, 2), np.float32), chunks=(1, 2))
        file.create_dataset("labels", data=np.array(["cat", "dog"])[np.arange(200) % 2].astype(object))
        file.attrs["class_names"] = ["cat", "dog"]
        if model:
            file.attrs.update({"model_config": "{}", "class_names": '["cat", "dog"]', "input_shape": "[2]"})
            file.attrs["input_dtype"] = "float32"


def run_py(*arguments: str) -> list[str]:
    return command("dataset=file", "dataset.file=bad.h5", *arguments)


def pipeline(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipeline", *arguments]


COMMANDS = {
    "a run": run_py(),
    "a sweep": run_py("-m", "sweep.name=s"),
    "the keys of a run": command("dataset=hdf5", "dataset.file=model.h5", "dataset.validation.file=bad.h5"),
    "inspect": pipeline("inspect", "bad.h5"),
    "convert": pipeline("convert", "dataset=file", "dataset.file=bad.h5", "out.h5"),
    "predict": pipeline("predict", "model.h5", "bad.h5"),
    "predict a key": pipeline("predict", "model.h5", "bad.h5:inputs"),
    "evaluate": pipeline("evaluate", "model.h5", "bad.h5"),
    "evaluate a model": pipeline("evaluate", "bad.h5", "model.h5"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "message"), [(endless, HANGS), (bottomless, CRASHES)], ids=["hangs", "crashes"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_ends_its_reader_is_one_line(
    name: str, damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "model.h5", model=True)
    write(tmp_path / "bad.h5", model=name == "evaluate a model")
    damage(tmp_path / "bad.h5")
    before = files(tmp_path)
    # What is damaged is begun within milliseconds, so that what has hung for a second hangs for ever.
    environment = {**QUICK, "CAVIAR_SILENT_SECONDS": "1" if damage is endless else "600"}
    done = subprocess.run(
        COMMANDS[name], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (2, f"{message}\n")
    # What a sweep is may have been said.
    assert all(line.startswith(("composing the sweep", "sweep s: ")) for line in done.stdout.splitlines())
    assert files(tmp_path) == before


def ended_by(work: Callable[[], object], seconds: float = 600) -> tuple[int, str | None]:
    """How a disposable process ends that does some work, and the verdict on that."""
    with tempfile.TemporaryFile() as note:
        child = os.fork()
        if not child:
            faulthandler.disable()
            crash.make_disposable(note.fileno(), seconds)
            with contextlib.suppress(BaseException):
                work()
                os._exit(0)
            os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code, crash.verdict(note, -code)


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def test_what_goes_on_may_take_as_long_as_it_wants(tmp_path: Path) -> None:
    def work() -> None:
        with crash.watched(tmp_path):
            for _ in range(30):
                time.sleep(0.1)
                crash.reading()
        time.sleep(2.5)  # and nobody watches then

    assert ended_by(work, 2) == (0, None)


def test_what_does_not_go_on_is_ended(tmp_path: Path) -> None:
    def work() -> None:
        with crash.watched(tmp_path / "outer"):
            with crash.watched(tmp_path / "inner"):
                pass
            time.sleep(600)

    assert ended_by(work, 0.1) == (-signal.SIGALRM, f"{tmp_path / 'outer'}: {crash.VERDICTS[signal.SIGALRM]}")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGKILL])
def test_the_file_is_blamed_that_was_being_read(number: int, tmp_path: Path) -> None:
    def work() -> None:
        with crash.watched(tmp_path / "outer"), crash.watched(tmp_path / "inner"):
            die(number)

    somebody = number == signal.SIGKILL  # or the system, for want of memory
    message = None if somebody else f"{tmp_path / 'inner'}: HDF5 crashes on its structure; it is damaged."
    code, verdict = ended_by(work)
    assert code == -number
    assert verdict == (message and f"{message} Use another copy.")


def test_no_file_is_blamed_once_it_is_read(tmp_path: Path) -> None:
    def work() -> None:
        with crash.watched(tmp_path):
            pass
        die(signal.SIGSEGV)

    assert ended_by(work) == (-signal.SIGSEGV, None)


def test_a_process_that_must_not_end_is_left_alone(tmp_path: Path) -> None:
    with crash.watched(tmp_path):
        crash.reading()
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_each_object_and_each_block_has_its_own_time(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["large"] = np.zeros((9, hdf5_contents.BLOCK_BYTES), np.uint8)
        for i in range(9):
            file[f"small {i}"] = np.zeros(3)

    def work() -> None:
        with hdf5.opened(tmp_path / "x.h5") as file:
            for pieces, n in ((hdf5_contents.objects(file), 10), (hdf5_contents.blocks(file["large"]), 9)):
                for _ in range(n):
                    signal.setitimer(signal.ITIMER_REAL, 500)
                    next(pieces)
                    assert signal.getitimer(signal.ITIMER_REAL)[0] > 1000

    assert ended_by(work, 2000) == (0, None)


def test_who_ends_a_command_ends_its_child(tmp_path: Path) -> None:
    write(tmp_path / "bad.h5")
    endless(tmp_path / "bad.h5")
    environment = {**QUICK, "CAVIAR_SILENT_SECONDS": "600"}
    line = pipeline("inspect", "bad.h5")
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        while not (child := children.read_text().strip()):
            time.sleep(0.1)
        time.sleep(0.5)
        parent.terminate()
        assert parent.stderr is not None
        assert parent.stderr.read() == "inspect bad.h5: killed by SIGTERM\n"
    assert parent.returncode == 128 + signal.SIGTERM
    assert not Path(f"/proc/{child}").exists()
