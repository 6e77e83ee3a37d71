"""The end of a trial by itself: its pictures, and what it came to."""

from pipeline.eventlog import events_of
from pipeline.heads.lookup import head_of
from pipeline.records import Ended
from pipeline.schema import Config, leaves
from pipeline.search.space import averaging_steps
from pipeline.study.study import Study
from pipeline.tracking import store
from pipeline.tracking.curves import learning_curve
from pipeline.tracking.diagnostics_picture import diagnostics_picture
from pipeline.tracking.display import number, print_line
from pipeline.tracking.recorder import Recorder


def print_averages(config: Config) -> None:
    """Says over how many steps running averages reach, for their weights say little to a reader."""
    if averages := averaging_steps(dict(leaves(config.plain()))):
        print_line("averages: " + ", ".join(f"{key} over {steps:g} steps" for key, steps in averages.items()))


def conclude(study: Study, recorder: Recorder, *, interrupted: bool) -> int:
    """Draws and prints the result; returns the exit status."""
    folder, config = study.folder, study.config
    trial = study.ledger.trials[0]
    curve = learning_curve(folder, folder.name, head_of(config).axes())
    for path in (curve, diagnostics_picture(folder, folder.name), folder / ".hydra/config.yaml", folder / "model.h5"):
        if path is not None and path.exists():
            recorder.artifact(trial.number, path)
    experiment, run = recorder.experiment_id(), recorder.run_id(trial.number)
    problem = recorder.close()
    if trial.status is None:
        print_line(f"interrupted; go on with the same command and resume={folder}", "yellow")
    elif trial.status != "completed":
        print_line(f"{trial.status}: {trial.reason}", "red")
    else:
        end = next(e for e in reversed(list(events_of(folder))) if isinstance(e, Ended))
        names, model = dict.fromkeys((study.objective.metric, "val_loss")), folder / "model.h5"
        values = ", ".join(f"{name} {number(end.metrics[name])}" for name in names)
        print_line(f"best epoch {end.best_epoch} of {end.epochs}: {values}{f' ({end.reason})' if end.reason else ''}")
        print_line(f"model:    {model}")
        print_line(f"next:     python -m pipeline evaluate {model}")
    if experiment is not None and run is not None:
        page = f"{store.ui(config.tracking)}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"
        print_line(f"compare:  {page}{store.ui_hint(config.tracking)}")
    if problem:
        print_line(f"tracking: not all was recorded, {problem}", "yellow")
    return 130 if trial.status is None else 0 if trial.status == "completed" else 1
