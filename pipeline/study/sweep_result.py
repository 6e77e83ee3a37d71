"""The end of a sweep: its leaderboard, its winner, the winner's test result and the command that trains it again."""

import shlex
from collections.abc import Mapping

import yaml

from pipeline.heads.lookup import head_of
from pipeline.jsonl import write_atomically
from pipeline.records import SCORED, Answer, ExportJob, Failure, Job, TestJob, TestResult, Trial
from pipeline.study import compare
from pipeline.study.figure import draw_figure
from pipeline.study.study import Study
from pipeline.study.tracked import TrackedRuns
from pipeline.tracking import leaderboard, store
from pipeline.tracking.curves import learning_curve
from pipeline.tracking.diagnostics_picture import diagnostics_picture
from pipeline.tracking.display import console, number, print_line
from pipeline.tracking.recorder import Recorder
from pipeline.workers.executor import Executor, answers


def conclude(study: Study, executor: Executor, recorder: Recorder, runs: TrackedRuns, *, interrupted: bool) -> int:
    """Writes and prints the result; returns the exit status."""
    rows, columns = leaderboard_rows(study)
    leaderboard.write(study.folder / "leaderboard.csv", rows, columns)
    recorder.artifact(None, study.folder / "leaderboard.csv")
    metric = study.objective.metric
    winner = next((t for t in study.ranked() if t.status == "completed"), None)
    summary: dict[str, float] = {}
    if ended := [row for row in rows if row["status"] not in ("interrupted", "waiting")]:
        console.print(leaderboard.table(ended, columns, metric))
    if winner is not None:
        summary[f"best_{metric}"] = winner.metrics[metric]
        print_line(
            f"best: trial {winner.number}, {metric} {number(winner.metrics[metric])} in epoch {winner.best_epoch}"
        )
        _export(study, executor)
        if not interrupted:
            summary |= _test(study, executor, winner)
        _write_winner(study, recorder, winner, summary)
    if study.config.experiment and not interrupted:
        draw_figure(study, executor, recorder)
    failed = sum(row["status"] in ("failed", "diverged") for row in rows)
    if failed:
        print_line(f"{failed} of {len(rows)} trials failed or diverged; leaderboard.csv lists them", "yellow")
    for trial in study.ledger.trials.values():
        # In no job of this process, yet pruned or still paused in it; the others are known to the recorder.
        if trial.started and not trial.run_id:
            recorder.open(runs.trial(trial))
    status = "KILLED" if interrupted else "FINISHED" if winner else "FAILED"
    recorder.summary(summary, {"status": "interrupted" if interrupted else "completed"}, status)
    address = compare.publish(study, runs, recorder)
    if address:
        print_line(f"compare:  {address}{store.ui_hint(study.config.tracking)}")
    if interrupted:
        print_line(f"interrupted; the same command with sweep.name={study.folder.name} goes on")
    problem = recorder.close()
    if problem:
        print_line(f"tracking: not all was recorded, {problem}; resuming forwards it", "yellow")
    return 130 if interrupted else 0 if winner else 1


def leaderboard_rows(study: Study) -> tuple[list[dict[str, object]], list[str]]:
    """A row a trial, best first, and the columns."""
    metric = study.objective.metric
    waiting = [t for t in study.ledger.trials.values() if t.status is None]
    rows = [
        {
            "trial": t.number,
            "status": t.shown_status,
            "stage": t.stage,
            metric: t.metrics.get(metric) if t.status in SCORED else None,
            **t.params,
        }
        for t in (*study.ranked(), *waiting)
    ]
    return rows, ["trial", "status", "stage", metric, *study.plan.columns()]


def ask(executor: Executor, job: Job) -> Answer:
    """What a worker makes of one job."""
    return next(iter(answers(executor, [job]).values()), Failure("interrupted"))


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
