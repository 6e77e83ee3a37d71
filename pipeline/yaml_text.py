"""YAML that a stranger may have written: its shape is looked at before anything builds what it says."""

import io
from pathlib import Path

import yaml

from pipeline.errors import InputError

MOST_BYTES = 1 << 20  # of one file
MOST_LEVELS = 50  # of sections and lists within each other
MOST_VALUES = 100_000  # with every alias written out
MOST_DIGITS = 1_000  # of a number
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_yaml(path: Path) -> None:
    """Raises InputError for a file of config that would take endless time or memory to build: aliases of aliases,
    sections thousands deep, numbers of thousands of digits. What is no YAML is left to its reader, which says why."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise InputError(f"{path} has {size} bytes; a file of config has {MOST_BYTES} at most.")
    try:
        check_text(path.read_text(encoding="utf-8"), str(path))
    except (yaml.YAMLError, UnicodeDecodeError):
        return


def check_text(text: str, what: str) -> None:
    """The same of text, which messages call `what`. Raises yaml.YAMLError for what is no YAML."""
    sizes: dict[str, int] = {}  # of what anchors name
    opened: list[str | None] = []  # the anchors of the sections and lists around
    counts = [0]  # values in each of them, aliases written out
    for event in yaml.parse(io.StringIO(text), Loader=_PARSER):
        where = f"{what}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append(event.anchor)
            counts.append(1)
            if len(opened) > MOST_LEVELS:
                raise InputError(f"{where}: more than {MOST_LEVELS} sections or lists within each other.")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = opened.pop(), counts.pop()
            counts[-1] += size
            if anchor:
                sizes[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in opened:
                raise InputError(f"{where}: *{event.anchor} stands within what it names.")
            counts[-1] += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            if (digits := sum(map(str.isdigit, event.value))) > MOST_DIGITS and event.implicit[0] and _number(event):
                raise InputError(f"{where}: a number of {digits} digits; {MOST_DIGITS} are the most.")
            counts[-1] += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if sum(counts) > MOST_VALUES:
            raise InputError(f"{where}: more than {MOST_VALUES} values, aliases (*name) written out.")


def _number(event: yaml.ScalarEvent) -> bool:
    return not set(event.value) - set("0123456789abcdefABCDEFxobXOB_+-.:")
