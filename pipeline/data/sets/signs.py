"""The hand signs of the course: digits 0 to 5 shown with the fingers, in two HDF5 files."""

from pathlib import Path

from pipeline.data.formats.hdf5 import hdf5
from pipeline.data.splits import Splits
from pipeline.errors import InputError


def signs(*, train_file: str, test_file: str, validation_fraction: float, memory: str, seed: int) -> Splits:
    """Images of 64 x 64 x 3 bytes in six classes: `train_set_x`, `train_set_y` and `list_classes` in one file,
    `test_set_x` and `test_set_y` in the other. The validation part is split off the training part by seed."""
    for key, path in (("train_file", train_file), ("test_file", test_file)):
        if not Path(path).is_file():
            raise InputError(f"dataset.{key}={path}: there is no such file; say where it is: dataset.{key}=PATH.")
    return hdf5(
        file=train_file,
        inputs="train_set_x",
        labels="train_set_y",
        validation={},
        test={"file": test_file, "inputs": "test_set_x", "labels": "test_set_y"},
        validation_fraction=validation_fraction,
        test_fraction=0.0,
        memory=memory,
        seed=seed,
    )
