"""What commands ask of the user's configuration: data sets by name, the reader of a file, what conf/ calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from pipeline.checks import MAPS, check, naming
from pipeline.cli.sources.words import key_of
from pipeline.config import Composed
from pipeline.data.formats.file import reader_keys
from pipeline.data.sources import make_splits
from pipeline.data.splits import Splits
from pipeline.errors import InputError
from pipeline.hydra_schema import register
from pipeline.schema import Config
from pipeline.user_folder import OURS, conf_folders, search_path


def names() -> list[str]:
    """The data sets in conf/dataset."""
    return sorted({path.stem for path in _files("dataset")})


def chosen(overrides: Sequence[str]) -> tuple[Splits, Mapping[str, Any]]:
    """The data set that `dataset=NAME dataset.KEY=VALUE seed=N` names, as run.py would load it; and what that is in
    full, to be recorded. Raises InputError for what can't be loaded, and for keys that have no part in it."""
    if "dataset" not in _keys(overrides):
        raise InputError(f"dataset=NAME is missing. Data sets: {', '.join(names())}.")
    composed = Composed(composed_of(*overrides))
    config = composed.config
    check(config)
    splits = make_splits(config)
    return splits, {key: composed.record[key] for key in ("dataset", "seed")}


@dataclass(frozen=True)
class Reading:
    """How a file is to be read."""

    formats: Mapping[str, str]  # name -> the reader of such files
    format: str  # one of them, or auto
    keys: Mapping[str, object]  # what the user gives the reader


def for_file(path: str, words: Sequence[str]) -> Reading:
    """What the config of `dataset=file`, with words of the command line, says of a file."""
    config = _of_file(path, words)
    if config.dataset.normalize is False:
        raise InputError(f"dataset.normalize=false: a model normalises {path} as it learned to; leave that key out.")
    arguments = config.dataset.arguments
    return Reading(config.formats, arguments["format"], reader_keys(arguments))


def _of_file(path: str, words: Sequence[str]) -> Config:
    if "dataset" in _keys(words):
        raise InputError(f"{path} is a file: give dataset.KEY=VALUE for its reader, not dataset=NAME.")
    node = composed_of("dataset=file", *words)
    node.dataset.file = path
    config = Composed(node).config
    check(config)
    return config


def _keys(words: Sequence[str]) -> list[str]:
    """The keys of overrides. Raises InputError for one that has no part in data."""
    keys = [key_of(word) for word in words]
    for word, key in zip(words, keys):
        if key.split(".")[0] not in ("dataset", "seed", "allowed_targets", *MAPS):
            raise InputError(f"{word} decides nothing about the data: give dataset=NAME, dataset.KEY=VALUE or seed=N.")
    return keys


def composed_of(*overrides: str) -> DictConfig:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(OURS), version_base="1.3"):
        return compose("config", [*search_path(), *overrides])


def targets(group: str) -> set[str]:
    """What the files of conf/`group` call."""
    return {_yaml(path).get("_target_", "") for path in _files(group)}


def maps(words: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """The names of heads, metrics, formats and scales in the user's own conf/config.yaml, and in words of the command
    line, and what they call."""
    own = _own(words)
    return {name: own.get(name, {}) for name in MAPS}


def allowed_targets(words: Sequence[str] = ()) -> list[str]:
    """What may run by the user's own conf/config.yaml and words of the command line."""
    return list(_own(words)["allowed_targets"])


def _own(words: Sequence[str]) -> Mapping[str, Any]:
    words = naming(words)
    return _of_file("", words).plain() if words else _yaml(OURS / "config.yaml")


def as_written(name: str) -> dict[str, Any]:
    """A data set's file in conf/dataset, nothing resolved."""
    return _yaml(next(path for path in _files("dataset") if path.stem == name))


def _files(group: str) -> list[Path]:
    return [path for folder in conf_folders() for path in (folder / group).glob("*.yaml")]


def _yaml(path: Path) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(path))
    return {str(key): value for key, value in node.items()} if isinstance(node, dict) else {}
