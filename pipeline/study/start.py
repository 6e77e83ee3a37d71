"""From a plan to its exit status: `python run.py` and `python run.py -m` go this one way."""

import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.checks import check, check_experiment, check_targets
from pipeline.errors import InputError
from pipeline.heads.lookup import head_of
from pipeline.records import DataFacts, Failure, LoadJob
from pipeline.schema import Config, leaves
from pipeline.search.linter import lint
from pipeline.search.plan import Plan
from pipeline.search.samplers.sampler import SamplerError
from pipeline.study import results
from pipeline.study.cohorts import of_first_stage
from pipeline.study.forecast import describe, outline, planned
from pipeline.study.interruption import signals_handled, stopping
from pipeline.study.listeners import Listener, make_listeners
from pipeline.study.opening import open_ended, open_study
from pipeline.study.repeating import check_same_data
from pipeline.study.sampling import first_sizes
from pipeline.study.study import Study
from pipeline.study.tracked import TrackedRuns
from pipeline.study.transfer import taken_over
from pipeline.tracking.display import print_data, print_line, waiting
from pipeline.tracking.earlier import EarlierStart
from pipeline.tracking.live import SweepDisplay, TrialDisplay
from pipeline.tracking.mlflow_writer import MlflowWriter
from pipeline.tracking.pace import Pace
from pipeline.tracking.recorder import MlflowRecorder, Recorder
from pipeline.tracking.store_checks import check_tracking
from pipeline.workers import devices
from pipeline.workers.executor import Executor, ask
from pipeline.workers.inline import InlineExecutor
from pipeline.workers.local import LocalExecutor

ENOUGH = 512  # trials of which the cohorts keep as many workers busy as a machine has


def run(plan: Plan, executor: Executor | None = None) -> int:
    """Runs or resumes what is planned; returns the exit status: 0 done, 1 the trial failed, or none of a sweep
    completed, 130 interrupted. executor: another than that of the config.

    Raises InputError, with nothing left behind, for what can't be trained.
    """
    with signals_handled(signal.default_int_handler):  # until there are trials to be saved
        return _run_plan(plan, executor)


def _run_plan(plan: Plan, executor: Executor | None) -> int:
    config = plan.config
    check(config)
    for arm in plan.arms:
        check_targets(arm.config)
    check_tracking(config)
    for key in ("resume", "repeat"):
        if (folder := getattr(config, key)) and not plan.single:
            raise InputError(f"{key}={folder} is for one trial, python run.py {key}={folder}, not for a sweep.")
    if plan.single and config.resume and (ended := open_ended(plan)):
        return _record(*ended)
    if config.experiment and not plan.single:
        check_experiment(config.experiment)
    plan = plan if plan.single else taken_over(plan)
    for note in (*plan.notes, *([] if plan.single else lint(plan))):
        print_line(note)
    if config.sweep.dry_run and not plan.single:
        return describe(plan, make_executor)
    if not plan.single:
        print_line(outline(plan))
    n_jobs = 1 if plan.single else len(of_first_stage(plan, config.executor, most=ENOUGH))
    executor = executor or make_executor(config, n_jobs, plan.repeat.threads if plan.repeat else None)
    try:
        data = load_data(plan, executor)
        if plan.repeat:
            check_same_data(plan.repeat, data[0].fingerprint)
        listeners = make_listeners(config)
        sizes = None if plan.single else first_sizes(plan, executor)
        study = open_study(plan, data)
        study.sizes = sizes
        try:
            return _run(study, executor, data, listeners)
        finally:
            study.ledger.close()
    finally:
        executor.close()


def make_executor(config: Config, n_jobs: int, threads: int | None = None) -> Executor:
    """Starts the workers, which import TensorFlow while this process does something else. threads: of each worker;
    None: its share of the cores."""
    environments = devices.Machine().environments(config.device, config.executor.workers, n_jobs, threads)
    if config.executor.kind == "inline":
        devices.become(environments[0])
        return InlineExecutor()
    return LocalExecutor(environments, max_restarts=config.executor.max_restarts)


