"""state.h5: everything a trial needs to go on exactly where it stood."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
            file.attrs["progress"] = json.dumps(asdict(progress))

    hdf5.write(path, fill)


def load(path: Path, identity: str | None = None) -> tuple[dict[str, np.ndarray], Weights, Progress] | None:
    """What save() wrote; None if there is no file, it is damaged, or it is another trial's, for a trial can always
    begin again."""
    with contextlib.suppress(InputError, OSError, RuntimeError, KeyError, ValueError, TypeError):
        hdf5.check(path)
        with h5py.File(path, "r") as file:
            if identity in (None, file.attrs["identity"]):
                groups = [(name, file[name]) for name in ("model", "optimizer")]
                state = {f"{name}/{key}": group[key][()] for name, group in groups for key in group}
                return state, *_best(file)
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
        return _best(file)


def _best(file: h5py.File) -> tuple[Weights, Progress]:
    best = [file["best"][name][()] for name in sorted(file["best"])] if "best" in file else []
    return best, Progress(**json.loads(file.attrs["progress"]))


@dataclass(frozen=True)
class SavedPopulation:
    """Trials that train as one and copy each other, all at the same epoch; by number."""

    state: list[np.ndarray]  # of the trainer
    progress: dict[int, Progress]
    best: dict[int, Weights]  # of those that have a best epoch
    params: dict[int, Mapping[str, Any]]  # hyperparameters


def save_population(path: Path, saved: SavedPopulation, identity: str) -> None:
    """Writes one file, whole or not at all: a kill never leaves trials at different epochs."""

    def fill(temporary: Path) -> None:
        with hdf5.Sink(temporary, "w+b") as sink, h5py.File(sink, "w") as file:
            for i, array in enumerate(saved.state):
                file[f"state/{i:04d}"] = array
            for i, arrays in enumerate(zip(*saved.best.values())):  # of as many trials as there are: few data sets
                file[f"best/{i:04d}"] = np.stack(arrays)
            file.attrs["identity"] = identity
            file["trials"] = json.dumps(
                {
                    "progress": {number: asdict(progress) for number, progress in saved.progress.items()},
                    "params": saved.params,
                    "best": list(saved.best),
                }
            )

    hdf5.write(path, fill)


def load_population(path: Path, identity: str) -> SavedPopulation | None:
    """What save_population() wrote; None if there is no file, it is damaged, or another population's."""
    with contextlib.suppress(InputError, OSError, RuntimeError, KeyError, ValueError, TypeError):
        hdf5.check(path)
        with h5py.File(path, "r") as file:
            if file.attrs["identity"] == identity:
                trials = json.loads(file["trials"].asstr()[()])
                best = [file["best"][name][()] for name in sorted(file["best"])] if trials["best"] else []
                return SavedPopulation(
                    [file["state"][name][()] for name in sorted(file["state"])],
                    {int(number): Progress(**progress) for number, progress in trials["progress"].items()},
                    {number: [array[i] for array in best] for i, number in enumerate(trials["best"])},
                    {int(number): params for number, params in trials["params"].items()},
                )
    return None
