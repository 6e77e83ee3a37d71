"""What `run.py` and `python -m pipeline` do alike: with the words that they are given, and where they print."""

import os
import re
import sys
from pathlib import Path


def at_home(word: str) -> str:
    """A word with ~ written out where a path begins with it: a shell does so at the beginning of words only, and
    Hydra's grammar has no ~."""
    return re.sub(r"([=,:\[]|=sqlite:///)~(?=/|$)", lambda match: match[1] + str(Path.home()), word)


def print_anywhere() -> None:
    """What a terminal's encoding lacks is printed as its number, and no error."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):  # a notebook's has none
            reconfigure(errors="backslashreplace")


def reader_gone() -> int:
    """The exit status after BrokenPipeError: the reader (`| head`) has what it wanted, and Python would complain once
    more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
