"""Says what a file or a data set holds: a model, a training state, examples with labels, or anything in HDF5.

FILE is model.h5: its description, layers and checksum; state.h5: how far training is; examples in .h5, .npz, .npy,
.csv, .parquet, a folder of Parquet files or of images or a format of your own, or dataset=NAME with its keys: shapes,
types, values and how many there are of each class; or any other HDF5 file: its datasets and attributes.
dataset.KEY=VALUE goes to the reader of the file.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import hdf5, hdf5_contents
from pipeline.cli.sources.words import check_output, parted
from pipeline.cli.views.data import Data
from pipeline.cli.views.model import ModelFile
from pipeline.cli.views.samples import draw
from pipeline.cli.views.text import clean, portable, print_error, print_json
from pipeline.cli.views.tree import UNREADABLE, Tree
from pipeline.data.examples import Examples
from pipeline.data.formats.hdf5 import read as hdf5_reader
from pipeline.data.formats.reader import Reader, parts_of, reader_of, readers, survey, takes
from pipeline.data.splits import Splits
from pipeline.errors import InputError, first_of

CHECKSUMS = {
    None: "",
    hdf5.INTACT: ": as it was written (checksum agrees)",
    hdf5.CHANGED: ": CHANGED since it was written (checksum mismatch)",
    hdf5.UNSEALED: ": no checksum",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} FILE | dataset=NAME [dataset.KEY=VALUE ...] [options]"
    parser.add_argument("words", metavar="FILE", nargs="+", help="a file, or dataset=NAME with its keys")
    parser.add_argument("--picture", metavar="FILE.png", type=Path, help="draw examples, a row a class")
    parser.add_argument("--labels", metavar="COLUMN", help="column of the labels in a .csv or .parquet file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Exit status 2 if the file has changed since it was written, or its examples can't be read, though what it
    holds is printed."""
    files, overrides = parted(options.words)
    if len(files) > 1 or (files and any(word.startswith("dataset=") for word in overrides)):
        raise InputError(f"one FILE, or dataset=NAME with its keys; received {', '.join(options.words)}.")
    title = files[0] if files else " ".join(overrides)
    path = Path(title)
    if options.picture:
        check_output(options.picture, [".png"], "--picture=")
    contents: list[Data | ModelFile | Tree] = []  # the last one is shown, --json has all of them
    examples: dict[str, Examples] = {}
    checksum = problem = None
    if files:
        read, keys = _reader(path, overrides, options.labels)
        if read is hdf5_reader:
            with hdf5.opened(path, references=True) as file:
                if "model_config" in file.attrs:
                    hdf5_contents.refuse_references(file)
                checksum = hdf5.checksum(file)
                contents.append(ModelFile.of(file) if "model_config" in file.attrs else Tree.of(file))
        try:
            if not contents or (contents[0].kind == "hdf5" and (keys or parts_of(read, path))):
                examples = survey(read, path, keys)
        except InputError as error:
            if not contents or keys:
                raise
            problem = error  # all the same, what else there is can be shown
    elif options.labels is not None:
        raise InputError(f"--labels={options.labels}: names a column of a file, not of {title}.")
    else:
        from pipeline.cli.sources.conf import chosen

        examples = _of_splits(chosen(overrides)[0])
    if examples:
        attributes = next((part.attributes for part in contents if isinstance(part, Tree)), None)
        contents.append(Data.of(examples, attributes))
    if options.json:
        report: dict[str, object] = {"file": title, "kind": contents[-1].kind}
        report |= {"checksum": checksum} if checksum else {}
        for part in contents:
            report |= portable(part)
        print_json(report)
    else:
        print(f"{clean(title)}{CHECKSUMS[checksum]}")
        contents[-1].show()
        items = contents[0].items if examples and isinstance(contents[0], Tree) else []
        if references := [item.name for item in items if item.reference]:
            print(f"in other files, which are not read: {clean(first_of(references))}")
        if unreadable := [item.name for item in items if item.dtype == UNREADABLE]:
            print(f"of a type that can't be read: {clean(first_of(unreadable))}")
    if options.picture:
        if not examples:
            hint = f"; name them: inspect dataset=hdf5 dataset.file={title} dataset.inputs=KEY dataset.labels=KEY"
            known = f"holds no examples with labels that are known as such{hint if contents[-1].kind == 'hdf5' else ''}"
            raise InputError(f"--picture: {title} {known}.")
        draw(examples, options.picture)
        print(f"picture: {clean(options.picture)}", file=sys.stderr if options.json else sys.stdout)
    if checksum == hdf5.CHANGED:
        print_error(hdf5.changed(path))
    elif problem:
        print_error(problem)
    return 2 if problem or checksum == hdf5.CHANGED else 0


def _reader(path: Path, words: list[str], label: str | None) -> tuple[Reader, dict[str, Any]]:
    """The reader of a file, that of HDF5 if there is no other, and what the user gives it."""
    if label is None and not words and path.suffix.lower() in hdf5_reader.suffixes:
        return hdf5_reader, {}  # a model need not wait for the config
    from pipeline.cli.sources.conf import for_file

    reading = for_file(str(path), words)
    read = reader_of(path, reading.formats, reading.format) or hdf5_reader
    if label is not None and not takes(read, "label"):
        tables = [
            suffix for other in readers(reading.formats).values() if takes(other, "label") for suffix in other.suffixes
        ]
        raise InputError(f"--labels={label}: names a column of {' or '.join(tables)}, not of {path}.")
    return read, {**reading.keys, **({} if label is None else {"label": label})}


def _of_splits(splits: Splits) -> dict[str, Examples]:
    examples = {}
    for name, part in splits.parts.items():
        of_part = Examples(name, part.inputs, part.labels, splits.class_names, attributes=splits.attributes)
        examples[name] = replace(of_part, storage="in a file" if part.streamed else "in memory")
    return examples
