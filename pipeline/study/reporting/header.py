"""The header of a ledger, of any version: what its sweep was to search, and how."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import compatibility
from pipeline.objective import Objective
from pipeline.overrides import to_text
from pipeline.schema import leaves
from pipeline.search.samplers.sampler import called
from pipeline.study.reporting.axes import read_space


class Header:
    """What a ledger of any version says of the sweep as a whole."""

    def __init__(self, record: Any) -> None:
        now = compatibility.current(record)
        self.arms: Mapping[str, Any] = now["arms"]
        self.order: Sequence[str] = now.get("order") or list(self.arms)
        self.stages: Mapping[str, Any] = now["stages"]
        strategy = now["strategy"]
        self.objective = Objective(strategy["metric"], strategy["direction"])
        self.sampler = called(str((strategy.get("sampler") or {}).get("_target_", "")))
        self.fingerprint = str(now.get("data", ""))
        self.ranges = [self._ranges(arm) for arm in self.order]
        self.scales = [self.arms[arm].get("scales", {}) for arm in self.order]
        self.spaces = [read_space(*pair) for pair in zip(self.ranges, self.scales, strict=True)]

    def _ranges(self, arm: str) -> dict[str, str]:
        return {key.replace("/", "."): text for key, text in self.arms[arm]["space"].items()}

    def names(self) -> list[str]:
        """Of the arms; of the only one there is none."""
        return [name.replace("/", ".") for name in self.order] if len(self.order) > 1 else [""]

    def fixed(self, searched: Sequence[str]) -> dict[str, str]:
        """What all arms have in common, without what is searched."""
        configs = [dict(leaves(self.arms[arm]["config"])) for arm in self.order]
        same = {k: v for k, v in configs[0].items() if all(k in c and c[k] == v for c in configs)}
        return {key: to_text(value) for key, value in same.items() if key not in searched}
