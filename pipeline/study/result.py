"""The end of a sweep: its leaderboard, its winner, the winner's test result and the command that trains it again."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.errors import InputError
from pipeline.jsonl import write_atomically
from pipeline.models import heads
from pipeline.search.plan import trial_overrides
from pipeline.study.ledger import Trial
from pipeline.study.study import Study
from pipeline.targets import call
from pipeline.tracking import compare, leaderboard, store
from pipeline.tracking.curves import diagnoses_of, epochs_of, learning_curve
from pipeline.tracking.diagnostics_picture import diagnostics_picture
from pipeline.tracking.display import console, number, say
from pipeline.tracking.recorder import Recorder
from pipeline.workers.executors import Executor, answers


def conclude(study: Study, executor: Executor, recorder: Recorder, interrupted: bool) -> int:
    """Writes and prints the result; returns the exit status."""
    rows, columns = study.rows()
    leaderboard.write(study.folder / "leaderboard.csv", rows, columns)
    recorder.artifact(None, study.folder / "leaderboard.csv")
    metric = study.objective.metric
    winner = next((t for t in study.ranked() if t.status == "completed"), None)
    summary: dict[str, float] = {}
    ended = [row for row in rows if row["status"] not in ("interrupted", "waiting")]
    if ended:
        console.print(leaderboard.table(ended, columns, metric))
    if winner is not None:
        summary[f"best_{metric}"] = winner.metrics[metric]
        command = _reproduce(study, winner)
        say(f"best: trial {winner.number}, {metric} {number(winner.metrics[metric])} in epoch {winner.best_epoch}")
        _export(study, executor)
        if not interrupted:
            summary |= _test(study, executor, winner)
        model = study.trial_folder(winner) / "model.h5"
        _write_best(study, winner, command, summary)
        for path in (study.folder / "best.yaml", model):
            if path.exists():
                recorder.artifact(None, path)
        title = f"{study.folder.name}, trial {winner.number}"
        folder = study.trial_folder(winner)
        curve = learning_curve(folder, title, heads.of(study.config).metrics)
        for picture in (curve, diagnostics_picture(folder, title)):
            if picture:
                recorder.artifact(None, picture)
        # It is not there after Ctrl-C, or when it could not be written.
        export = shlex.join(["python", "-m", "pipeline", "export", str(model.parent)])
        say(f"model:    {model if model.exists() else export}")
        say("again:    " + command)
    if study.config["experiment"] and not interrupted:
        _figure(study, executor, recorder)
    failed = sum(row["status"] in ("failed", "diverged") for row in rows)
    if failed:
        say(f"{failed} of {len(rows)} trials failed or diverged; leaderboard.csv lists them", "yellow")
    for trial in study.ledger.trials.values():
        # In no job of this process, yet pruned or still paused in it; the others are known to the recorder.
        if trial.started and not trial.run_id:
            recorder.open(study.tracked(trial))
    status = "KILLED" if interrupted else "FINISHED" if winner else "FAILED"
    recorder.summary(summary, {"status": "interrupted" if interrupted else "completed"}, status)
    address = compare.publish(study, recorder)
    if address:
        say(f"compare:  {address}{store.ui_hint(study.config['tracking'])}")
    if interrupted:
        say(f"interrupted; the same command with sweep.name={study.folder.name} goes on")
    problem = recorder.close()
    if problem:
        say(f"tracking: not all was recorded, {problem}; resuming forwards it", "yellow")
    return 130 if interrupted else 0 if winner else 1


def _export(study: Study, executor: Executor) -> None:
    """Writes model.h5 of the best trials that have none; the weights of the others stay in their state.h5."""
    completed = [t for t in study.ranked() if t.status == "completed"][: study.config["sweep"]["keep_models"]]
    missing = [t for t in completed if not (study.trial_folder(t) / "model.h5").exists()]
    for result in answers(executor, [{"kind": "export", **study.job_of(trial)} for trial in missing]).values():
        if "error" in result:
            say(f"model.h5 was not written: {result['error']}", "yellow")


def _answer(executor: Executor, job: dict[str, Any]) -> dict[str, Any]:
    """What a worker makes of one job."""
    return next(iter(answers(executor, [job]).values()), {"error": "interrupted"})


def _test(study: Study, executor: Executor, winner: Trial) -> dict[str, float]:
    """The winner's metrics on the test split, which is read here and nowhere else in a sweep."""
    result = _answer(executor, {"kind": "test", **study.job_of(winner)})
    if "error" in result:
        say(f"test: not evaluated, {result['error']}", "yellow")
        return {}
    found = {name: result[name] for name in ("accuracy", "loss") if name in result}
    told = ", ".join(f"{name} {number(value)}" for name, value in found.items())
    say(f"test: {told} on {result['n']} example{'' if result['n'] == 1 else 's'}")
    return {f"test_{name}": value for name, value in found.items()}


