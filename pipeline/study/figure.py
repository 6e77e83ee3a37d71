"""The picture of a sweep that shows a claim: conf/experiment names the function that draws it."""

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.eventlog import diagnoses_of, epochs_of
from pipeline.records import Failure, PredictJob
from pipeline.study.finished import FinishedTrial, Results
from pipeline.study.study import Study
from pipeline.targets import call
from pipeline.tracking.display import print_line, print_whole
from pipeline.tracking.recorder import Recorder
from pipeline.workers.executor import Executor, ask


def draw_figure(study: Study, executor: Executor, recorder: Recorder) -> None:
    """Draws what the experiment shows into figure.png. The trials are what the sweep is for: whatever keeps the figure
    from being drawn is said in a line, and the sweep ends as it would without."""
    path = study.folder / "figure.png"
    try:
        finding = _draw(study, executor, path)
    except Exception as error:  # whatever a figure of one's own, the fonts or the disk come up with
        cause = error.__cause__ or error  # of which call() made an InputError
        kind = "" if isinstance(cause, InputError) else f"{type(cause).__name__}: "
        print_line(f"figure: not drawn, {kind}{' '.join(str(cause).split())}", "yellow")
        return
    recorder.artifact(None, path)
    print_line(f"found:    {finding}")
    print_whole(f"figure:   {path}")


def _draw(study: Study, executor: Executor, path: Path) -> str:
    """Writes the experiment's figure to `path`; returns its finding. Raises InputError if there is none to draw."""
    experiment = study.config.experiment
    assert experiment is not None and experiment.figure is not None
    if pinned := [key for key in experiment.searched if key not in study.plan.columns()]:
        raise InputError(f"it compares values of {', '.join(pinned)}, and this sweep has one")
    if not any(trial.status == "completed" for trial in study.ledger.sampled):
        raise InputError("no trial has completed")

    def predict(number: int, inputs: np.ndarray) -> np.ndarray:
        answer = ask(executor, PredictJob(number, study.task(study.ledger.trials[number]), inputs))
        if isinstance(answer, Failure):
            raise InputError(answer.reason)
        return np.asarray(answer)

    trials = []
    for trial in study.ledger.sampled:
        folder = study.trial_folder(trial)
        trials.append(FinishedTrial(**vars(trial), epochs=epochs_of(folder), diagnoses=diagnoses_of(folder)))
    figure, finding = call(
        "figure", experiment.figure, Results(trials, study.config, study.plan.arms[0].space, predict)
    )
    frame(figure, experiment.title, str(finding))
    figure.savefig(path, dpi=150)
    return str(finding)


def frame(figure: Any, title: str, finding: str) -> None:
    """Its title above it, its finding below it, in as many letters a line as fit."""
    inches = figure.get_figwidth()
    figure.suptitle(fill(title, int(10 * inches)))
    figure.supxlabel(fill(finding, int(14 * inches)), fontsize=9, x=0.02, ha="left")
