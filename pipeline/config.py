"""Hydra in, Config out: composing, resolving, masking, and comparing with what an earlier start recorded.

Nothing else knows OmegaConf's nodes; reading this module costs no TensorFlow.
"""

import copy
import os
import re
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property, reduce
from operator import getitem
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from pipeline import compatibility, secret
from pipeline.building import built, rebuilt
from pipeline.errors import InputError, first_line, first_of, nearest
from pipeline.heads.lookup import resolve_aim
from pipeline.limits import LIMITS, Number
from pipeline.schema import MAPS, OPEN, Config, Plain, leaves, own_keys
from pipeline.signatures import accepted_by
from pipeline.yaml_template import YamlTemplate

# What a resumed run or sweep need not have in common with its beginning: where and how trials run, what is recorded of
# them, and names that may go unused (study.opening has those that are used).
_MAPS = ("heads", "metrics", "scales", "formats")
_FREE = (*_MAPS, "executor", "tracking", "output_dir", "allowed_targets", "resume", "repeat", "experiment")
_FREE_OF_TRAIN = ("diagnostics", "callbacks")
_OF_THE_START = ("executor", "tracking", "output_dir", "allowed_targets", "resume", "repeat")
_ABSENT = object()


class Composed:
    """A config as Hydra composed it, interpolations and all, with a trial's parameters in the place of its values."""

    def __init__(self, node: DictConfig, choices: Mapping[str, str] | None = None) -> None:
        """choices: the name of the file that a group of conf/ was taken from, by group, where that is known."""
        self._base, self.choices = _Base(node), choices or {}
        self.values: Mapping[str, Any] = {}  # by dotted key

    @classmethod
    def from_file(cls, path: Path) -> "Composed":
        """The config in a folder's .hydra, of any version. Raises InputError if it can't be read."""
        try:
            node = OmegaConf.to_container(OmegaConf.load(path))
        except Exception as error:
            raise InputError(f"{path} can't be read: {first_line(error)}") from None
        return cls(DictConfig(compatibility.completed(node)))

    def with_settings_of(self, other: "Composed") -> "Composed":
        """The same, run and recorded as `other` says: what a trial computes is not among it."""
        node, written = self._node.copy(), other._node
        for key in _OF_THE_START:
            OmegaConf.update(node, key, written[key], merge=False, force_add=True)
        return Composed(node, self.choices)

    def with_values(self, values: Mapping[str, Any]) -> "Composed":
        """The same with parameters, by dotted key, set: no need to compose it again."""
        composed = copy.copy(self)
        composed.values = {**self.values, **values}
        if self._base.uses(composed.values):
            composed._base, composed.values = _Base(composed._node), {}
        return composed

    @property
    def config(self) -> Config:
        """Resolved. Raises InputError for an interpolation that can't be, for a missing value and one of a wrong
        type."""
        if not self.values:
            return self._base.config
        return rebuilt(self._base.config, self._with_values(self._base.resolved), self._groups)

    @property
    def record(self) -> Mapping[str, Any]:
        """As people and other programs read it: resolved, except what comes from the environment, which may be a
        secret and stays as `${oc.env:NAME}`, however it is reached."""
        return self._with_values(self._base.masked)

    @property
    def essential(self) -> Plain:
        """What a resumed run or sweep must have in common with its beginning, as in records."""
        record = {key: copy.deepcopy(value) for key, value in self.record.items() if key not in _FREE}
        values = compatibility.reduced(compatibility.current(record))
        values["train"] = {key: value for key, value in values["train"].items() if key not in _FREE_OF_TRAIN}
        return {**values, "device": {"precision": values["device"]["precision"]}}

    @property
    def yaml(self) -> str:
        """Not resolved, but for what the sweep aims at: a secret from the environment stays there."""
        return self._base.template(tuple(self.values)).filled([*self.values.values()])

    def takes_from(self, key: str) -> bool:
        """Whether another value may be taken from the one under a dotted key, by an interpolation."""
        return self._base.uses([key])

    def kind_of(self, key: str) -> str:
        """What stands under a dotted key: `value`, `group`, or `nothing`."""
        item = OmegaConf.select(self._base.node, key, default=_ABSENT)
        return "nothing" if item is _ABSENT else "group" if isinstance(item, DictConfig) else "value"

    def unknown_key(self, key: str) -> InputError:
        """The error for an override of a key that is not there."""
        names = [*map(str, self._base.node), *(name for name, _ in leaves(self._base.written))]
        hint = "`python run.py --cfg job` shows every key"
        section, _, last = key.rpartition(".")
        if opened := next((name for name in OPEN if key.startswith(f"{name}.")), None):
            target = str(OmegaConf.select(self._base.node, f"{opened}._target_", default=""))
            accepted = accepted_by(opened, target) if section == opened else None
            if accepted and not accepted.more and last not in (*accepted.names, *own_keys(opened)):
                names = [
                    *(name for name in names if name.startswith(f"{opened}.")),
                    *(f"{opened}.{name}" for name in accepted.names),
                ]
                hint += (
                    f", and {target} takes {first_of(accepted.names)}." if accepted.names else f"; {target} takes none."
                )
            else:
                hint += f"; `+{key}=...` adds one that the target takes."
        elif any(key.startswith(f"{name}.") for name in MAPS):
            hint += f"; `+{key}=my_package.NAME` adds a name."
        elif section and isinstance(node := OmegaConf.select(self._base.node, section), DictConfig):
            hint += f"; those of {section}: {', '.join(map(str, node))}."
        else:
            hint += "."
        return InputError(f"{key} is not in the config.{nearest(key, names)}\n{compatibility.GONE.get(key, hint)}")

    @property
    def _groups(self) -> set[str]:
        return {key.split(".")[0] for key in self.values}

    @property
    def _node(self) -> DictConfig:
        node = self._base.node.copy() if self.values else self._base.node
        for key, value in self.values.items():
            OmegaConf.update(node, key, value, merge=False)
        return node

    def _with_values(self, plain: Mapping[str, Any]) -> Mapping[str, Any]:
        """The groups that have one of the values are copied, or all where there is none: the others are shared."""
        groups = self._groups or plain
        container = {key: copy.deepcopy(value) if key in groups else value for key, value in plain.items()}
        for key, value in self.values.items():
            *path, last = key.split(".")
            reduce(getitem, path, container)[last] = _at_home(value)
        return container


