"""One tiny model for all tests of the commands, and what is made from it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pipeline import hdf5
from pipeline.__main__ import main
from pipeline.data.stream.stored import Stored
from tests.conftest import TINY, here

POINTS = np.array([[1, 0], [-0.5, 0.866], [-0.5, -0.866]], np.float32)
TRAIN = (*TINY[:-1], "train.epochs=1")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on blobs: 3 classes, inputs [2]; 540 examples to train on, 180 validation, 180 test."""
    folder = tmp_path_factory.mktemp("cli")
    result = here(*TRAIN, "executor=inline", "tracking=none", cwd=folder)
    assert result.returncode == 0, result.stderr
    (run,) = (folder / "outputs/runs").iterdir()
    return run


@pytest.fixture(scope="session")
def model(run_folder: Path) -> Path:
    return run_folder / "model.h5"


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`python -m pipeline *arguments` in this process: TensorFlow is imported once for all tests."""

    def call(*arguments: object) -> Done:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return Done(status, *capfd.readouterr())

    return call


def forge(model: Path, path: Path, **attributes: Any) -> Path:
    """A copy of a model at `path` with other attributes, sealed again as a forger would; None takes one away."""
    shutil.copy(model, path)
    with h5py.File(path, "r+") as file:
        for key, value in attributes.items():
            if value is None:
                del file.attrs[key]
            else:
                file.attrs[key] = value
        file.attrs[hdf5.DIGEST] = hdf5.digest(file)
    return path


@pytest.fixture
def altered(model: Path, tmp_path: Path) -> Callable[..., Path]:
    """Forges the model into a new file."""
    return lambda **attributes: forge(model, tmp_path / f"{len(list(tmp_path.iterdir()))}.h5", **attributes)


class Counting(Stored):
    """Rows in a file that say how many of them each reading took."""

    def __init__(self, path: Path, key: str, n: int) -> None:
        self.lengths: list[int] = []
        super().__init__(path, key, np.arange(n))

    def read(self, start: int, stop: int) -> np.ndarray:
        self.lengths.append(stop - start)
        return super().read(start, stop)


def write(path: Path, content: Any) -> Path:
    """Writes text, or an array in the format of the path's suffix."""
    if isinstance(content, str):
        path.write_text(content)
    elif path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    else:
        with h5py.File(path, "w") as file:
            for key, value in content.items():
                file[key] = value
    return path


def wrong(done: Done, expected: str) -> None:
    """Asserts what wrong input leads to: status 2, and a line or two with `expected` on stderr only."""
    assert (done.status, done.out) == (2, "")
    assert expected in done.err
    assert len(done.err.splitlines()) <= 2
