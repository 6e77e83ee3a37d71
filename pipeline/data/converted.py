"""A data set as one HDF5 file, which `dataset=hdf5` trains on with the same three parts."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from pipeline import hdf5
from pipeline.data import attributes
from pipeline.data.splits import Split, Splits
from pipeline.data.stream.stored import as_read
from pipeline.errors import InputError

# Measured on smooth images with noise, four threads reading: gzip 1 kept 86 % of bytes, 67 % of floats, read at about
# 300 MB/s; lzf kept 100 % and 83 %, read at 4600 and 480 MB/s. gzip is the default for its size; where reading holds up
# training, lzf or none is better. Level 4 gained 1 to 2 % more. Shuffling helps numbers of many digits (18 % against
# 22 % of the digits data) and hurts floats of few values: of bytes divided by 255 it kept 67 %, plain gzip 35 %.
COMPRESSIONS: Mapping[str, Mapping[str, object]] = {
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
    about: Mapping[str, object],
    advance: Callable[[int], None],
) -> None:
    """Writes the parts as train/inputs, train/labels, validation/inputs and so on, in chunks of whole examples of
    at most `chunk_mb` MiB, a few at a time: what stays in a file is never in memory as a whole.

    about: where the data came from, kept as attributes; advance is told how many bytes of examples were written.
    The file is whole or absent, and sealed with a checksum. Raises InputError for values that can't be trained on, and
    OSError if it can't be written.
    """
    description = {**splits.attributes, attributes.LAYOUT: attributes.PARTS}
    description |= {f"{attributes.OWN}{key}": value for key, value in about.items()}
    if splits.encoding:
        description[attributes.ENCODING] = splits.encoding.to_json()
    description[attributes.CLASS_NAMES] = splits.class_names

    def fill(temporary: Path) -> None:
        # Attributes of more than 64 kB, as names of thousands of classes, came with the format of HDF5 1.8.
        with hdf5.Sink(temporary, "w+b") as sink, h5py.File(sink, "w", libver=("v108", "v108")) as file:
            for key, value in description.items():
                file.attrs[key] = attributes.as_attribute(value)
            for name, split in splits.parts.items():
                group = file.create_group(name)
                group.attrs["examples_per_class"] = np.bincount(split.labels, minlength=splits.n_classes)
                for nbytes in _write_part(group, split, chunk_mb, COMPRESSIONS[compression]):
                    sink.check()
                    advance(nbytes)

    hdf5.write(path, fill)


def _write_part(group: h5py.Group, split: Split, chunk_mb: float, filters: Mapping[str, object]) -> Iterator[int]:
    """Writes a part into its group; how many bytes of examples each step has written."""
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
            yield block.nbytes