class _Base:
    """What was composed, resolved once and not for every trial, which takes milliseconds."""

    def __init__(self, node: DictConfig) -> None:
        self.node = node
        self._templates: dict[tuple[str, ...], YamlTemplate] = {}

    @cached_property
    def config(self) -> Config:
        return built(copy.deepcopy(dict(self.resolved)))

    def template(self, keys: tuple[str, ...]) -> YamlTemplate:
        if keys not in self._templates:
            values, sweep = dict(self.written), self.resolved.get("sweep", {})
            if "sweep" in values:
                values["sweep"] = {**values["sweep"], **{k: sweep[k] for k in ("metric", "direction") if k in sweep}}
            self._templates[keys] = YamlTemplate(values, keys)
        return self._templates[keys]

    @cached_property
    def written(self) -> Mapping[str, Any]:
        return OmegaConf.to_container(self.node, resolve=False)  # type: ignore[return-value]

    @cached_property
    def resolved(self) -> Mapping[str, Any]:
        values = _resolved(self.node)
        for key, written in leaves(self.written):
            if isinstance(written, str) and "${" in written and isinstance(LIMITS.get(key), Number):
                *path, last = key.split(".")
                section = reduce(getitem, path, values)
                section[last] = _number(section[last])
        resolve_aim(values)
        return values

    @cached_property
    def masked(self) -> Mapping[str, Any]:
        """Resolved, but for what comes from the environment."""
        references = re.compile(r"\$\{[\w.\[\]]+\}")
        if not any("${" in references.sub("", str(value)) for _, value in leaves(self.written)):
            return self.resolved  # no resolver anywhere: nothing to mask
        untyped = DictConfig(self.written)  # the mask is no number
        OmegaConf.register_new_resolver("oc.env", _mask, replace=True)
        try:
            values = _resolved(untyped)
        finally:
            secret.install()
        resolve_aim(values)
        return values

    @cached_property
    def _references(self) -> list[str] | None:
        """The keys from which values are taken; None if that can't be seen: a key is named by another one, with
        brackets, from where the reference stands, or by a resolver."""
        text = " ".join(str(value) for _, value in leaves(self.written))
        names = re.findall(r"\$\{([^{}]*)\}", text)
        plain = all(re.fullmatch(r"\w[\w.]*|oc\.env:.*", name) for name in names)
        return names if plain and len(names) == text.count("${") else None

    def uses(self, keys: Collection[str]) -> bool:
        """Whether something in the config is taken from one of the keys, from within it or around it."""
        if "model.head" in keys and "auto" in self.written.get("sweep", {}).values():
            return True
        if self._references is None:
            return bool(keys)
        pairs = [(f"{key}.", f"{name}.") for key in keys for name in self._references]
        return any(key.startswith(name) or name.startswith(key) for key, name in pairs)


def _number(value: Any) -> Any:
    """What the environment, which has texts only, says of a number; another value as it is."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value):
        return int(value) if re.fullmatch(r"[-+]?\d+", value) else float(value)
    return value


def _mask(*words: object) -> str:
    return f"${{oc.env:{','.join(map(str, words))}}}"


def _resolved(node: DictConfig) -> Plain:
    try:
        values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        if isinstance(error, MissingMandatoryValue):
            raise InputError(f"{error.full_key} is not given: add {error.full_key}=VALUE.") from None
        raise InputError(f"{error.full_key or 'config'}: {first_line(error)}") from None
    home: Plain = _at_home(values)
    return home


def _at_home(value: Any) -> Any:
    """A value with ~ written out where a path begins with it, which no shell does behind a '='."""
    if isinstance(value, dict):
        return {key: str(Path.home()) if item == "~" else _at_home(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_at_home(item) for item in value]  # where a lone ~ is what a table has for a missing value
    if isinstance(value, str) and (path := re.match(r"((?:sqlite:///)?)(~[\w.-]*/.*)", value, re.DOTALL)):
        return path[1] + os.path.expanduser(path[2])  # noqa: PTH111 - of an unknown user it stays as it is
    return value


def chosen(choices: Mapping[str, object], overrides: Iterable[str]) -> dict[str, str]:
    """Of Hydra's choices those that say what a group is: not where its target was typed over that of the file."""
    typed = {line.lstrip("+").partition("=")[0] for line in overrides}
    return {group: str(name) for group, name in choices.items() if name and f"{group}._target_" not in typed}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """`key: was A, is B` for every value that differs between two configs."""
    before, after = dict(leaves(old)), dict(leaves(new))
    return [
        f"{key}: was {before.get(key, 'absent')}, is {after.get(key, 'absent')}"
        for key in sorted({*before, *after})
        if before.get(key, ...) != after.get(key, ...)
    ]
