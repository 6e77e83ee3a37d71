"""What a study has come to: of a sweep its leaderboard, its winner, the winner's test result and the command that
trains it again."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from pipeline.checks import naming
from pipeline.eventlog import epochs_of, events_of
from pipeline.heads.lookup import head_of
from pipeline.jsonl import write_atomically
from pipeline.records import DataFacts, Ended, ExportJob, Failure, Status, TestJob, TestResult, Trial, ended_metrics
from pipeline.schema import Config, leaves
from pipeline.search.linter import at_edge
from pipeline.search.space import averaging_steps
from pipeline.study import cautions, compare, folders, lineage
from pipeline.study.arms import conclude_arms
from pipeline.study.figure import draw_figure
from pipeline.study.importance import conclude_importance
from pipeline.study.interruption import Stop
from pipeline.study.ranking import candidates
from pipeline.study.repeating import UNKNOWN, applies, comparison, groups_of
from pipeline.study.reporting.write import conclude_report
from pipeline.study.standing import for_summary, of_winner, standings
from pipeline.study.study import Study
from pipeline.study.tracked import TrackedRuns
from pipeline.study.transferred import outcome_of_start
from pipeline.tracking import leaderboard, store
from pipeline.tracking.curves import learning_curve
from pipeline.tracking.diagnostics_picture import diagnostics_picture
from pipeline.tracking.display import console, number, print_line, print_whole
from pipeline.tracking.recorder import Recorder
from pipeline.user_folder import option
from pipeline.workers.executor import Executor, answers, ask


def print_averages(config: Config) -> None:
    """Says over how many steps running averages reach, for their weights say little to a reader."""
    if averages := averaging_steps(dict(leaves(config.plain()))):
        reach = ", ".join(f"{key} {steps:g}" for key, steps in averages.items())
        print_line(f"averages: each reaches back about 1 / (1 - its weight) steps: {reach}")


def conclude_run(study: Study, executor: Executor | None, recorder: Recorder, data: DataFacts) -> int:
    """Draws and prints what a trial by itself has come to; returns the exit status. executor: None if there is nothing
    more to be done, but to be said."""
    folder, config = study.folder, study.config
    trial = study.ledger.trials[0]
    if trial.status is None:
        print_line(f"interrupted; go on with the same command and resume={folder}", "yellow")
    elif trial.status != "completed":
        print_line(f"{trial.status}: {trial.reason}", "red")
        if trial.lacked:
            print_line(f"go on with the same command and resume={folder}", "yellow")
    else:
        end = next(e for e in reversed(list(events_of(folder))) if isinstance(e, Ended))
        names, model = dict.fromkeys((study.objective.metric, "val_loss")), folder / "model.h5"
        values = ", ".join(f"{name} {number(end.metrics[name])}" for name in names)
        print_line(f"best epoch {end.best_epoch} of {end.epochs}: {values}{f' ({end.reason})' if end.reason else ''}")
        if cautions.no_better_than_guessing([end.metrics.get(cautions.GUESSED)], data):
            print_line(
                f"guessing: no better than the majority class alone, {number(cautions.majority(data))}", "yellow"
            )
        if executor:
            recorder.measures(trial.number, _test(study, executor, trial))
        print_whole(f"model:    {model}")
        print_whole(f"next:     {_command(study, 'evaluate', model)}")
    for path in (*_pictures(folder, folder.name, config), folders.config_file(folder), folder / "model.h5"):
        if path.exists():
            recorder.artifact(trial.number, path)
    experiment, run = recorder.experiment_id(), recorder.run_id(trial.number)
    problem = recorder.close()
    if experiment is not None and run is not None:
        page = f"{store.ui(config.tracking)}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"
        print_whole(f"compare:  {page}{store.ui_hint(config.tracking)}")
    if problem:
        print_line(f"tracking: not all was recorded, {problem}; resume={folder} forwards it", "yellow")
    if study.plan.repeat:
        line, equal = comparison(folder, study.plan.repeat)
        print_line(line, None if equal else "yellow")
    return 130 if trial.status is None else 0 if trial.status == "completed" else 1


def conclude_sweep(
    study: Study, executor: Executor, recorder: Recorder, runs: TrackedRuns, data: Sequence[DataFacts], stop: Stop
) -> int:
    """Writes and prints what a sweep has come to, and no more once `stop` is requested; returns the exit status.
    data: of each arm."""
    metric, keys, path = study.objective.metric, study.plan.columns(), study.folder / "leaderboard.csv"
    trials, ended, finalists = study.ledger.sampled, study.ranked(), standings(study.ledger, study.objective)
    begun = [_row(study, trial) for trial in trials if trial.status is None]
    begun.sort(key=lambda row: study.objective.score(row.metrics), reverse=True)  # waiting ones last, in their order
    of_seeds = {of.trial.number: (of.mean, of.sd, len(of.values)) for of in finalists}
    rows = [*(replace(_row(study, trial), replicates=of_seeds.get(trial.number)) for trial in ended), *begun]
    leaderboard.write(path, rows, metric, keys)
    recorder.artifact(None, path)
    best_first = candidates(study.ledger, study.objective, finalists)
    winner = next(iter(best_first), None)
    checked: dict[str, float] = {}  # the winner's metrics with other seeds and on the test split
    disk_full = False
    if measured := [row for row in rows if row.trial.status or row.epochs]:
        title, table = leaderboard.table(measured, metric, keys, console.width)
        print_line(title)
        console.print(table)
        if study.plan.evolves:
            print_line("values are those that trials began with; they change as trials copy others")
        elif not stop.requested:
            conclude_importance(study, recorder)
    if winner is not None:
        if not study.plan.evolves:  # trials that copy each other are no pairs
            conclude_arms(study, winner, recorder)
        best, facts = winner.metrics[metric], data[winner.arm]
        guess = cautions.of_guessing(facts, metric)
        (epochs,) = (row.epochs for row in rows if row.trial is winner)
        so_far = f", paused after {epochs}" if winner.status is None else ""
        print_line(f"best: trial {winner.number}, {metric} {number(best)} in epoch {winner.best_epoch}{so_far}{guess}")
        if finalists:
            checked |= for_summary(finalists[0], metric)
            for line in of_winner(finalists, metric):
                print_line(line)
        edges = [] if study.plan.evolves else at_edge(study.plan.spaces, winner, ended)
        doubts = cautions.cautions(ended, metric, facts, epochs, replicated=bool(finalists))
        for line in (*doubts, *edges):
            print_line(line, "yellow")
        for line in outcome_of_start(study):
            print_line(line)
        disk_full = _export(study, executor, best_first)
        if not stop.requested:
            checked |= _test(study, executor, winner)
        _write_winner(study, recorder, winner, checked)
    # For want of time, or of who stopped it.
    unfinished = [trial for trial in study.ledger.trials.values() if trial.status is None]
    if study.config.experiment and not unfinished and not stop.requested:
        draw_figure(study, executor, recorder)
    if failed := sum(t.status in ("failed", "diverged") for t in ended):
        print_line(f"{failed} of {len(trials)} trials failed or diverged; leaderboard.csv lists them", "yellow")
    if lacking := len(study.ledger.lacking()):
        print_line(
            f"{lacking} lacked disk or memory: the same command with sweep.name={study.folder.name} starts them again",
            "yellow",
        )
    for trial in study.ledger.trials.values():
        # In no job of this process, yet pruned or still paused in it; the others are known to the recorder.
        if trial.started:
            recorder.open(runs.trial(trial))
    interrupted = stop.requested
    status: Status = "interrupted" if interrupted else "paused" if unfinished else "completed" if winner else "failed"
    conclude_report(study.folder, recorder)
    recorder.ranks({trial.number: place for place, trial in enumerate(ended, start=1)})
    recorder.summary(runs.summary(status, winner, checked))
    if address := compare.publish(study, runs, recorder):
        print_whole(f"compare:  {address}{store.ui_hint(study.config.tracking)}")
    if interrupted:
        print_line(f"interrupted; the same command with sweep.name={study.folder.name} goes on")
    elif used := study.budget.summary(study.folder.name):
        print_line(used, "yellow" if unfinished else None)
    if problem := recorder.close():
        print_line(f"tracking: not all was recorded, {problem}; resuming forwards it", "yellow")
    if winner is None and unfinished and not interrupted:
        print_line("no trial has trained an epoch yet")
        return 0  # it has kept to its budget
    return 130 if interrupted else 0 if winner and not disk_full else 1


def _row(study: Study, trial: Trial) -> leaderboard.Row:
    epochs = epochs_of(study.trial_folder(trial))
    metrics: Mapping[str, float | None] = ended_metrics(trial)
    if trial.status is None and epochs:
        metrics = max((epoch.metrics for epoch in epochs), key=study.objective.score)
    return leaderboard.Row(trial, metrics, len(epochs), sum(epoch.seconds for epoch in epochs))


def _export(study: Study, executor: Executor, best_first: Sequence[Trial]) -> bool:
    """Writes model.h5 of the best trials that have none; the weights of the others stay in their state.h5. Returns
    whether there was no room for one."""
    kept = best_first[: study.config.sweep.keep_models]
    missing = [t for t in kept if not (study.trial_folder(t) / "model.h5").exists()]
    written = answers(executor, (ExportJob(trial.number, study.task(trial)) for trial in missing))
    failures = [answer for answer in written.values() if isinstance(answer, Failure)]
    for failure in failures:
        again = "; the same command writes it" if failure.lacked else ""
        print_line(f"model.h5 was not written: {failure.reason}{again}", "yellow")
    return any(failure.lacked == "disk" for failure in failures)


def _test(study: Study, executor: Executor, winner: Trial) -> dict[str, float]:
    """The winner's metrics on the test split, which is read here and nowhere else in a study, and once."""
    if winner.number not in study.ledger.tested:
        answer = ask(executor, TestJob(winner.number, study.task(winner)))
        if isinstance(answer, Failure):
            print_line(f"test: not evaluated, {answer.reason}", "yellow")
            return {}
        assert isinstance(answer, TestResult)
        study.ledger.note_tested(winner.number, answer)
    result = study.ledger.tested[winner.number]
    values = ", ".join(f"{name} {number(value)}" for name, value in result.metrics.items())
    print_line(f"test: {values} on {result.n} example{'' if result.n == 1 else 's'}")
    return {f"test_{name}": value for name, value in result.metrics.items()}


