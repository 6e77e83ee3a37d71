"""A file of any format that the map `formats:` of conf/config.yaml names a reader for."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data import parts
from pipeline.data.encoding import Encoding
from pipeline.data.examples import Examples
from pipeline.data.formats.reader import Reader, parts_of, read_examples, reader_of, suffixes, takes
from pipeline.data.splits import Splits
from pipeline.data.trainable import check_memory, trainable
from pipeline.errors import InputError, first_of

DEFAULTS: Mapping[str, object] = {
    **{"inputs": None, "labels": None, "label": None, "drop": [], "categorical": [], "missing": "error"},
    **{"heading": "auto", "decimal": ".", "thousands": None, "missing_values": []},
    **{"size": [64, 64], "channels": "rgb", "bits": None},
}  # what conf/dataset/file.yaml says of keys that some reader takes: they go to those that do


def file(
    *,
    file: str,
    format: str,
    validation: parts.Place | None,
    test: parts.Place | None,
    validation_fraction: float,
    test_fraction: float,
    memory: str,
    formats: Mapping[str, str],
    seed: int,
    **keys: Any,
) -> Splits:
    """What the reader of a format gives of a file, or that of its suffix, if `format` is `auto`.

    validation, test: where a part has a place of its own: another file, or keys. One that has none is what the file
    itself has as such, else split off the training part by seed.
    keys: for the reader. Another table than the training part is encoded as that is.
    Raises InputError with the file and what to do for whatever can't be trained on.
    """
    encoding: Encoding | None = None

    def at(place: parts.Place) -> Examples:
        nonlocal encoding
        path, own = Path(place["file"]), {key: value for key, value in place.items() if key != "file"}
        read = needed_reader(path, formats, format)
        examples = trainable(read_examples(read, path, own, {**DEFAULTS, "memory": memory, "encoding": encoding}))
        if not takes(read, "memory") and not examples.inputs.streamed:
            check_memory(str(path), examples.inputs.nbytes, memory, "file")
        encoding = encoding or examples.encoding
        return examples

    asked = reader_keys(keys)
    known = {}
    if "inputs" not in asked and "labels" not in asked:
        known = parts_of(needed_reader(Path(file), formats, format), Path(file))
    place = {"file": file, **asked, **known.get("train", {})}
    own = parts.located(at, place, {"validation": validation, "test": test}, known if "train" in known else {})
    splits = parts.divide(own, {"validation": validation_fraction, "test": test_fraction}, seed)
    return parts.held(splits, memory)


def reader_keys(arguments: Mapping[str, object]) -> dict[str, object]:
    """What of the arguments of `dataset=file` the user gives the reader."""
    own = inspect.signature(file).parameters
    return {k: v for k, v in arguments.items() if k not in own and (k not in DEFAULTS or v != DEFAULTS[k])}


def needed_reader(path: Path, formats: Mapping[str, str], format: str) -> Reader:
    """The reader of a file. Raises InputError if there is none."""
    if read := reader_of(path, formats, format):
        return read
    if not path.exists():
        raise InputError(f"{path}: there is no such file.")
    known = first_of(sorted(suffix for suffix in suffixes(formats) if suffix.startswith(".")))
    raise InputError(
        f"{path}: no format has this suffix. Suffixes: {known}; or say dataset.format={', '.join(formats)}."
    )
