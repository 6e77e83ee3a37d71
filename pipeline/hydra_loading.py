"""How Hydra loads configs here: nothing of what YAML says of Hydra itself, or of `allowed_targets`, runs unchecked.

Hydra calls what `hydra.callbacks`, `hydra.job_logging` and others name, before the task begins and so before check().
Every config that is composed, of a run, an arm or a command, comes from this loader.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra._internal import hydra as hydra_internal
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins import file_config_source
from hydra._internal.grammar import grammar_functions
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from pipeline.errors import InputError, in_one_line
from pipeline.yaml_text import check_yaml

_SILENT: Mapping[str, Any] = {"version": 1, "root": None, "disable_existing_loggers": False}
# What Hydra does by itself, as it stands in the composed config; conf/config.yaml has chosen it. The rest of `hydra` is
# texts of its help, and what it notes of this start.
DEFAULTS: Mapping[str, Any] = {
    "callbacks": {},
    "env": {},
    "hydra_logging": _SILENT,
    "job_logging": _SILENT,
    "job.chdir": None,
    "job.env_copy": [],
    "job.env_set": {},
    "launcher": {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"},
    "output_subdir": None,
    "run": {"dir": "."},
    "sweep": {"dir": ".", "subdir": "${hydra.job.num}"},
    "sweeper": {"_target_": "hydra_plugins.caviar.CaviarSweeper"},
    "verbose": False,
}
# What Hydra and OmegaConf raise for input of a kind that they do not expect.
MISTAKEN = (
    AssertionError, AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError,
)  # fmt: skip
HONOURED = ("hydra.mode", "hydra.searchpath", "hydra.help", "hydra.hydra_help")
_FOLDERS = "Results go where output_dir and sweep.name say."
_INSTEAD = {
    "launcher": "trials run where `executor` says. Use executor.workers=N.",
    "callbacks": "train.callbacks and tracking.subscribers take your own.",
    "run": _FOLDERS,
    "sweep": _FOLDERS,
    "output_subdir": _FOLDERS,
}


def install() -> None:
    """Makes this process's Hydra load configs by the classes below."""
    hydra_internal.ConfigLoaderImpl = CheckedLoader  # type: ignore[misc]
    SourcesRegistry.instance().types["file"] = FileConfigSource
    of_choice = grammar_functions.choice.__annotations__  # by which Hydra's parser checks what stands in the brackets
    of_choice["args"] = of_choice["args"] | None  # choice(null, 1.0): off, or this much


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's own, which it knows by this name, but for files that would take endless time to build."""

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(self.path, self._normalize_file_name(config_path))
        if path.is_file():
            check_yaml(path)
        return super().load_config(config_path)


class CheckedLoader(ConfigLoaderImpl):
    def load_configuration(
        self, config_name: str | None, overrides: list[str], *arguments: Any, **keywords: Any
    ) -> DictConfig:
        """As Hydra composes it. Raises InputError for a setting of Hydra's that is not its default, and for an
        `allowed_targets` that neither the primary config nor the command line says."""
        typed = {override.key_or_group: override for override in OverridesParser.create().parse_overrides(overrides)}
        for key, override in typed.items():
            if key.startswith("hydra.") and not f"{key}.".startswith(tuple(f"{name}." for name in HONOURED)):
                raise _not_honoured(key.removeprefix("hydra."), override.input_line)
            listed = override.value()
            one_name = isinstance(listed, list) and len(listed) == 1 and isinstance(listed[0], str)
            if isinstance(listed, list) and not one_name and self.repository.group_exists(key):
                raise InputError(f"{override.input_line}: a group is chosen by the name of one file, {key}=NAME.")
        config = self._composed(config_name, overrides, *arguments, **keywords)
        for key, value in _changed(config.hydra):
            raise _not_honoured(key, f"hydra.{key}={value}")
        if "allowed_targets" in config and "allowed_targets" not in typed:
            allowed = _plain(OmegaConf.select(config, "allowed_targets"))
            if allowed != (first := self._allowed(config_name)):
                raise InputError(
                    f"allowed_targets={allowed}: only conf/config.yaml and the command line may say that, and they say "
                    f"{first}.\nIf you trust the files that you chose, add 'allowed_targets=[…]' to the command."
                )
        return config

    def _composed(self, config_name: str | None, overrides: list[str], *arguments: Any, **keywords: Any) -> DictConfig:
        try:
            return super().load_configuration(config_name, overrides, *arguments, **keywords)
        except MISTAKEN as error:
            lines = [line for line in overrides if self._fails(config_name, line)] if len(overrides) > 1 else overrides
            raise InputError(_complaint(error, lines[0] if lines else "")) from error

    def _fails(self, config_name: str | None, line: str) -> bool:
        try:
            super().load_configuration(config_name, [line], RunMode.RUN)
        except MISTAKEN:
            return True
        except Exception:
            return False
        return False

    def _allowed(self, config_name: str | None) -> Any:
        """The `allowed_targets` of the primary config; of config.yaml, where that one says nothing."""
        for name in (config_name, "config"):
            loaded = self.repository.load_config(name) if name else None
            if loaded and "allowed_targets" in loaded.config:
                return _plain(loaded.config["allowed_targets"])
        return []


def _complaint(error: Exception, line: str) -> str:
    """What to say of an error that Hydra itself did not expect. line: the override that brings it; "" if none does."""
    text, key = str(error), line.partition("=")[0].lstrip("+~")
    if text.startswith("Config group override must be"):
        return "a group is chosen by the name of a file in conf/, not by a number."
    if null := re.search(r"full_key: (\S+)", text):
        return f"{null[1]} is null in what the other choices say, and OmegaConf can't give parts to null."
    if "NoneType" in text and "." in key:
        section = key.split(".")[0]
        return f"{line}: {section} is null, so it has no keys. Choose one first: {section}=NAME."
    return f"{line or 'a YAML file'} is not understood ({in_one_line(error)[:200]})."


def _changed(node: DictConfig) -> Iterator[tuple[str, Any]]:
    """The settings of Hydra's that are not its own."""
    for key, default in DEFAULTS.items():
        if (value := _plain(OmegaConf.select(node, key))) != default:
            yield key, value


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node


def _not_honoured(key: str, line: str | None) -> InputError:
    hint = _INSTEAD.get(key.split(".")[0], "Caviar leaves Hydra's own settings as they are.")
    what = f"hydra/{key}" if key == "launcher" else str(line)
    return InputError(f"{what if len(what) < 200 else what[:200] + '…'} does not apply: {hint}")
