"""Writes model.h5 of trials that have none; a sweep does so for its best `sweep.keep_models`, a run always.

TRIAL is a trial's folder, outputs/sweeps/<name>/<trial> or outputs/runs/<time>. Its best epoch's weights are in
state.h5, its config in .hydra; the data must be as they were, for the model normalises its inputs by them.
"""

import argparse
from pathlib import Path
from typing import Any

from pipeline.cli.views.quiet import without_chatter
from pipeline.cli.views.text import clean
from pipeline.errors import InputError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trials", metavar="TRIAL", nargs="+", type=Path, help="folder of a trial, with its state.h5")


def run(options: argparse.Namespace) -> int:
    jobs = [job(folder) for folder in options.trials]  # all are looked at before the first is written
    for one in jobs:
        with without_chatter():
            from pipeline.training.trial import export

            path = export(one)
        print(clean(path))
    return 0


def job(folder: Path) -> dict[str, Any]:
    """What training.trial.export takes. Raises InputError if `folder` is no trial's, has no weights, or its config
    calls what no file of conf/ does: it may be a stranger's."""
    from omegaconf import DictConfig, OmegaConf

    from pipeline import compatibility
    from pipeline import config as configs
    from pipeline.cli.sources.datasets import targets

    path = folder / ".hydra/config.yaml"
    if not path.is_file():
        trials = [p.parent.parent.name for p in sorted(folder.glob("*/.hydra/config.yaml"))]
        hint = f" It is a sweep's; its trials: {', '.join(trials[:8])}." if trials else ""
        raise InputError(f"{folder}: there is no trial in it ({path.name} is missing).{hint}")
    if not (folder / "state.h5").is_file():
        raise InputError(f"{folder}: it has no state.h5: the trial has not come to the end of an epoch.")
    try:
        config = DictConfig(compatibility.current(OmegaConf.to_container(OmegaConf.load(path))))
        plain, record = configs.plain(config), configs.recorded(config)
        configs.check(plain)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} can't be read: {str(error).splitlines()[0]}") from None
    for group in ("model", "dataset"):
        if (target := plain[group]["_target_"]) not in targets(group):
            raise InputError(f"{path}: {group}._target_={target}: no file in conf/{group} names that.")
    return {"config": plain, "record": record, "folder": str(folder)}
