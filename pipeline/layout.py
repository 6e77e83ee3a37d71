"""Text for a terminal of some width: lines and cells are broken between words, and no word is cut."""

import bisect
import re
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

Column = tuple[str, Sequence[str]]  # heading and cells

NARROWEST = 8  # letters of a cell that is folded
GAP = 3  # between columns: two blanks and a border
# Behind what a name or a list may be broken: a dot between digits is a number's.
_PART = re.compile(r"(?:(?<=\d)\.(?=\d)|[^\s,/._])+[,/._]*\s?|[,/._\s]+")


def counted(n: int, noun: str) -> str:
    """How many there are of something: 1 epoch, 2,000 epochs."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def wrapped(text: str, width: int) -> str:
    """Lines of at most `width` letters, but for longer words; what goes on is indented further than its line."""
    lines = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        whole = textwrap.TextWrapper(
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
        )
        lines += whole.wrap(line) if cell_len(line) > width else [line]
    return "\n".join(lines)


def folded(text: str, width: int) -> str:
    """A name or a cell in lines of about `width` letters, broken behind dots, underscores, commas and blanks only."""
    lines = [""]
    for part in _PART.findall(text):
        if lines[-1] and cell_len(lines[-1] + part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def widest(text: str) -> int:
    """Letters of the longest line."""
    return max(map(cell_len, text.split("\n")))


def total_width(columns: Sequence[Column]) -> int:
    """Letters of a table's line."""
    return sum(max(map(widest, [name, *cells])) + GAP for name, cells in columns) - GAP


def fitted(columns: Sequence[Column], width: int, heading: int) -> list[Column]:
    """The columns of a table of `width` letters: headings folded at `heading` letters or fewer, and cells as much as it
    takes, the longest first. It may still be too wide."""

    def at(limit: int) -> list[Column]:
        return [(folded(name, min(heading, limit)), [folded(cell, limit) for cell in cells]) for name, cells in columns]

    limits = range(NARROWEST, max(width, NARROWEST) + 1)
    too_wide = bisect.bisect_left(limits, True, key=lambda limit: total_width(at(limit)) > width)
    return at(limits[max(0, too_wide - 1)])


def split_same(columns: Sequence[Column], kept: Sequence[str]) -> tuple[list[Column], dict[str, str]]:
    """The columns that need to stand in a table of several rows, and the one cell of each of the others. kept: names
    of those that stay. Where two have one name all stay, for what stands beside them says which is which."""
    names = [name for name, _ in columns]
    if len(set(names)) < len(names):
        return list(columns), {}
    same = {name: cells[0] for name, cells in columns if len(cells) > 1 and len(set(cells)) == 1 and name not in kept}
    return [column for column in columns if column[0] not in same], same


def shortened(keys: Sequence[str]) -> list[str]:
    """Keys without their group where that is clear."""
    last = [key.rsplit(".", 1)[-1] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]
