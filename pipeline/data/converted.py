"""A data set as one HDF5 file, which `dataset=hdf5` trains on with the same three parts."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline import hdf5 as files
from pipeline.data import attributes as descriptions
from pipeline.data.splits import Split, Splits
from pipeline.data.stream.stored import as_read
from pipeline.errors import InputError

# Measured on smooth images with noise, four threads reading: gzip 1 kept 86 % of bytes, 67 % of floats, read at about
# 300 MB/s; lzf kept 100 % and 83 %, read at 4600 and 480 MB/s. gzip is the default for its size; where reading holds up
# training, lzf or none is better. Level 4 gained 1 to 2 % more. Shuffling helps numbers of many digits (18 % against
# 22 % of the digits data) and hurts floats of few values: of bytes divided by 255 it kept 67 %, plain gzip 35 %.
COMPRESSIONS: dict[str, dict[str, Any]] = {
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    "lzf": {"compression": "lzf", "shuffle": True},
    "none": {},
}
CHUNKS_AT_ONCE = 8


def write(
    splits: Splits,
    path: Path,
    *,
    compression: str,
    chunk_mb: float,
    about: Mapping[str, Any],
    advance: Callable[[int], None],
) -> None:
    """Writes the parts as train/inputs, train/labels, validation/inputs and so on, in chunks of whole examples of
    at most `chunk_mb` MiB, a few at a time: what stays in a file is never in memory as a whole.

    about: where the data came from, kept as attributes; advance is told how many bytes of examples were written.
    The file is whole or absent, and sealed with a checksum. Raises InputError for values that can't be trained on, and
    OSError if it can't be written.
    """

    def fill(temporary: Path) -> None:
        # Attributes of more than 64 kB, as names of thousands of classes, came with the format of HDF5 1.8.
        with files.Sink(temporary, "w+b") as sink, h5py.File(sink, "w", libver=("v108", "v108")) as file:

            def written(n: int) -> None:
                sink.check()
                advance(n)

            for key, value in splits.attributes.items():
                file.attrs[key] = descriptions.written(value)
            file.attrs[descriptions.LAYOUT] = descriptions.PARTS
            for key, value in about.items():
                file.attrs[f"{descriptions.OWN}{key}"] = descriptions.written(value)
            if splits.encoding:
                file.attrs[descriptions.ENCODING] = json.dumps(splits.encoding.to_json())
            file.attrs["class_names"] = json.dumps(splits.class_names)
            for name, split in splits.parts.items():
                group = file.create_group(name)
                group.attrs["examples_per_class"] = np.bincount(split.labels, minlength=splits.n_classes)
                _write_part(group, split, chunk_mb, COMPRESSIONS[compression], written)

    files.write(path, fill)


def _write_part(
    group: h5py.Group,
    split: Split,
    chunk_mb: float,
    filters: Mapping[str, Any],
    advance: Callable[[int], None],
) -> None:
    for name, rows in (("inputs", split.inputs), ("labels", split.labels)):
        row = max(1, rows.nbytes // max(1, len(rows)))
        step = min(max(1, int(chunk_mb * 2**20) // row), max(1, len(rows)))
        dtype = as_read(rows.dtype) if name == "inputs" else np.dtype(np.int32)
        data = group.create_dataset(name, rows.shape, dtype, chunks=(step, *rows.shape[1:]), **filters)
        for at in range(0, len(rows), step * CHUNKS_AT_ONCE):
            block = rows[at : at + step * CHUNKS_AT_ONCE]
            with np.errstate(over="ignore"):  # told of below
                block = block.astype(dtype, copy=False)
            if dtype.kind == "f" and not (finite := np.isfinite(block).reshape(len(block), -1).all(1)).all():
                raise InputError(
                    f"{group.name[1:]}: example {at + int(finite.argmin())} has values that are not finite; "
                    "remove or replace such examples."
                )
            data[at : at + len(block)] = block
            advance(block.nbytes)