def load_data(plan: Plan, executor: Executor) -> tuple[DataFacts, ...]:
    """What a worker says of each arm's data, which it has loaded and checked."""
    configs = tuple(arm.config for arm in plan.arms)
    with waiting("loading the data"):
        answer = ask(executor, LoadJob(0, configs))
    if isinstance(answer, Failure):
        if not answer.died:
            raise InputError(answer.reason)
        # It may have named no file: it was one of those of the config.
        values = (leaf for config in configs for leaf in leaves(config.dataset.arguments))
        files = dict.fromkeys(str(value) for key, value in values if value and key.rpartition(".")[2] == "file")
        raise InputError(f"{' or '.join(files) or configs[0].dataset.target}: loading it failed, {answer.reason}.")
    assert isinstance(answer, tuple)
    return answer


def _run(study: Study, executor: Executor, data: Sequence[DataFacts], listeners: Sequence[Listener]) -> int:
    plan, ledger, config = study.plan, study.ledger, study.config
    runs = TrackedRuns(plan, study.folder, data)
    recorder = _recorder(study, runs)
    for description in dict.fromkeys(facts.description for facts in data):  # of the same data, arms have other splits
        print_data(next(facts for facts in data if facts.description == description))
    display: TrialDisplay | SweepDisplay
    if plan.single:
        results.print_averages(config)
        display = TrialDisplay(config.train.epochs, list(head_of(config).axes()))
    else:
        assert ledger.identity
        recorder.open(runs.parent(ledger.identity))
        for trial in ledger.trials.values():
            if trial.status:
                recorder.open(runs.trial(trial))  # forwarded, if the store has not all of it
        pace = Pace([planned(plan, stage) for stage in plan.stages], study.objective, ledger.trials.values())
        display = SweepDisplay(study.objective.metric, pace, plan.columns())
        print_line(f"sweep {study.folder.name} in {study.folder}")
    study.subscribers += [display, recorder, *listeners]
    try:
        with stopping(executor) as stop, study.budget.noted():
            failure = None
            try:
                study.run(executor, stop)
            except SamplerError as error:  # not before all is said of the trials that there are
                failure = error
            display.close()
            over = time.time()
            if study.refusal and config.resume is None:
                shutil.rmtree(study.folder)
                raise InputError(study.refusal)
            if plan.single:
                return results.conclude_run(study, None if stop.requested else executor, recorder, data[0])
            stop.requested |= failure is not None
            study.budget.note()  # which says whether a paused trial may be the best
            status = results.conclude_sweep(study, executor, recorder, runs, data, stop)
            study.budget.conclude(over, sum(trial.status is None for trial in ledger.trials.values()))
            if failure:
                raise failure
            return status
    finally:
        display.close()


def _record(study: Study, facts: DataFacts) -> int:
    """Records a run that has ended, of which the store did not hear, or was lost since; returns the exit status."""
    (trial,) = study.ledger.trials.values()
    runs = TrackedRuns(study.plan, study.folder, [facts])
    recorder = _recorder(study, runs)
    try:
        if study.config.tracking.kind == "none" or recorder.has_all_of(trial.number):
            raise InputError(f"resume={study.folder}: this run has ended ({trial.status}); start a new one.")
        recorder.open(runs.trial(trial))
        status = results.conclude_run(study, None, recorder, facts)
        return 1 if recorder.close() else status
    finally:
        study.ledger.close()


def _recorder(study: Study, runs: TrackedRuns) -> Recorder:
    config, ledger = study.config, study.ledger
    uri, experiment = config.tracking.uri, config.tracking.experiment
    if config.tracking.kind == "none" or not uri or not experiment:
        return Recorder()
    earlier = None
    if study.plan.single and config.resume:
        ended = any(trial.status for trial in ledger.trials.values())
        earlier = EarlierStart(folder=str(study.folder.resolve()), ended=ended)
    elif not study.plan.single:
        recorded = frozenset(t.number for t in ledger.trials.values() if t.run_id and t.status)
        earlier = EarlierStart(ledger.identity, ledger.parent_run, recorded)
    writer = MlflowWriter(
        uri,
        experiment,
        Path(config.output_dir) / "mlartifacts",  # a run has its own folder there, by its id
        earlier=earlier,
        on_parent=ledger.note_parent_run,
        on_recorded=ledger.note_recorded,
    )
    return MlflowRecorder(writer, runs.trial)
