"""The end of a sweep: its leaderboard, its winner, the winner's test result and the command that trains it again."""

import shlex
from collections.abc import Mapping

import yaml

from pipeline.heads.lookup import head_of
from pipeline.jsonl import write_atomically
from pipeline.records import ExportJob, Failure, TestJob, TestResult, Trial
from pipeline.study import compare
from pipeline.study.figure import draw_figure
from pipeline.study.study import Study
from pipeline.study.tracked import TrackedRuns
from pipeline.tracking import leaderboard, store
from pipeline.tracking.curves import learning_curve
from pipeline.tracking.diagnostics_picture import diagnostics_picture
from pipeline.tracking.display import console, number, print_line
from pipeline.tracking.recorder import Recorder
from pipeline.workers.executor import Executor, answers, ask


def conclude(study: Study, executor: Executor, recorder: Recorder, runs: TrackedRuns, *, interrupted: bool) -> int:
    """Writes and prints the result; returns the exit status."""
    metric, keys, path = study.objective.metric, study.plan.columns(), study.folder / "leaderboard.csv"
    trials, ended = study.ledger.trials.values(), study.ranked()
    leaderboard.write(path, [*ended, *(t for t in trials if t.status is None)], metric, keys)
    recorder.artifact(None, path)
    winner = next((t for t in ended if t.status == "completed"), None)
    summary: dict[str, float] = {}
    if ended:
        console.print(leaderboard.table(ended, metric, keys))
    if winner is not None:
        best = summary[f"best_{metric}"] = winner.metrics[metric]
        print_line(f"best: trial {winner.number}, {metric} {number(best)} in epoch {winner.best_epoch}")
        _export(study, executor)
        if not interrupted:
            summary |= _test(study, executor, winner)
        _write_winner(study, recorder, winner, summary)
    if study.config.experiment and not interrupted:
        draw_figure(study, executor, recorder)
    if failed := sum(t.status in ("failed", "diverged") for t in ended):
        print_line(f"{failed} of {len(trials)} trials failed or diverged; leaderboard.csv lists them", "yellow")
    for trial in trials:
        # In no job of this process, yet pruned or still paused in it; the others are known to the recorder.
        if trial.started and not trial.run_id:
            recorder.open(runs.trial(trial))
    status = "KILLED" if interrupted else "FINISHED" if winner else "FAILED"
    recorder.summary(summary, {"status": "interrupted" if interrupted else "completed"}, status)
    if address := compare.publish(study, runs, recorder):
        print_line(f"compare:  {address}{store.ui_hint(study.config.tracking)}")
    if interrupted:
        print_line(f"interrupted; the same command with sweep.name={study.folder.name} goes on")
    if problem := recorder.close():
        print_line(f"tracking: not all was recorded, {problem}; resuming forwards it", "yellow")
    return 130 if interrupted else 0 if winner else 1


def _export(study: Study, executor: Executor) -> None:
    """Writes model.h5 of the best trials that have none; the weights of the others stay in their state.h5."""
    completed = [t for t in study.ranked() if t.status == "completed"][: study.config.sweep.keep_models]
    missing = [t for t in completed if not (study.trial_folder(t) / "model.h5").exists()]
    for answer in answers(executor, (ExportJob(trial.number, study.task(trial)) for trial in missing)).values():
        if isinstance(answer, Failure):
            print_line(f"model.h5 was not written: {answer.reason}", "yellow")


def _test(study: Study, executor: Executor, winner: Trial) -> dict[str, float]:
    """The winner's metrics on the test split, which is read here and nowhere else in a sweep."""
    answer = ask(executor, TestJob(winner.number, study.task(winner)))
    if isinstance(answer, Failure):
        print_line(f"test: not evaluated, {answer.reason}", "yellow")
        return {}
    assert isinstance(answer, TestResult)
    values = ", ".join(f"{name} {number(value)}" for name, value in answer.metrics.items())
    print_line(f"test: {values} on {answer.n} example{'' if answer.n == 1 else 's'}")
    return {f"test_{name}": value for name, value in answer.metrics.items()}


def _write_winner(study: Study, recorder: Recorder, winner: Trial, summary: Mapping[str, float]) -> None:
    folder = study.trial_folder(winner)
    model, command = folder / "model.h5", shlex.join(["python", "run.py", *study.plan.overrides(winner)])
    best = {
        "trial": winner.number,
        "command": command,
        "params": dict(winner.params),
        "best_epoch": winner.best_epoch,
        "metrics": {**winner.metrics, **{k: v for k, v in summary.items() if k.startswith("test_")}},
        **({"model": str(model.relative_to(study.folder))} if model.exists() else {}),
    }
    write_atomically(study.folder / "best.yaml", [yaml.safe_dump(best, sort_keys=False).encode()])
    title = f"{study.folder.name}, trial {winner.number}"
    curve = learning_curve(folder, title, head_of(study.task(winner).config).axes())
    for path in (study.folder / "best.yaml", model, curve, diagnostics_picture(folder, title)):
        if path and path.exists():
            recorder.artifact(None, path)
    # It is not there after Ctrl-C, or when it could not be written.
    export = shlex.join(["python", "-m", "pipeline", "export", str(folder)])
    print_line(f"model:    {model if model.exists() else export}")
    print_line("again:    " + command)
