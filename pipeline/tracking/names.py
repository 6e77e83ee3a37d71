"""What MLflow takes as the name, and as the value, of a parameter, a metric or a tag."""

import re
from collections.abc import Iterable
from typing import TypeVar

LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG = 250, 6000, 5000  # characters
T = TypeVar("T")


def stored_name(name: str) -> str:
    """`name` as MLflow takes it: letters, digits, `_`, `-`, `.`, `:`, space, and `/` between what could be folders.

    A key of the config may be a column of a table, `size (cm)`, and a layer's name is the user's.
    """
    text = re.sub(r"[^/\w.\- :]", "_", name)[:LONGEST_NAME] or "_"
    text = re.sub(r"^/|/(?=/|$)", "_", text)  # no folder without a name,
    return re.sub(r"^\.\.|(?:^|(?<=/))\.{1,2}(?=/|$)", lambda dots: "_" * len(dots[0]), text)  # nor one of another's


def by_stored_name(entries: Iterable[tuple[str, T]]) -> dict[str, T]:
    """The entries by their stored names; of two that would have the same, the second gets a number."""
    result: dict[str, T] = {}
    for name, value in entries:
        stored = stored_name(name)
        for n in range(2, len(result) + 2):
            if stored not in result:
                break
            stored = f"{stored_name(name)[: LONGEST_NAME - 5]} {n}"
        result[stored] = value
    return result


def stored_value(value: object, longest: int = LONGEST_TAG) -> str:
    """The text of a value, in letters that any database holds: the name of a file may be no text at all."""
    return str(value).encode(errors="replace").decode().replace("\0", "?")[:longest]
