"""Writes a data set to one HDF5 file: chunked, compressed, described, with a checksum.

DATASET is what `python run.py` takes: dataset=NAME with its keys, and seed=N, which decides the parts. OUT.h5 has the
parts train, validation and test, each with inputs and labels; `python run.py dataset=hdf5 dataset.file=OUT.h5` trains
on the same parts. Data larger than the memory is written piece by piece.
"""

import argparse
import re
import shlex
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.cli.sources.words import check_output, parted
from pipeline.cli.views.text import clean, warn
from pipeline.data.formats.written import LEFT_OUT
from pipeline.errors import InputError, first_line, one_of
from pipeline.limits import Number

CHUNK_MB = Number(0, 1024, open="low")  # HDF5 takes chunks of less than 4 GiB


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} dataset=NAME [dataset.KEY=VALUE ...] [seed=N] OUT.h5 [options]"
    parser.add_argument("words", metavar="WORD", nargs="+", help="the data set and the file to write")
    parser.add_argument(
        "--compression", metavar="NAME", default="gzip", help="gzip, lzf or none (default gzip: the smallest)"
    )
    # 1 MiB is what HDF5 itself keeps unpacked: larger chunks it unpacks again for every row that is asked for.
    parser.add_argument("--chunk-mb", metavar="MB", type=float, default=1.0, help="size of a chunk (default 1)")
    parser.add_argument("--force", action="store_true", help="replace OUT.h5 if it exists")


def run(options: argparse.Namespace) -> int:
    from pipeline.cli.sources.conf import chosen
    from pipeline.data import converted

    outputs, overrides = parted(options.words)
    path = _output(outputs, options.force)
    if options.compression not in converted.COMPRESSIONS:
        raise one_of("--compression", options.compression, converted.COMPRESSIONS)
    if not CHUNK_MB.accepts(options.chunk_mb):
        raise InputError(f"--chunk-mb={options.chunk_mb:g} must be {CHUNK_MB}.")
    splits, source = chosen(overrides)
    for warning in splits.warnings:
        warn(warning)
    if splits.n_classes < 2:
        n_classes = "1 class" if splits.n_classes else "no classes"
        reason = f"{' '.join(overrides)} has {n_classes}, and dataset=hdf5 trains on two or more"
        raise InputError(f"{reason}; train on it as it is.")
    about = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "source": source,
        "versions": {name: version(name) for name in ("numpy", "h5py")},
    }
    layout = {"compression": options.compression, "chunk_mb": options.chunk_mb}
    # The name of a file is no format or markup.
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(path.name, total=splits.nbytes)
            converted.write(splits, path, **layout, about=about, advance=lambda n: bar.advance(task, n))
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise InputError(f"{path}: can't be written ({reason}).") from None
    written = path.stat().st_size
    size = f"{written / 2**20:,.1f} MB" if written >= 2**20 else f"{written / 2**10:,.0f} kB"
    print(f"{clean(path)}: {splits.describe().rpartition(', ')[0]}")
    described = splits.attributes.get("columns")
    for column, what in described.items() if isinstance(described, dict) else ():
        if str(what).startswith(LEFT_OUT):
            print(f"column {clean(repr(column))}: {clean(what)}")
    print(f"{size} on disk, {written / splits.nbytes:.0%} of that")
    print(f"train on it:  {_command(path)}")
    return 0


def _output(words: list[str], force: bool) -> Path:
    """Where to write, checked before the data is loaded."""
    if len(words) != 1:
        received = f"; received {', '.join(words)}" if words else ""
        raise InputError(f"one OUT.h5 is needed{received}: python -m pipeline convert dataset=digits digits.h5")
    path = Path(words[0])
    check_output(path, [".h5", ".hdf5"])
    if path.exists() and not force:
        raise InputError(f"{path}: exists already; --force replaces it.")
    return path


def _command(path: Path) -> str:
    """The command that trains on a converted file, for the shell and for Hydra, which reads some signs itself."""
    text = str(path)
    if not re.fullmatch(r"[\w./\-]+", text, re.ASCII):
        # Hydra reads backslashes only before a quote.
        text = '"' + re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + (r"\"" if m[2] else ""), text) + '"'
    return shlex.join(["python", "run.py", "dataset=hdf5", f"dataset.file={text}"])
