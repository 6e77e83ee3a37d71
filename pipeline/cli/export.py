"""Writes model.h5 of trials that have none; a sweep does so for its best `sweep.keep_models`, a run always.

TRIAL is a trial's folder, outputs/sweeps/<name>/<trial> or outputs/runs/<time>. Its best epoch's weights are in
state.h5, its config in .hydra; the data must be as they were, for the model normalises its inputs by them.
What a training command said of your own code is said here, too: --config-dir, `+heads...`, `+metrics...`, `+formats...`
and `allowed_targets=[...]`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.cli.sources.words import parted
from pipeline.cli.views.quiet import without_chatter
from pipeline.cli.views.text import clean
from pipeline.errors import InputError, first_line
from pipeline.records import TrialTask


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trials", metavar="TRIAL", nargs="+", help="folder of a trial, with its state.h5; and KEY=VALUE, as above"
    )


def run(options: argparse.Namespace) -> int:
    folders, words = parted(options.trials)
    tasks = [task(Path(folder), words) for folder in folders]  # all are looked at before the first is written
    for trial in tasks:
        with without_chatter():
            from pipeline.training.trial import export

            path = export(trial)
        print(clean(path))
    return 0


def task(folder: Path, words: Sequence[str] = ()) -> TrialTask:
    """What training.trial.export takes. words: what the user's command adds to the maps of names. Raises InputError if
    `folder` is no trial's, has no weights, or its config calls what no file of conf/ does: it may be a stranger's."""
    from pipeline.checks import check
    from pipeline.cli.sources.conf import allowed_targets, maps, targets
    from pipeline.config import Composed

    path = folder / ".hydra/config.yaml"
    if not path.is_file():
        trials = [p.parent.parent.name for p in sorted(folder.glob("*/.hydra/config.yaml"))]
        hint = f" It is a sweep's; its trials: {', '.join(trials[:8])}." if trials else ""
        raise InputError(f"{folder}: there is no trial in it ({path.name} is missing).{hint}")
    if not (folder / "state.h5").is_file():
        raise InputError(f"{folder}: it has no state.h5: the trial has not come to the end of an epoch.")
    composed = Composed.from_file(path)
    try:
        config = composed.config
        for kind, own in maps(words).items():  # before check(), which imports what they name
            for name, target in getattr(config, kind).items():
                if own.get(name) != target:
                    raise InputError(
                        f"{path}: {kind}.{name}={target}: the map `{kind}` of conf/config.yaml does not say so."
                    )
        check(replace(config, allowed_targets=allowed_targets(words)))  # not what a stranger's folder allows
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} can't be read: {first_line(error)}") from None
    for group in ("model", "dataset"):
        if (target := getattr(config, group).target) not in targets(group):
            raise InputError(f"{path}: {group}._target_={target}: no file in conf/{group} names that.")
    return TrialTask(0, config, composed.record, str(folder))
