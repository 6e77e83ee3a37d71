"""`python run.py -m`: from Hydra's hand-over to the printed result."""

import shlex
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from pipeline import config as configs
from pipeline.errors import InputError
from pipeline.jsonl import write_atomically
from pipeline.launch import folders, session
from pipeline.launch.executors import Executor
from pipeline.sweep.ledger import Ledger, Trial
from pipeline.sweep.plan import Plan, make_plan, trial_config, trial_overrides
from pipeline.sweep.ranges import parse
from pipeline.sweep.study import Study
from pipeline.tracking import compare, leaderboard
from pipeline.tracking.curves import learning_curve
from pipeline.tracking.display import SweepDisplay, console, number
from pipeline.tracking.mlflow_writer import TrackedRun
from pipeline.tracking.recorder import Recorder


class CaviarSweeper(Sweeper):
    """Hydra's sweeper interface: composes, plans, then runs the study. Trials go to `executor`, never to a Hydra
    launcher, which could not resume, stream results or keep workers warm."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.loader = hydra_context.config_loader
        self.hydra = config.hydra

    def sweep(self, arguments: list[str]) -> int:
        """Runs the sweep; raises SystemExit with its status if that is not 0."""
        launcher = self.hydra.launcher._target_
        if not launcher.endswith("BasicLauncher"):
            raise InputError("hydra/launcher does not apply: trials run where `executor` says. Use executor.workers=N.")
        plan = make_plan(parse(arguments, self.loader), self._compose, self._arm_values)
        status = run_sweep(plan)
        if status:
            raise SystemExit(status)
        return status

    def _compose(self, overrides: list[str]) -> DictConfig:
        hydra = [str(line) for line in self.hydra.overrides.hydra]
        name = self.hydra.job.config_name
        config = self.loader.load_configuration(name, [*hydra, *overrides], run_mode=RunMode.RUN)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return config

    def _arm_values(self, override: Override) -> list[Any]:
        return [_unquoted(value) for value in override.sweep_iterator()]


def _unquoted(value: Any) -> Any:
    return getattr(value, "text", value)


def run_sweep(plan: Plan) -> int:
    """Runs or resumes the planned sweep; returns the exit status: 0 done, 1 no trial completed, 130 interrupted."""
    config = configs.plain(plan.arms[0].config)
    session.check_tracking(config)
    if config["sweep"]["dry_run"]:
        return describe(plan, config)
    total = sum(stage.n_trials or 10**6 for stage in plan.stages)
    executor = session.make_executor(config, total)
    try:
        fingerprint = "/".join(
            dict.fromkeys(session.load_data(configs.plain(arm.config)).fingerprint for arm in plan.arms)
        )
        parent = Path(config["output_dir"]) / "sweeps"
        folder = folders.sweep_folder(parent, config["sweep"]["name"])
        ledger = Ledger(folder)
        try:
            study = Study(plan, folder, ledger, fingerprint)
            return _run(study, executor)
        finally:
            ledger.close()
    finally:
        executor.close()


def _run(study: Study, executor: Executor) -> int:
    ledger, config = study.ledger, study.config
    recorder = session.make_recorder(
        config,
        parent_id=ledger.parent_run,
        stale=f"tags.`mlflow.parentRunId` = '{ledger.parent_run}'" if ledger.parent_run else None,
        recorded=frozenset(t.number for t in ledger.trials.values() if t.run_id),
        on_parent=lambda run_id: ledger.add({"record": "tracking", "run_id": run_id}),
        on_recorded=lambda n, run_id: ledger.add({"record": "recorded", "trial": n, "run_id": run_id}),
    )
    name = study.folder.name
    sweep = {f"sweep.{k}": v for k, v in config["sweep"].items() if k in ("strategy", "n_trials", "metric", "max_tier")}
    recorder.open(TrackedRun(f"sweep {name}", sweep, {"kind": "sweep", "folder": str(study.folder)}))
    for trial in ledger.trials.values():
        if trial.status and not trial.run_id:
            recorder.open(study.tracked(trial))  # ended, but the store never heard all of it
    display = SweepDisplay(study.objective.metric)
    console.print(f"sweep {name} in {study.folder}", highlight=False)
    try:
        with session.stopping(executor) as stop:
            study.run(executor, recorder, display, stop)
            return _conclude(study, executor, recorder, stop.requested)
    finally:
        display.close()


def _conclude(study: Study, executor: Executor, recorder: Recorder, interrupted: bool) -> int:
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
        console.print(
            f"best: trial {winner.number}, {metric} {number(winner.metrics[metric])} in epoch {winner.best_epoch}",
            highlight=False,
        )
        if not interrupted:
            summary |= _test(study, executor, winner)
        _write_best(study, winner, command, summary)
        for path in (study.folder / "best.yaml", study.trial_folder(winner) / "model.h5"):
            if path.exists():
                recorder.artifact(None, path)
        curve = learning_curve(study.trial_folder(winner), f"{study.folder.name}, trial {winner.number}")
        if curve:
            recorder.artifact(None, curve)
        _say("model:    ", str(study.trial_folder(winner) / "model.h5"))
        _say("again:    ", command)
    failed = sum(row["status"] in ("failed", "diverged") for row in rows)
    if failed:
        console.print(f"{failed} of {len(rows)} trials failed or diverged; leaderboard.csv lists them", style="yellow")
    status = "KILLED" if interrupted else "FINISHED" if winner else "FAILED"
    recorder.summary(summary, {"status": "interrupted" if interrupted else "completed"}, status)
    address = compare.publish(study, recorder)
    if address:
        _say("compare:  ", f"{address}   (after `make ui`)")
    if interrupted:
        _say("", f"interrupted; the same command with sweep.name={study.folder.name} goes on")
    problem = recorder.close()
    if problem:
        console.print(f"tracking: not all was recorded, {problem}; resuming forwards it", style="yellow")
    return 130 if interrupted else 0 if winner else 1


def _test(study: Study, executor: Executor, winner: Trial) -> dict[str, float]:
    """The winner's metrics on the test split, which is read here and nowhere else in a sweep."""
    arm = study.plan.arms[winner.arm]
    config = configs.plain(trial_config(arm, winner.params, study.stage_of(winner).epochs))
    folder = str(study.trial_folder(winner).absolute())
    results: list[dict[str, Any]] = []
    job = {"kind": "test", "number": winner.number, "config": config, "folder": folder}
    executor.run([job], lambda message: results.append(message["done"]) if message.get("done") else None)
    if not results:
        return {}
    result = results[0]
    console.print(
        f"test: accuracy {number(result['accuracy'])}, loss {number(result['loss'])} on {result['n']} examples"
    )
    return {"test_accuracy": result["accuracy"], "test_loss": result["loss"]}