def _write_winner(study: Study, recorder: Recorder, winner: Trial, checked: Mapping[str, float]) -> None:
    folder = study.trial_folder(winner)
    model, pins = folder / "model.h5", filter(applies, study.plan.pins)
    command = shlex.join(["python", "run.py", *option(), f"repeat={folder}", *pins])
    groups = groups_of(folder)
    repeatable = not any(group.trials == UNKNOWN for group in groups)  # an earlier version did not say among whom
    alone = shlex.join(["python", "run.py", *option(), *study.plan.overrides(winner)])
    periods = lineage.schedule(study.folder, winner.number, winner.best_epoch) if study.plan.evolves else []
    plain_periods = [period.plain() for period in periods]
    best = {
        "trial": winner.number,
        "command": command if repeatable else alone,
        "params": dict(winner.params),  # with which a trial of a population began
        **({"schedule": plain_periods} if periods else {"overrides": alone}),
        "best_epoch": winner.best_epoch,
        "metrics": {**winner.metrics, **checked},
        **({"model": str(model.relative_to(study.folder))} if model.exists() else {}),
    }
    write_atomically(study.folder / "best.yaml", [yaml.safe_dump(best, sort_keys=False).encode()])
    title = f"{study.folder.name}, trial {winner.number}"
    for path in (study.folder / "best.yaml", model, *_pictures(folder, title, study.task(winner).config)):
        if path.exists():
            recorder.artifact(None, path)
    # It is not there after Ctrl-C, or when it could not be written.
    print_whole(f"model:    {model if model.exists() else _command(study, 'export', folder)}")
    if repeatable:
        print_whole("again:    " + command)
    if periods:
        study.ledger.note_schedule(winner.number, plain_periods)
        lineage.print_schedule(periods)
        return
    fused = any(group.mode != "solo" for group in groups)
    near = ": on the default model 0.02 of val_accuracy at most" if study.objective.metric == "val_accuracy" else ""
    print_whole(f"{'nearly:' if fused else 'or:':<9} {alone}")
    if fused:
        print_line(f"          (alone it rounds otherwise{near})")


def _command(study: Study, name: str, path: Path) -> str:
    """What the user may type next, with what the study's own command said of the user's code."""
    return shlex.join(["python", "-m", "pipeline", name, str(path), *option(), *naming(study.plan.pins)])


def _pictures(folder: Path, title: str, config: Config) -> list[Path]:
    """What a trial's folder can be drawn as."""
    pictures = learning_curve(folder, title, head_of(config).axes()), diagnostics_picture(folder, title)
    return [picture for picture in pictures if picture is not None]
