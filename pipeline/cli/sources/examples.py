"""INPUT on the command line: a file, or part of a data set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cli.sources.conf import for_file, names
from pipeline.cli.sources.saved_model import SavedModel
from pipeline.cli.views.text import Shape, clean, size, warn
from pipeline.data.encoding import Encoding
from pipeline.data.examples import Examples
from pipeline.data.formats.file import DEFAULTS
from pipeline.data.formats.reader import parts_of, read_examples, reader_of, suffixes, takes
from pipeline.data.parts import NAMES
from pipeline.errors import InputError, first_of, one_of

PART = re.compile(r"([\w\-]+):(\w+)(?:\[([^\[\]]*)\])?")


@dataclass(frozen=True)
class Input:
    title: str
    examples: Examples
    first: int = 0  # the number of the first example


def read_input(text: str | None, words: Sequence[str], model: SavedModel, *, labelled: bool) -> Input:
    """The examples that INPUT names; None means the test split of the data set that the model was trained on. words:
    `dataset.KEY=VALUE` for the reader of a file, and formats of the user's own. labelled: whether labels are needed."""
    if text is None:
        text = f"{model.description.dataset_name()}:test"
    if (part := PART.fullmatch(text)) and not Path(text).exists():
        return _part(text, part, words, model)
    reading = for_file(text, words)
    path, key = _file(text, suffixes(reading.formats))
    read = reader_of(path, reading.formats, reading.format)
    if read is None or (labelled and not getattr(read, "labelled", True)):
        forms = "FILE.npz or FILE.h5" if labelled else "FILE.npy, FILE.npz, FILE.h5"
        raise InputError(
            f"INPUT={text} is not understood. It is {forms}, FILE.h5:{'PART' if labelled else 'KEY'}, FILE.csv, "
            "FILE.parquet, a folder of such files or of images, or a part of a data set: DATASET:SPLIT, "
            f"DATASET:SPLIT[i] or DATASET:SPLIT[a:b].\nData sets: {', '.join(names())}. Splits: {', '.join(NAMES)}."
        )
    if not path.exists():
        raise InputError(f"{path}: there is no such file.")
    if key is None and not reading.keys and "test" in parts_of(read, path):
        key = "test"
    title = f"{path}:{key}" if key else str(path)
    encoding, signature = model.description.encoding, model.signature
    offered = {**DEFAULTS, "labelled": labelled, "encoding": encoding}
    if takes(read, "size"):
        offered |= _of_images(title, signature.input_shape) | {"bits": model.description.config("dataset", "bits")}
    examples = read_examples(read, path, {**reading.keys, **({"key": key} if key else {})}, offered)
    for warning in examples.warnings:
        warn(warning)
    _check_features(title, examples, encoding)
    if takes(read, "size") and signature.dtype != "uint8":
        warn(f"{title}: pixels are whole numbers 0 to 255, the model learned from {signature.dtype}, maybe others.")
    return Input(title, examples)


def _file(text: str, known: Sequence[str]) -> tuple[Path, str | None]:
    """FILE.h5:KEY as file and key; a file that is really called so wins."""
    ends = "|".join(re.escape(suffix) for suffix in known if suffix.startswith("."))
    keyed = re.fullmatch(rf"(.+(?:{ends})):(.+)", text, re.IGNORECASE)
    if keyed and not Path(text).exists():
        return Path(keyed[1]), keyed[2]
    return Path(text), None


def _of_images(title: str, shape: Shape) -> dict[str, object]:
    """How images are to be read for a model. Raises InputError if it takes none."""
    depth = shape[2] if len(shape) == 3 else 1
    if len(shape) not in (2, 3) or None in shape or depth not in (1, 3):
        raise InputError(f"{title}: images are height x width x 1 or 3; an example of this model is {size(shape)}.")
    return {"size": list(shape[:2]), "channels": "gray" if depth == 1 else "rgb"}


def _check_features(title: str, examples: Examples, encoding: Encoding | None) -> None:
    """Raises InputError if the inputs have names, and others than those that the model learned from."""
    features = examples.attributes.get("features")
    if encoding is not None and isinstance(features, list) and features != encoding.features:
        raise InputError(
            f"{title}: its inputs are {clean(first_of(map(str, features)))}; this model takes "
            f"{clean(first_of(encoding.features))}, in this order."
        )


def _part(text: str, match: re.Match[str], words: Sequence[str], model: SavedModel) -> Input:
    """The examples that `digits:test`, `digits:test[17]` or `digits:test[10:20]` name."""
    name, split_name, index = match.groups()
    if name not in names():
        raise one_of("dataset", name, names())
    if split_name not in NAMES:
        raise one_of("split", split_name, NAMES)
    splits = model.description.load(name, words)
    split = splits.parts[split_name]
    rows = _range(text, index, len(split))
    inputs, labels = split.inputs.select(rows), np.asarray(split.labels[rows])
    return Input(text, Examples(text, inputs, labels, splits.class_names), rows.start)


def _range(text: str, index: str | None, n: int) -> slice:
    """The examples that the brackets name, of `n`. Negative numbers count from the end, as in Python; but an end
    outside is an error."""
    if index is None:
        return slice(0, n)
    match = re.fullmatch(r"(-?\d+)|(-?\d+)?:(-?\d+)?", index.strip())
    if not match:
        raise InputError(f"{text}: [{index}] is not understood. Write [i] or [a:b] with whole numbers.")
    single, start, stop = (None if word is None else int(word) for word in match.groups())
    if single is not None:
        start, stop = single, single + 1 or None  # [-1] is the last one, and -1 + 1 would be the first
    first, end = (i + n * (i < 0) for i in (start or 0, n if stop is None else stop))
    if not 0 <= first < end <= n:
        raise InputError(f"{text}: [{index}] is out of range; this split has the examples 0 to {n - 1}.")
    return slice(first, end)