def _reproduce(study: Study, trial: Trial) -> str:
    stage = study.stage_of(trial)
    overrides = trial_overrides(study.plan, study.plan.arms[trial.arm], trial.params, stage.epochs)
    return shlex.join(["python", "run.py", *overrides])


def _write_best(study: Study, winner: Trial, command: str, summary: dict[str, float]) -> None:
    best = {
        "trial": winner.number,
        "command": command,
        "params": winner.params,
        "best_epoch": winner.best_epoch,
        "metrics": {**winner.metrics, **{k: v for k, v in summary.items() if k.startswith("test_")}},
        "model": str(study.trial_folder(winner).relative_to(study.folder) / "model.h5"),
    }
    write_atomically(study.folder / "best.yaml", [yaml.safe_dump(best, sort_keys=False).encode()])


def _say(label: str, text: str) -> None:
    console.print(f"{label}{text}", highlight=False, markup=False)


def describe(plan: Plan, config: dict[str, Any]) -> int:
    """`sweep.dry_run=true`: the plan, without running or writing anything."""
    epochs = 0
    for stage in plan.stages:
        stage_epochs = stage.epochs or config["train"]["epochs"]
        epochs += (stage.n_trials or 0) * stage_epochs
        _say("", f"stage {stage.name}: {stage.n_trials} trials of up to {stage_epochs} epochs")
    for arm in plan.arms:
        _say("", f"arm {arm.describe() or 'all'}:")
        for key, dist in arm.space.items():
            _say("  ", f"{key}  {dist}")
    _say("", f"{epochs} epochs in all, {len(plan.arms)} arms")
    return 0
