"""Writes the page of a sweep, report.html, or one that compares several sweeps.

SWEEP is the name of a sweep in outputs/sweeps/, or its folder, wherever that lies now; a sweep that runs is shown as
far as it is. The page is one file that needs no network.
"""

import argparse
from pathlib import Path

from pipeline.cli.sources.words import check_output
from pipeline.cli.views.text import clean
from pipeline.errors import InputError, nearest
from pipeline.study import ledger
from pipeline.study.reporting.write import NAME, write_report

SWEEPS = Path("outputs/sweeps")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweeps", metavar="SWEEP", nargs="+", help="a name in outputs/sweeps/, or a folder")
    beside = f"where to write it (the sweep's folder; of several, {NAME} beside the first one's)"
    parser.add_argument("--out", metavar="PATH", type=Path, help=beside)


def run(options: argparse.Namespace) -> int:
    folders = list(dict.fromkeys(map(_folder, options.sweeps)))
    path = options.out or (folders[0] / NAME if len(folders) == 1 else folders[0].parent / NAME)
    check_output(path, [".html"], "--out=" if options.out else "")
    write_report(folders, path)
    print(f"report: {clean(path)}")
    return 0


def _folder(word: str) -> Path:
    """Raises InputError unless a sweep is called so, or lies there."""
    for folder in (Path(word), SWEEPS / word):
        if (folder / ledger.NAME).is_file():
            return folder
    if Path(word).is_dir():
        raise InputError(f"SWEEP={word}: no sweep was run there; its folder would hold a file called {ledger.NAME}.")
    names = sorted(path.parent.name for path in SWEEPS.glob(f"*/{ledger.NAME}"))
    listed = f" Those in {SWEEPS}: {', '.join(names[-10:])}." if names else f" {SWEEPS} has none."
    raise InputError(f"SWEEP={word}: there is no such sweep, nor folder.{listed}{nearest(word, names)}")
