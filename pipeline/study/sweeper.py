"""`python run.py -m`: from Hydra's hand-over to the printed result."""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from pipeline import config as configs
from pipeline.errors import InputError
from pipeline.search.plan import Plan, make_plan
from pipeline.search.ranges import parse, to_text
from pipeline.study import folders, session
from pipeline.study.cohorts import of_first_stage
from pipeline.study.forecast import describe
from pipeline.study.ledger import Ledger
from pipeline.study.result import conclude
from pipeline.study.study import Study
from pipeline.targets import locate
from pipeline.tracking.display import SweepDisplay, say
from pipeline.tracking.mlflow_writer import TrackedRun
from pipeline.workers import devices
from pipeline.workers.executors import Executor


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
        overrides = parse(arguments, self.loader)
        plan = make_plan([*overrides, *self._of_experiment(overrides)], self._compose, self._arm_values)
        status = run_sweep(plan)
        if status:
            raise SystemExit(status)
        return status

    def _of_experiment(self, given: list[Override]) -> list[Override]:
        """The ranges of the experiment, as if they had been typed, but for keys that were."""
        config = self._compose([str(o.input_line) for o in given if not o.is_sweep_override()])
        ranges = config.experiment.ranges if config.experiment else {}
        typed = {o.key_or_group for o in given}
        return parse((f"{key}={text}" for key, text in ranges.items() if key not in typed), self.loader)

    def _compose(self, overrides: list[str]) -> DictConfig:
        hydra = [str(line) for line in self.hydra.overrides.hydra]
        name = self.hydra.job.config_name
        config = self.loader.load_configuration(name, [*hydra, *overrides], run_mode=RunMode.RUN)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return config

    def _arm_values(self, override: Override) -> list[Any]:
        values = [_unquoted(value) for value in override.sweep_iterator()]
        return list({to_text(value): value for value in values}.values())  # a value named twice is one arm


def _unquoted(value: Any) -> Any:
    return getattr(value, "text", value)


def run_sweep(plan: Plan) -> int:
    """Runs or resumes the planned sweep; returns the exit status: 0 done, 1 no trial completed, 130 interrupted."""
    config = configs.plain(plan.arms[0].config)
    session.check_tracking(config)
    _check_figure(config["experiment"])
    if config["sweep"]["dry_run"]:
        return describe(plan, session.make_executor)
    workers = devices.workers_of(config)
    executor = session.make_executor(config, len(of_first_stage(plan, workers, config["executor"])))
    try:
        fingerprint, tags = _data(plan)
        parent = Path(config["output_dir"]) / "sweeps"
        folder = folders.sweep_folder(parent, config["sweep"]["name"])
        ledger = Ledger(folder)
        try:
            study = Study(plan, folder, ledger, fingerprint)
            return _run(study, executor, tags)
        finally:
            ledger.close()
    finally:
        executor.close()


def _check_figure(experiment: dict[str, Any] | None) -> None:
    """Refuses an experiment whose figure nobody could draw, before the hours that it would draw."""
    if experiment is None:
        return
    if "_target_" not in experiment["figure"]:
        raise InputError("experiment.figure._target_ is missing: the function that draws what the sweep shows.")
    locate(experiment["figure"]["_target_"])


def _data(plan: Plan) -> tuple[str, dict[str, str]]:
    """The fingerprint of the arms' data, which is told of once, and the tags of the first arm's."""
    found: dict[str, str] = {}
    tags: dict[str, str] | None = None
    for arm in plan.arms:
        splits = session.load_data(configs.plain(arm.config))
        tags = session.tags(splits) if tags is None else tags
        if splits.describe() not in found.values():  # others of the same data are other splits of it
            session.tell(splits)
        found[splits.fingerprint] = splits.describe()
    return "/".join(found), tags or {}


def _run(study: Study, executor: Executor, data: dict[str, str]) -> int:
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
    tags = {"kind": "sweep", "folder": str(study.folder), **data}
    recorder.open(TrackedRun(f"sweep {name}", sweep, tags))
    for trial in ledger.trials.values():
        if trial.status and not trial.run_id:
            recorder.open(study.tracked(trial))  # ended, but the store never heard all of it
    display = SweepDisplay(study.objective.metric)
    say(f"sweep {name} in {study.folder}")
    try:
        with session.stopping(executor) as stop:
            study.run(executor, recorder, display, stop)
            return conclude(study, executor, recorder, stop.requested)
    finally:
        display.close()
