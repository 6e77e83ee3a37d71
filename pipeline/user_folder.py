"""A folder of the user's own: `--config-dir FOLDER/conf` adds its YAML files, and Python files beside conf/."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError

OURS = Path(__file__).parents[1] / "conf"
_OPTION = ("--config-dir", "-cd")
_NAME = ("--config-name", "-cn")
_theirs: list[Path] = []
_names: list[str] = []  # of the primary config, if it is another than config.yaml


def adopt(arguments: Sequence[str]) -> None:
    """Lets this process and the workers that it starts import what lies beside the user's conf/.

    Raises InputError if `--config-dir` names no folder.
    """
    _theirs.clear()  # of an earlier command in this process
    _names.clear()
    for word, following in zip(arguments, [*arguments[1:], ""]):
        name, equals, value = word.partition("=")
        if name in _NAME:
            _names.append(value if equals else following)
        if name not in _OPTION:
            continue
        folder = Path(value if equals else following).absolute()
        if not folder.is_dir():
            raise InputError(f"{name}={value or following}: there is no such folder.")
        parent = str(folder.parent)
        if parent not in sys.path:
            sys.path.append(parent)
        inherited = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        if parent not in inherited:
            os.environ["PYTHONPATH"] = os.pathsep.join([*inherited, parent])
        if folder not in _theirs:
            _theirs.append(folder)


def option() -> list[str]:
    """The words of a command that name the folder, for commands that are printed."""
    return ["--config-dir", str(_theirs[-1])] if _theirs else []


def run_option() -> list[str]:
    """The same of `run.py`, which also takes the name of another config.yaml."""
    return [*option(), *(["--config-name", _names[-1]] if _names else [])]


def search_path() -> list[str]:
    """The override by which Hydra's compose API finds the user's files, too."""
    return [f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in _theirs)}]"] if _theirs else []


def conf_folders() -> list[Path]:
    """Where the files of config groups are, ours first: of two of one name ours is meant."""
    return [OURS, *_theirs]
