"""How a table is written: whether its first line names the columns, how numbers stand there, what means missing."""

import json
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.errors import InputError, one_of

HEADINGS = ("auto", "true", "false")
DECIMALS = (".", ",")
GROUPS = (".", ",", "'", " ", "_")  # what may stand between groups of three digits


@dataclass(frozen=True)
class Notation:
    """A model keeps that of the table it learned from, to read another one alike."""

    heading: str = "auto"  # of a CSV file; false: the columns are called column_1, column_2, ...
    decimal: str = "."  # before the fraction of a number
    thousands: str = ""  # between groups of three digits; empty: nothing
    missing_values: tuple[str, ...] = ()  # texts and numbers that mean missing, beside the empty field and NA

    @classmethod
    def of(cls, heading: Any, decimal: Any, thousands: Any, missing_values: Any) -> "Notation":
        """From the keys of `dataset`. Raises InputError for a value that a key can't have."""
        heading = str(heading).lower()
        if heading not in HEADINGS:
            raise one_of("dataset.heading", heading, HEADINGS)
        if decimal not in DECIMALS:
            raise one_of("dataset.decimal", decimal, map(repr, DECIMALS))
        if thousands is not None and thousands not in GROUPS:
            raise one_of("dataset.thousands", thousands, ["null", *map(repr, GROUPS)])
        if thousands == decimal:
            raise InputError(f"dataset.thousands={thousands} is the decimal sign, too; say which with dataset.decimal.")
        if not isinstance(missing_values, list | tuple) or not all(
            isinstance(value, str | int | float) and not isinstance(value, bool) for value in missing_values
        ):
            raise InputError(
                f"dataset.missing_values={missing_values} must be a list of texts or numbers: "
                "'dataset.missing_values=[\"?\",-999]'."
            )
        return cls(heading, decimal, thousands or "", tuple(str(value).strip() for value in missing_values))

    @cached_property
    def number(self) -> str:
        """A pattern of whole numbers and fractions, as Python's and pyarrow's regular expressions both read it."""
        decimal, digits = re.escape(self.decimal), r"\d+"
        if self.thousands:
            digits = rf"(?:\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+|\d+)"
        return rf"^[+-]?(?:{digits}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?$"

    def is_number(self, text: str) -> bool:
        return re.match(self.number, text.strip()) is not None

    @property
    def missing_numbers(self) -> list[float]:
        return [self.value(text) for text in self.missing_values if self.is_number(text)]

    def value(self, text: str) -> float:
        return float(text.strip().replace(self.thousands, "").replace(self.decimal, "."))


PLAIN = Notation()
# Any notation of a number, in groups or not, perhaps with a sign of money or percent; 007 is a code.
_ANY = re.compile(
    r"[+-]?[€$£¥]?\s?(?!0\d+$)(?:\d{1,3}(?:[., '_\u00a0\u202f]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d*)?|[.,]\d+)"
    r"(?:[eE][+-]?\d+)?\s?[%‰°€$£¥]?"
)


def looks_like_number(text: str) -> bool:
    """Whether a person would take it for a number, however it is written."""
    return _ANY.fullmatch(text.strip()) is not None


def settings_for(text: str, notation: Notation) -> str:
    """The words of a command line that make a number of a text that looks like one; empty if none do."""
    bare = text.strip().lstrip("+-")
    other = "," if notation.decimal == "." else "."
    decimal = f"'dataset.decimal=\"{other}\"'"
    groups = re.fullmatch(r"[1-9]\d{0,2}([.,'_ ])\d{3}(?:\1\d{3})*([.,]\d*)?", bare)
    if groups and groups[1] != groups[2]:
        quoted = json.dumps(groups[1])
        thousands = shlex.quote(f"dataset.thousands={quoted}")
        switched = groups[1] == notation.decimal or (groups[2] or "").startswith(other)
        return f"{decimal} {thousands}" if switched else thousands
    return decimal if re.fullmatch(rf"\d*{re.escape(other)}\d*(?:[eE][+-]?\d+)?", bare) else ""


def column_names(n: int) -> list[str]:
    """What the columns of a file without a heading are called."""
    return [f"column_{i}" for i in range(1, n + 1)]
