"""Tiers: a stage may search what usually matters most, with the rest as the config has it, and a later one free more.

A key's tier stands beside its range in conf/; a key of which none is declared there is of tier 1: whoever types a range
for it wants it searched from the first stage on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import InputError
from pipeline.schema import Config, StageSettings, leaves
from pipeline.search.ranges import tiers
from pipeline.search.space import Params, Space

UNDECLARED = 1


def freed(space: Space, config: Config, upto: int | None) -> Space:
    """The keys of a space that are searched in tiers 1 to `upto`; None: in all."""
    if upto is None:
        return space
    known = tiers(config)
    return {key: dist for key, dist in space.items() if known.get(key, UNDECLARED) <= upto}


def by_tier(space: Space, config: Config) -> dict[int, Space]:
    """A space in parts, the tier that matters most first."""
    known, parts = tiers(config), dict[int, Space]()
    for key, dist in space.items():
        parts.setdefault(known.get(key, UNDECLARED), {})[key] = dist
    return dict(sorted(parts.items()))


def kept_fixed(whole: Space, searched: Space, record: Mapping[str, Any]) -> Params:
    """The values that keys of the whole space have where a stage does not search them yet: with them trials of all
    stages have the same keys, and compare. A value outside its own range, such as a list of widths, has no place in the
    space and is left out.

    record: the arm's config, as Composed.record has it.
    """
    missing = {key: dist for key, dist in whole.items() if key not in searched}
    values = dict(leaves(record)) if missing else {}
    return {key: values[key] for key, dist in missing.items() if dist.contains(values.get(key))}


def tiers_text(upto: int) -> str:
    return f"tiers 1 to {upto}" if upto > 1 else "tier 1"


def applicable(
    stages: Mapping[str, StageSettings], arms: Sequence[tuple[Space, Config]], max_tier: int
) -> tuple[dict[str, StageSettings], list[str]]:
    """The stages that free something, or search again what was freed, and a line about each that does not.

    arms: of each its whole space, which sweep.max_tier has limited, and its config. A stage of a higher tier goes
    without a word. Raises InputError for a stage that frees less than the one whose region it takes over.
    """
    kept: dict[str, StageSettings] = {}
    lines, before, before_name = [], 0, ""
    had: list[Space] = [{} for _ in arms]
    for name, stage in stages.items():
        upto = 4 if stage.tiers is None else stage.tiers
        if stage.refine and upto < before:
            raise InputError(
                f"sweep.stages.{name}.tiers={upto} is less than {before}, which stage {before_name} has searched. It "
                f"must be at least {before}; with sweep.stages.{name}.refine=false it begins anew."
            )
        spaces = [freed(space, config, stage.tiers) for space, config in arms]
        again = upto == before and before_name in kept
        if stage.tiers is None or not stage.refine or again or [*map(set, spaces)] != [*map(set, had)]:
            kept[name] = stage
        elif upto <= max_tier:
            lines.append(f"stage {name} is left out: there is nothing to search in tier {upto}")
        before, before_name, had = upto, name, spaces
    if not kept:  # nothing is searched: each arm is tried once, as in any sweep
        first = next(iter(stages))
        return {first: stages[first]}, []
    return kept, lines
