"""state.h5: everything a trial needs to go on exactly where it stood."""

import json
from pathlib import Path

import h5py
import numpy as np

from pipeline import hdf5
from pipeline.errors import InputError
from pipeline.training.progress import Progress

Weights = list[np.ndarray]


def save(path: Path, state: dict[str, np.ndarray], best: Weights, progress: Progress, identity: str = "") -> None:
    """Writes groups `model/`, `optimizer/` (one dataset a variable) and `best/` (the best epoch's weights), for the
    trial that `identity` stands for (its config and data). A state of {} keeps the best weights only."""

    def fill(temporary: Path) -> None:
        with hdf5.Sink(temporary, "w+b") as sink, h5py.File(sink, "w") as file:
            for name, array in state.items():
                file[name] = array
            for i, array in enumerate(best):
                file[f"best/{i:04d}"] = array
            file.attrs["identity"] = identity
            file.attrs["progress"] = json.dumps(progress.to_dict())

    hdf5.write(path, fill)


def load(path: Path, identity: str | None = None) -> tuple[dict[str, np.ndarray], Weights, Progress] | None:
    """What save() wrote; None if there is no file, it is damaged, or it is another trial's, for a trial can always
    begin again."""
    try:
        return _load(path, identity)
    except (InputError, OSError, RuntimeError, KeyError, ValueError, TypeError):
        return None


def load_best(path: Path, identity: str) -> tuple[Weights, Progress]:
    """The best epoch's weights, in the order of model.weights. Raises InputError if there are none, or the file is
    another trial's."""
    hdf5.check(path)
    with hdf5.opened(path) as file:
        if "best" not in file or "progress" not in file.attrs:
            raise InputError(f"{path}: no weights of a best epoch are in it.")
        if file.attrs.get("identity") != identity:
            raise InputError(f"{path}: it was trained with another config or on other data than are there now.")
        return [file["best"][name][()] for name in sorted(file["best"])], Progress(**json.loads(file.attrs["progress"]))


def _load(path: Path, identity: str | None) -> tuple[dict[str, np.ndarray], Weights, Progress] | None:
    hdf5.check(path)
    with h5py.File(path, "r") as file:
        if identity is not None and file.attrs["identity"] != identity:
            return None
        state = {f"{group}/{name}": file[group][name][()] for group in ("model", "optimizer") for name in file[group]}
        best = [file["best"][name][()] for name in sorted(file["best"])] if "best" in file else []
        return state, best, Progress(**json.loads(file.attrs["progress"]))
