"""Data sets by name, with the split that a model was trained on."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pipeline import compatibility
from pipeline.building import built
from pipeline.checks import MAPS, check
from pipeline.cli.views.text import warn
from pipeline.config import Composed, differences
from pipeline.data.sources import make_splits
from pipeline.data.splits import Splits
from pipeline.errors import InputError, one_of
from pipeline.hydra_schema import register
from pipeline.schema import Config
from pipeline.user_folder import OURS, conf_folders, search_path

Description = dict[str, Any]  # what a model.h5 says about itself; a stranger may have written it


def names() -> list[str]:
    return sorted({path.stem for path in _files("dataset")})


def load(name: str, model: Path, description: Description, words: Sequence[str] = ()) -> Splits:
    """The data set `name`: as the model's config records it if that is the one it was trained on, with a warning
    if the data has changed; else as conf/dataset says, with seed 0. words: formats of the user's own. Raises InputError
    if there is none."""
    if name not in names():
        raise one_of("dataset", name, names())
    recorded = _recorded(description)
    if recorded is None or recorded_name(model, description) != name:
        return chosen([f"dataset={name}", *words])[0]
    own = _dataset(name)
    node = {key: _resolved(value) if own.get(key) == value else value for key, value in recorded["dataset"].items()}
    composed = _compose(*words)
    composed.dataset = {}  # the default one is not asked for, and may lack values
    config = built({**Composed(composed).record, "dataset": node, "seed": recorded.get("seed", 0)})
    check(config)
    splits = _build(model, config)
    before = description.get("data_fingerprint")
    if before is not None and before != splits.fingerprint:
        warn(
            f"the data set {name} is not as it was when {model} was trained: "
            f"its fingerprint is {splits.fingerprint}, recorded is {before}."
        )
    return splits


def is_override(word: str) -> bool:
    """Whether a word of the command line is `key=value`, and no file; `./a=b.h5` is one."""
    return re.match(r"[+~]*[A-Za-z_][\w.@/]*=", word) is not None


def key_of(word: str) -> str:
    """What an override is for."""
    return word.split("=")[0].lstrip("+~")


def parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """What of the words of a command names files and data, and what is `key=value`."""
    names = [word for word in words if not is_override(word) or Path(word).exists()]
    return names, [word for word in words if word not in names]


def chosen(overrides: Sequence[str]) -> tuple[Splits, dict[str, Any]]:
    """The data set that `dataset=NAME dataset.KEY=VALUE seed=N` names, as run.py would load it; and what that is in
    full, to be recorded. Raises InputError for what can't be loaded, and for keys that have no part in it."""
    if "dataset" not in _keys(overrides):
        raise InputError(f"dataset=NAME is missing. Data sets: {', '.join(names())}.")
    composed = Composed(_compose(*overrides))
    config = composed.config
    check(config)
    splits = make_splits(config)
    return splits, {key: composed.record[key] for key in ("dataset", "seed")}


def for_file(path: str, words: Sequence[str]) -> Config:
    """The config of `dataset=file` for a file, with words of the command line: what its reader is given."""
    if "dataset" in _keys(words):
        raise InputError(f"{path} is a file: give dataset.KEY=VALUE for its reader, not dataset=NAME.")
    composed = _compose("dataset=file", *words)
    composed.dataset.file = path
    config = Composed(composed).config
    check(config)
    return config


def _keys(words: Sequence[str]) -> list[str]:
    """The keys of overrides. Raises InputError for one that has no part in data."""
    keys = [key_of(word) for word in words]
    for word, key in zip(words, keys):
        if key.split(".")[0] not in ("dataset", "seed", "allowed_targets", *MAPS):
            raise InputError(f"{word} decides nothing about the data: give dataset=NAME, dataset.KEY=VALUE or seed=N.")
    return keys


def recorded_name(model: Path, description: Description) -> str:
    """The file in conf/dataset that a model's data set came from: it names the same target, and of several that do
    its values differ least.

    Raises InputError if there is none. A stranger's config thereby reaches only what the user's own YAML files
    call: anything in `allowed_targets` would be too much, since Keras itself has functions that run code.
    """
    recorded = _recorded(description)
    if recorded is None:
        raise InputError(f"{model}: no data set is recorded in it; say which INPUT to use. Known: {_known()}.")
    target = recorded["dataset"].get("_target_")
    distance = {}
    for name in names():
        own = _dataset(name)
        if own.get("_target_") == target:
            distance[name] = len(differences(own, recorded["dataset"]))
    if not distance:
        raise InputError(
            f"{model}: its data set was made by {target}, which no file in conf/dataset names.\n"
            f"Say which INPUT to use. Known: {_known()}."
        )
    return min(distance, key=distance.__getitem__)


def targets(group: str) -> set[str]:
    """What the files of conf/`group` call."""
    return {_yaml(path).get("_target_", "") for path in _files(group)}


def _files(group: str) -> list[Path]:
    return [path for folder in conf_folders() for path in (folder / group).glob("*.yaml")]


def maps(words: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """The names of heads, metrics, formats and scales in the user's own conf/config.yaml, and in words of the command
    line, and what they call."""
    words = [word for word in words if key_of(word).split(".")[0] in (*MAPS, "allowed_targets")]
    own = for_file("", words).plain() if words else _yaml(OURS / "config.yaml")
    return {name: own.get(name, {}) for name in MAPS}


def _known() -> str:
    return ", ".join(f"{name}:test" for name in names())


def _recorded(description: Description) -> dict[str, Any] | None:
    """The recorded config, if it has the form of one."""
    config = description.get("caviar_config")
    return (
        compatibility.current(config) if isinstance(config, dict) and isinstance(config.get("dataset"), dict) else None
    )


def _dataset(name: str) -> dict[str, Any]:
    return _yaml(next(path for path in _files("dataset") if path.stem == name))


def _yaml(path: Path) -> dict[str, Any]:
    """A file of conf/ as it is written, nothing resolved."""
    node = OmegaConf.to_container(OmegaConf.load(path))
    return {str(key): value for key, value in node.items()} if isinstance(node, dict) else {}


def _resolved(value: Any) -> Any:
    """A value that the user's own YAML has too, with `${oc.env:NAME}` looked up: configs record the variable, not
    its content. From a stranger's model alone it stays as it is, or any secret could be put into a path."""
    return OmegaConf.to_container(OmegaConf.create([value]), resolve=True)[0]  # type: ignore[index]


def _compose(*overrides: str) -> DictConfig:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(OURS), version_base="1.3"):
        return compose("config", [*search_path(), *overrides])


def _build(model: Path, config: Config) -> Splits:
    """The recorded data set. Its values may be of any type, so whatever it raises is the file's fault."""
    try:
        return make_splits(config)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{model}: its recorded data set can't be made ({type(error).__name__}: {error}).") from None
