"""The words of a command: which name files and which are `key=value`, and where a command may write."""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError


def is_override(word: str) -> bool:
    """Whether a word of the command line is `key=value`, and no file; `./a=b.h5` is one."""
    return re.match(r"[+~]*[A-Za-z_][\w.@/]*=", word) is not None


def key_of(word: str) -> str:
    """What an override is for."""
    return word.split("=")[0].lstrip("+~")


def parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """What of the words of a command names files and data, and what is `key=value`."""
    names = [word for word in words if not is_override(word) or Path(word).exists()]
    return names, [word for word in words if word not in names]


def check_output(path: Path, suffixes: Sequence[str], option: str = "") -> None:
    """Raises InputError unless `path`, for which the user gave `option`, is one that a file can be written to."""
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{option}{path}: must end in {' or '.join(suffixes)}.")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{option}{path}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}.")