def _figure(study: Study, executor: Executor, recorder: Recorder) -> None:
    """Draws what the experiment shows into figure.png. The trials are what the sweep is for: whatever keeps the figure
    from being drawn is said in a line, and the sweep ends as it would without."""
    experiment = study.config["experiment"]
    pinned = [key for key in experiment["ranges"] if key not in study.plan.columns()]
    if pinned:
        say(f"figure: not drawn, it compares values of {', '.join(pinned)}, and this sweep has one", "yellow")
        return
    if not any(trial.status == "completed" for trial in study.ledger.trials.values()):
        say("figure: not drawn, no trial has completed", "yellow")
        return
    path = study.folder / "figure.png"
    try:
        finding = _draw(study, executor, path)
    except Exception as error:  # whatever a figure of one's own, the fonts or the disk come up with
        cause = error.__cause__ or error  # of which call() made an InputError
        kind = "" if isinstance(cause, InputError) else f"{type(cause).__name__}: "
        say(f"figure: not drawn, {kind}{' '.join(str(cause).split())}", "yellow")
        return
    recorder.artifact(None, path)
    say(f"found:    {finding}")
    say(f"figure:   {path}")


def _draw(study: Study, executor: Executor, path: Path) -> str:
    """Writes the experiment's figure to `path`; returns its finding."""
    from pipeline.experiments import results

    def predict(number_: int, inputs: np.ndarray) -> np.ndarray:
        job = {"kind": "predict", "inputs": inputs, **study.job_of(study.ledger.trials[number_])}
        found = _answer(executor, job)
        if "error" in found:
            raise InputError(found["error"])
        return np.asarray(found["outputs"])

    trials = [
        results.Trial(
            t.number,
            t.stage,
            t.params,
            t.status or "",
            t.metrics,
            t.best_epoch,
            epochs_of(folder),
            diagnoses_of(folder),
        )
        for t in study.ledger.trials.values()
        if (folder := study.trial_folder(t))
    ]
    experiment = study.config["experiment"]
    found = results.Results(trials, study.config, study.plan.arms[0].space, predict)
    drawing: results.Drawing = call("figure", experiment["figure"], found)
    results.save(drawing, experiment["title"], path)
    return drawing[1]


def _reproduce(study: Study, trial: Trial) -> str:
    stage = study.stage_of(trial)
    overrides = trial_overrides(study.plan, study.plan.arms[trial.arm], trial.params, stage.epochs)
    return shlex.join(["python", "run.py", *overrides])


def _write_best(study: Study, winner: Trial, command: str, summary: dict[str, float]) -> None:
    model = study.trial_folder(winner) / "model.h5"
    best = {
        "trial": winner.number,
        "command": command,
        "params": winner.params,
        "best_epoch": winner.best_epoch,
        "metrics": {**winner.metrics, **{k: v for k, v in summary.items() if k.startswith("test_")}},
        **({"model": str(model.relative_to(study.folder))} if model.exists() else {}),
    }
    write_atomically(study.folder / "best.yaml", [yaml.safe_dump(best, sort_keys=False).encode()])
