"""Dataclasses from plain values: what is taken, and what is said of the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.typed import build


@dataclass(frozen=True)
class Part:
    width: int
    note: str = "none"


@dataclass(frozen=True)
class Whole:
    part: Part
    rate: float = 0.5
    on: bool = False
    name: str | None = None
    sizes: list[int] = field(default_factory=list)
    pair: tuple[float, ...] = ()
    parts: dict[str, Part] = field(default_factory=dict)
    free: Mapping[str, Any] = field(default_factory=dict)
    also: Part | None = None


PART = {"width": 3}
GOOD = [
    ({"part": PART}, Whole(Part(3))),
    ({"part": {"width": 3, "note": "wide"}}, Whole(Part(3, "wide"))),
    ({"part": PART, "rate": 2}, Whole(Part(3), 2.0)),  # a whole number is a number, too
    ({"part": PART, "on": True}, Whole(Part(3), on=True)),
    ({"part": PART, "name": None}, Whole(Part(3))),
    ({"part": PART, "name": "x"}, Whole(Part(3), name="x")),
    ({"part": PART, "sizes": [1, 2], "pair": [1, 0.5]}, Whole(Part(3), sizes=[1, 2], pair=(1.0, 0.5))),
    ({"part": PART, "sizes": (1, 2), "pair": ()}, Whole(Part(3), sizes=[1, 2])),
    ({"part": PART, "parts": {"a": PART}}, Whole(Part(3), parts={"a": Part(3)})),
    ({"part": PART, "parts": {"a": Part(4)}}, Whole(Part(3), parts={"a": Part(4)})),  # what is one already
    ({"part": PART, "free": {"a": [None, {"b": 1}]}}, Whole(Part(3), free={"a": [None, {"b": 1}]})),
    ({"part": PART, "also": None}, Whole(Part(3))),
    ({"part": PART, "also": PART}, Whole(Part(3), also=Part(3))),
]


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_a_good_value_is_built(value, expected):
    made = build(Whole, value)
    assert made == expected
    assert type(made.rate) is float
    assert build(Whole, made) is made


BAD = [
    (3, "=3 must be a section with keys."),
    ({}, "part is missing."),
    ({"part": {}}, "part.width is missing."),
    ({"part": PART, "parts": {"a": {"note": "wide"}}}, "parts.a.width is missing."),
    ({"part": 3}, "part=3 must be a section with keys."),
    ({"part": {"width": 1.0}}, "part.width=1.0 must be a whole number."),
    ({"part": {"width": True}}, "part.width=True must be a whole number."),
    ({"part": {"width": "3"}}, "part.width=3 must be a whole number."),
    ({"part": {"width": None}}, "part.width=None must be a whole number."),
    ({"part": {"width": 3, "note": 4}}, "part.note=4 must be text."),
    ({"part": PART, "rate": "fast"}, "rate=fast must be a number."),
    ({"part": PART, "rate": True}, "rate=True must be a number."),
    ({"part": PART, "rate": None}, "rate=None must be a number."),
    ({"part": PART, "on": 1}, "on=1 must be true or false."),
    ({"part": PART, "name": 3}, "name=3 must be text."),
    ({"part": PART, "sizes": 3}, "sizes=3 must be a list."),
    ({"part": PART, "sizes": "12"}, "sizes=12 must be a list."),
    ({"part": PART, "sizes": [1, 0.5]}, "sizes=0.5 must be a whole number."),
    ({"part": PART, "parts": [PART]}, "parts=[{'width': 3}] must be a section with keys."),
    ({"part": PART, "parts": {"a": {"width": "w"}}}, "parts.a.width=w must be a whole number."),
    ({"part": PART, "also": {"width": "w"}}, "also.width=w must be a whole number."),
    ({"part": PART, "free": "x"}, "free=x must be a section with keys."),
]


@pytest.mark.parametrize(("value", "message"), BAD)
@pytest.mark.parametrize("key", ["", "train"])
def test_a_bad_value_is_named_by_its_key(value, message, key):
    with pytest.raises(InputError) as raised:
        build(Whole, value, key)
    full = f"{key}.{message}" if key and not message.startswith("=") else key + message
    assert str(raised.value) == full


EXTRA = [
    ({"part": PART, "rat": 0.1}, "rat is not a key that anything reads. Did you mean 'rate'?"),
    ({"part": {"width": 3, "zebra": 1}}, "part.zebra is not a key that anything reads. Those of part: width"),
    ({"part": PART, "parts": {"a": {"width": 3, "widht": 3}}}, "parts.a.widht is not a key that anything reads."),
]


@pytest.mark.parametrize(("value", "message"), EXTRA)
def test_a_key_that_nothing_reads_is_left_out_or_refused(value, message):
    with pytest.raises(InputError) as raised:
        build(Whole, value, strict=True)
    assert str(raised.value).startswith(message)
    assert build(Whole, value).part == Part(3)


def test_what_is_open_takes_any_key():
    value = {"part": PART, "free": {"whatever": 1}}
    assert build(Whole, value, strict=True).free == {"whatever": 1}
