"""Where results go: runs/<time> for one trial, sweeps/<name> for a sweep, and in it a folder a trial."""

import contextlib
import shutil
import time
from pathlib import Path

import yaml

from pipeline.config import Composed
from pipeline.errors import InputError, lacked
from pipeline.jsonl import beside, blaming


def new_folder(parent: Path) -> Path:
    """Makes `parent`/<time>, with a number behind it if another process had the same second."""
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    _make(parent)
    for i in range(1000):
        folder = parent / (stamp if i == 0 else f"{stamp}_{i}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise InputError(f"{parent}: a thousand runs have begun within this second.")


def sweep_folder(parent: Path, name: str | None) -> Path:
    """The folder of a named sweep, made if it is new; a new one named by the time without a name."""
    if name is None:
        return new_folder(parent)
    _make(parent / name)
    return parent / name


def config_file(folder: Path) -> Path:
    """Where the config of a trial stands."""
    return folder / ".hydra/config.yaml"


def write_config(folder: Path, composed: Composed, overrides: list[str]) -> None:
    """Writes .hydra/config.yaml, not resolved (a secret from the environment stays there), and overrides.yaml, both or
    none; what is there whole stays."""
    whole = config_file(folder).parent
    if all((whole / name).exists() for name in ("config.yaml", "overrides.yaml")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(whole, ignore_errors=True)  # of an earlier version that was killed
    new = beside(whole)
    with blaming(whole):
        new.mkdir(exist_ok=True)
        (new / "config.yaml").write_text(composed.yaml, encoding="utf-8")
        text = yaml.safe_dump(overrides, default_flow_style=False, allow_unicode=True)
        (new / "overrides.yaml").write_text(text, encoding="utf-8")
        new.replace(whole)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if lacked(error):
            raise
        raise InputError(f"output_dir: {folder} can't be made ({error.strerror}).") from None
