"""From Hydra's sweep grammar, in YAML and on the command line alike, to spaces and arms."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, QuotedString, RangeSweep, ValueType
from hydra.errors import HydraException

from pipeline.errors import InputError, first_line
from pipeline.schema import Config, SearchRange
from pipeline.search.scales import scale_named
from pipeline.search.space import Choice, Distribution, Interval, Space

MOST_VALUES = 10_000  # a list that nobody means, and that would fill memory


def distribution(override: Override, scales: Mapping[str, str]) -> Distribution:
    """What `key=interval(...)`, `choice(...)` or `range(...)` says, with its tag as the scale.

    scales: those of the config. Raises InputError for bounds that make no sense, for an unknown scale and for a plain
    value.
    """
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        tags = sorted(sweep.tags) or ["linear"]
        if len(tags) > 1:
            raise InputError(f"{override.key_or_group}: one scale, not {', '.join(tags)}.")
        low, high = sweep.start, sweep.end
        assert low is not None and high is not None  # the grammar gives both
        scale = scale_named(tags[0], scales, f"{override.key_or_group}: scale")
        try:
            return Interval(low, high, scale, integer=isinstance(low, int))  # interval() alone makes floats
        except InputError as error:
            raise InputError(f"{override.key_or_group}={error}") from None
    if isinstance(sweep, ChoiceSweep | RangeSweep):
        if getattr(sweep, "tags", None):
            raise InputError(f"{override.key_or_group}: a scale goes with interval(), not with a list of values.")
        # Not override.sweep_iterator(): shuffle(...) would make it random, and trials are functions of the seed.
        listed = sweep.list if isinstance(sweep, ChoiceSweep) else sweep.range()
        values = tuple(map(_plain, itertools.islice(listed, MOST_VALUES + 1)))
        if len(values) > MOST_VALUES:
            raise InputError(f"{override.input_line}: more than {MOST_VALUES} values. Write int(interval(low, high)).")
        return Choice(values)
    raise InputError(
        f"{override.key_or_group}: '{override.input_line}' is not a range. "
        f"Write interval(low, high), tag(log, interval(low, high)) (scales: {', '.join(scales)}) or choice(a, b)."
    )


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
            raise InputError(f"'{line}' is not understood: {first_line(error)}") from None
    return overrides


def is_arm(override: Override) -> bool:
    """A comma list or glob() is crossed with everything: an arm a value. choice() and intervals are sampled."""
    return override.value_type in (ValueType.SIMPLE_CHOICE_SWEEP, ValueType.GLOB_CHOICE_SWEEP)


def declared(config: Config, max_tier: int) -> Space:
    """The ranges that stand in the config beside their values, in tiers 1 to `max_tier`. Raises InputError for one that
    is not understood."""
    return {
        key: distribution(parse([f"{key}={entry.range}"])[0], config.scales)
        for key, entry in _entries(config)
        if entry.tier <= max_tier
    }


def tiers(config: Config) -> dict[str, int]:
    """The tier of each key for which the config declares a range, searched or not."""
    return {key: entry.tier for key, entry in _entries(config)}


def _entries(config: Config) -> Iterator[tuple[str, SearchRange]]:
    """The ranges that stand in the config, by full key."""
    for group in ("dataset", "model", "optimizer", "schedule", "train"):
        for key, entry in getattr(config, group).search.items():
            yield f"{group}.{key}", entry
