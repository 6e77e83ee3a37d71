"""From Hydra's sweep grammar, in YAML and on the command line alike, to spaces and arms."""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
    ValueType,
)
from hydra.errors import HydraException

from pipeline.errors import InputError, one_of
from pipeline.search.space import SCALES, Choice, Distribution, Interval, Space

MOST_VALUES = 10_000  # a list that nobody means, and that would fill memory


def distribution(override: Override) -> Distribution:
    """What `key=interval(...)`, `choice(...)` or `range(...)` says, with its tag as the scale.

    Raises InputError for bounds that make no sense, for an unknown scale and for a plain value.
    """
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        scales = sorted(sweep.tags) or ["linear"]
        if len(scales) > 1:
            raise InputError(f"{override.key_or_group}: one scale, not {', '.join(scales)}.")
        low, high = sweep.start, sweep.end
        assert low is not None and high is not None  # the grammar gives both
        if scales[0] not in SCALES:
            raise one_of(f"{override.key_or_group}: scale", scales[0], SCALES)
        try:
            return Interval(low, high, scales[0], integer=isinstance(low, int))  # interval() alone makes floats
        except InputError as error:
            raise InputError(f"{override.key_or_group}={error}") from None
    if isinstance(sweep, ChoiceSweep | RangeSweep):
        if getattr(sweep, "tags", None):
            raise InputError(f"{override.key_or_group}: a scale goes with interval(), not with a list of values.")
        # Not override.sweep_iterator(): shuffle(...) would make it random, and trials are functions of the seed.
        values = tuple(map(_plain, itertools.islice(_values(sweep), MOST_VALUES + 1)))
        if len(values) > MOST_VALUES:
            raise InputError(f"{override.input_line}: more than {MOST_VALUES} values. Write int(interval(low, high)).")
        return Choice(values)
    raise InputError(
        f"{override.key_or_group}: '{override.input_line}' is not a range. "
        f"Write interval(low, high), tag(log, interval(low, high)) (scales: {', '.join(SCALES)}) or choice(a, b)."
    )


def _values(sweep: ChoiceSweep | RangeSweep) -> Iterable[Any]:
    return sweep.list if isinstance(sweep, ChoiceSweep) else sweep.range()


def _plain(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    return [_plain(v) for v in value] if isinstance(value, list) else value


def parse(lines: Iterable[str], config_loader: Any = None) -> list[Override]:
    """Overrides from text. Raises InputError with the parser's own reason, on one line."""
    overrides = []
    for line in lines:
        try:
            overrides += OverridesParser.create(config_loader=config_loader).parse_overrides([line])
        except HydraException as error:
            raise InputError(f"'{line}' is not understood: {str(error).splitlines()[0]}") from None
    return overrides


def is_arm(override: Override) -> bool:
    """A comma list or glob() is crossed with everything: an arm a value. choice() and intervals are sampled."""
    return override.value_type in (ValueType.SIMPLE_CHOICE_SWEEP, ValueType.GLOB_CHOICE_SWEEP)


def declared(config: Mapping[str, Any], max_tier: int) -> Space:
    """The ranges that stand in the config beside their values, in tiers 1 to `max_tier`.

    config: the composed config as a plain dict; each group may have `search: {key: {tier, range}}`.
    Raises InputError for a range of a key that its group lacks, or one without tier or range.
    """
    space: Space = {}
    for group, node in config.items():
        search = node.get("search") if isinstance(node, dict) else None
        for key, entry in (search or {}).items():
            name = f"{group}.{key}"
            if not isinstance(entry, dict) or set(entry) != {"tier", "range"} or entry["tier"] not in (1, 2, 3, 4):
                raise InputError(f"{group}.search.{key}={entry} must be {{tier: 1, range: '...'}}.")
            if key not in node:
                raise InputError(f"{group}.search.{key}: {name} is not in the config, so it can't be searched.")
            if entry["tier"] <= max_tier:
                space[name] = distribution(parse([f"{name}={entry['range']}"])[0])
    return space


def to_text(value: Any) -> str:
    """A value as the right-hand side of a Hydra override, such that Hydra reads the same value back."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return "[" + ",".join(map(to_text, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{to_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str) and not _bare(value):
        return "'" + value.replace("'", "\\'") + "'"
    return str(value)


def _bare(text: str) -> bool:
    """Whether Hydra reads the text back as this very string without quotes around it."""
    return re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) is not None and text.lower() not in _WORDS


_WORDS = ("true", "false", "null", "nan", "inf")
