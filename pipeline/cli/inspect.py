"""Says what a file or a data set holds: a model, a training state, examples with labels, or anything in HDF5.

FILE is model.h5: its description, layers and checksum; state.h5: how far training is; examples in .h5, .npz, .npy,
.csv, .parquet, a folder of images or a format of your own, or dataset=NAME with its keys: shapes, types, values and how
many there are of each class; or any other HDF5 file: its datasets and attributes. dataset.KEY=VALUE goes to the reader
of the file.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import h5py

from pipeline import crash, hdf5
from pipeline.cli.views import architecture, contents
from pipeline.cli.views.data import measured
from pipeline.cli.views.samples import draw
from pipeline.cli.views.text import clean, print_json
from pipeline.data.examples import Examples
from pipeline.data.formats.file import reader_keys
from pipeline.data.formats.hdf5 import read as hdf5_reader
from pipeline.data.formats.reader import Reader, parts_of, reader_of, readers, survey, takes
from pipeline.data.splits import Splits
from pipeline.errors import InputError
from pipeline.hdf5 import opened
from pipeline.saving import model_attributes

CHECKSUMS = {
    hdf5.INTACT: "as it was written (checksum agrees)",
    hdf5.CHANGED: "CHANGED since it was written (checksum mismatch)",
    hdf5.UNSEALED: "no checksum",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} FILE | dataset=NAME [dataset.KEY=VALUE ...] [options]"
    parser.add_argument("words", metavar="FILE", nargs="+", help="a file, or dataset=NAME with its keys")
    parser.add_argument("--picture", metavar="FILE.png", type=Path, help="draw examples, a row a class")
    parser.add_argument("--labels", metavar="COLUMN", help="column of the labels in a .csv or .parquet file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Exit status 2 if the file has changed since it was written, though what it holds is printed."""
    from pipeline.cli.sources import datasets

    files, overrides = datasets.parted(options.words)
    if len(files) > 1 or (files and any(word.startswith("dataset=") for word in overrides)):
        raise InputError(f"one FILE, or dataset=NAME with its keys; received {', '.join(options.words)}.")
    title = files[0] if files else " ".join(overrides)
    path = Path(title)
    if options.picture:
        _check_picture(options.picture)
    found: dict[str, Any] = {"file": title, "kind": "data"}
    examples: dict[str, Examples] = {}
    if not files:
        if options.labels is not None:
            raise InputError(f"--labels={options.labels}: names a column of a file, not of {title}.")
        examples = _of_splits(datasets.chosen(overrides)[0])
    else:
        read, keys = _reader(path, overrides, options.labels)
        if read is hdf5_reader:
            with opened(path) as file:
                found |= _hdf5(path, file)
        if found["kind"] == "data" or (found["kind"] == "hdf5" and (keys or parts_of(read, path))):
            examples = survey(read, path, keys)
            found["kind"] = "data"
    if examples:
        found |= {key: value for key, value in measured(examples).items() if key not in found}
    if options.json:
        print_json(found)
    else:
        state = f": {CHECKSUMS[found['checksum']]}" if "checksum" in found else ""
        print(f"{clean(title)}{state}")
        {
            "model": contents.show_model,
            "state": contents.show_state,
            "hdf5": contents.show_tree,
            "data": contents.show_examples,
        }[found["kind"]](found)
    if options.picture:
        if not examples:
            hint = f"; name them: inspect dataset=hdf5 dataset.file={title} dataset.inputs=KEY dataset.labels=KEY"
            known = f"holds no examples with labels that are known as such{hint if found['kind'] == 'hdf5' else ''}"
            raise InputError(f"--picture: {title} {known}.")
        draw(examples, options.picture)
        print(f"picture: {clean(options.picture)}", file=sys.stderr if options.json else sys.stdout)
    if found.get("checksum") == hdf5.CHANGED:
        print(hdf5.changed(path), file=sys.stderr)
        return 2
    return 0


def _reader(path: Path, words: list[str], label: str | None) -> tuple[Reader, dict[str, Any]]:
    """The reader of a file, that of HDF5 if there is no other, and what the user gives it."""
    from pipeline.cli.sources import datasets

    if label is None and not words and path.suffix.lower() in hdf5_reader.suffixes:
        return hdf5_reader, {}  # a model need not wait for the config
    config = datasets.for_file(str(path), words)
    formats, keys = config.formats, reader_keys(config.dataset.arguments)
    read = reader_of(path, formats, config.dataset.arguments["format"]) or hdf5_reader
    if label is not None and not takes(read, "label"):
        tables = [suffix for other in readers(formats).values() if takes(other, "label") for suffix in other.suffixes]
        raise InputError(f"--labels={label}: names a column of {' or '.join(tables)}, not of {path}.")
    return read, keys | ({} if label is None else {"label": label})


def _of_splits(splits: Splits) -> dict[str, Examples]:
    return {
        name: Examples(
            name,
            split.inputs,
            split.labels,
            splits.class_names,
            attributes=splits.attributes,
            storage="in a file" if split.streamed else "in memory",
        )
        for name, split in splits.parts.items()
    }


def _check_picture(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise InputError(f"--picture={path}: must end in .png.")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(
            f"--picture={path}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}."
        )


def _hdf5(path: Path, file: h5py.File) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "hdf5", "checksum": hdf5.checksum(file)}
    if "model_config" in file.attrs:
        layers = architecture.layers(file)
        return found | {
            "kind": "model",
            "description": model_attributes(path),
            "layers": [
                {"name": layer.name, "class": layer.kind, "output_shape": layer.output_shape}
                | {"weights": layer.weights, "parameters": layer.parameters}
                for layer in layers
            ],
            "parameters": sum(layer.parameters for layer in layers),
        }
    found |= {"attributes": _attributes(file), "items": _items(file)}
    progress = _progress(found["attributes"])
    return found | ({"kind": "state", "progress": progress} if progress is not None and "model" in file else {})


def _attributes(item: h5py.HLObject) -> dict[str, Any]:
    """The attributes of a group or dataset; one of a type that h5py can't read is said to be so."""
    values = {}
    for key in item.attrs:
        crash.reading()
        try:
            values[key] = item.attrs[key]
        except (OSError, TypeError, ValueError):
            values[key] = "(unreadable)"
    return values


def _items(file: h5py.File) -> list[dict[str, Any]]:
    """Every dataset, and every group that has attributes or is empty: the others show in the names."""
    items = []
    for name, item in hdf5.objects(file):
        attributes = _attributes(item)
        if isinstance(item, h5py.Dataset):
            items.append({"name": name, "shape": item.shape, "dtype": str(item.dtype), "attributes": attributes})
        elif attributes or not isinstance(item, h5py.Group) or not len(item):
            items.append({"name": f"{name}/", "shape": None, "dtype": None, "attributes": attributes})
    return items


def _progress(attributes: dict[str, Any]) -> dict[str, Any] | None:
    """What a state.h5 says about how far its training is; None for another file."""
    try:
        progress = json.loads(attributes.get("progress", ""))
    except (TypeError, ValueError):
        return None
    return progress if isinstance(progress, dict) else None
