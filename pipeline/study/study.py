"""A sweep from its plan to its result: asks trials stage by stage, records how they end, refines, names the winner."""

import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pipeline import compatibility
from pipeline import config as configs
from pipeline.errors import InputError
from pipeline.objective import Objective
from pipeline.search.halving import losers, rungs
from pipeline.search.plan import Plan, Stage, header, trial_config, trial_overrides
from pipeline.search.ranges import to_text
from pipeline.search.space import Space, windows
from pipeline.search.stages import points_of, refine
from pipeline.study import folders, session
from pipeline.study.cohorts import cohorts, settings
from pipeline.study.ledger import Ledger, Trial
from pipeline.tracking.display import SweepDisplay, say
from pipeline.tracking.mlflow_writer import TrackedRun
from pipeline.tracking.recorder import Recorder
from pipeline.workers import devices
from pipeline.workers.executors import Executor, Message

SCORED = ("completed", "pruned")  # ended with a result that counts


class Study:
    """Runs what is missing of a sweep in `folder`; the ledger there says what is done.

    Raises InputError if the ledger was begun with another space, config or data.
    """

    def __init__(self, plan: Plan, folder: Path, ledger: Ledger, fingerprint: str) -> None:
        self.plan, self.folder, self.ledger = plan, folder, ledger
        first = plan.arms[0].config
        self.config = configs.plain(first)
        self.workers = devices.workers_of(self.config)
        self.objective = Objective(first.sweep.metric, first.sweep.direction)
        now = header(plan, fingerprint)
        if ledger.header is None:
            ledger.add({"record": "study", "header": now})
        elif changed := configs.differences(compatibility.current(ledger.header), now):
            shown = "; ".join(changed[:5]) + ("; …" if len(changed) > 5 else "")
            raise InputError(
                f"sweep.name={folder.name} was begun otherwise ({shown}).\n"
                "Repeat its own command to resume it, or give this sweep another name."
            )

    def run(self, executor: Executor, recorder: Recorder, display: SweepDisplay, stop: session.Stop) -> None:
        """Runs every stage; returns early when `stop` is requested."""
        stages, whole = self.plan.stages, [arm.space for arm in self.plan.arms]
        spaces = whole
        for index, stage in enumerate(stages):
            trials = self._ask(index, stage, spaces)
            missing = [trial for trial in trials if trial.status is None]
            display.stage(self._title(stage, trials, spaces, missing), len(trials), len(trials) - len(missing))
            for rung in (*rungs(self.config["sweep"]["halving"], self._epochs(stage)), None):
                executor.run(
                    self._jobs(stage, trials, rung, recorder),
                    lambda message: self._receive(message, recorder, display),
                )
                if stop.requested:
                    display.close()
                    return
                if rung is not None:
                    self._prune(trials, rung, recorder, display)
            display.close()
            if index + 1 < len(stages):
                spaces = self._refine(stage, spaces) if stages[index + 1].refine else whole

    def _ask(self, index: int, stage: Stage, spaces: list[Space]) -> list[Trial]:
        """The stage's trials: those in the ledger, and new ones up to its number."""
        asked = [t for t in self.ledger.trials.values() if t.stage == stage.name]
        sweep = self.config["sweep"]
        points = points_of(spaces, sweep, stage.n_trials, self.plan.seeds(), index)
        if sweep["strategy"] == "random" and len(points) < (stage.n_trials or 0):
            say(f"the space has no more than {len(points)} different trials: each is tried once")
        number = len(self.ledger.trials)
        new = [
            Trial(number + i, stage.name, arm, {**self.plan.arms[arm].crossed, **params})
            for i, (arm, params) in enumerate(points[len(asked) :])
        ]
        if new:
            self.ledger.ask(new)
        return [t for t in self.ledger.trials.values() if t.stage == stage.name]

    def _title(self, stage: Stage, trials: list[Trial], spaces: list[Space], missing: list[Trial]) -> str:
        epochs = stage.epochs or self.config["train"]["epochs"]
        done = len(trials) - len(missing)
        title = f"stage {stage.name}: {len(trials)} trials of up to {epochs} epochs"
        title += f", {done} already ended" if done else ""
        regions: dict[str, list[str]] = {}
        for arm, space in zip(self.plan.arms, spaces, strict=True):
            region = ", ".join(f"{key} {dist}" for key, dist in space.items()) or "nothing to search"
            regions.setdefault(region, []).append(arm.describe())
        for region, arms in regions.items():  # twenty arms that look in one place are a line, not twenty
            shown = arms if len(arms) < 4 else [*arms[:2], "…", arms[-1]]
            title += f"\n  {' | '.join(shown) + ': ' if any(arms) else ''}{region}"
        return title

    def _epochs(self, stage: Stage) -> int:
        return stage.epochs or int(self.config["train"]["epochs"])

    def _prune(self, trials: list[Trial], rung: int, recorder: Recorder, display: SweepDisplay) -> None:
        """Ends the trials that do not go on past a rung; their curves and weights stay."""
        for trial, reason in losers(trials, rung, self.config["sweep"]["halving"]["factor"], self.objective):
            facts = {"metrics": trial.metrics, "best_epoch": trial.best_epoch}
            event = {"event": "ended", "status": "pruned", "reason": reason, "epochs": rung, **facts}
            self._receive({"trial": trial.number, "event": event}, recorder, display)

    def _jobs(
        self, stage: Stage, trials: list[Trial], rung: int | None, recorder: Recorder
    ) -> Iterator[dict[str, Any]]:
        """A job a cohort, of those of its trials that have not ended, nor come to the rung.

        Survivors of a rung form new cohorts, so that few of them do not go on in many.
        """
        pruned = any(trial.status == "pruned" for trial in trials)
        trials = [t for t in trials if not (pruned and t.status) and not (rung and t.reached >= rung)]
        composed = [trial_config(self.plan.arms[t.arm], t.params, stage.epochs) for t in trials]
        plain = [configs.plain(config) for config in composed]
        for config in plain:
            configs.check(config)
        groups = cohorts(plain, self.workers, self.config["executor"])
        common = settings(self.config, len(groups))
        for cohort in groups:
            missing = [place for place in cohort if trials[place].status is None]
            if not missing:
                continue
            jobs = [self._job(stage, trials[place], composed[place], plain[place]) for place in missing]
            self.ledger.add(*[{"record": "started", "trial": job["number"]} for job in jobs])
            for place in missing:
                recorder.open(self.tracked(trials[place]))
            number, planned = jobs[0]["number"], len(cohort)
            yield {"kind": "train", "number": number, "trials": jobs, "planned": planned, "until": rung, **common}

    def _job(self, stage: Stage, trial: Trial, config: DictConfig, plain: dict[str, Any]) -> dict[str, Any]:
        folder = self.trial_folder(trial)
        if not (folder / ".hydra").exists():
            overrides = trial_overrides(self.plan, self.plan.arms[trial.arm], trial.params, stage.epochs)
            folders.write_config(folder, config, overrides)
        record = configs.recorded(config)
        return {"number": trial.number, "config": plain, "record": record, "folder": str(folder.absolute())}

    def job_of(self, trial: Trial) -> dict[str, Any]:
        """A trial's part of a job, for what is done after training."""
        config = trial_config(self.plan.arms[trial.arm], trial.params, self.stage_of(trial).epochs)
        return self._job(self.stage_of(trial), trial, config, configs.plain(config))

    def _receive(self, message: Message, recorder: Recorder, display: SweepDisplay) -> None:
        if "cohort" in message:
            display.cohort(message["cohort"])
        if "event" not in message:
            return
        trial = self.ledger.trials[message["trial"]]
        event = session.stamped(self.trial_folder(trial), message["event"])
        if event["event"] == "ended":
            facts = {"metrics": event.get("metrics", {}), "best_epoch": event.get("best_epoch", 0)}
            reason, status = event.get("reason"), event["status"]
            self.ledger.add({"record": "ended", "trial": trial.number, "status": status, "reason": reason, **facts})
        elif event["event"] == "paused":
            facts = {"metrics": event["metrics"], "best_epoch": event["best_epoch"]}
            self.ledger.add({"record": "reached", "trial": trial.number, "epoch": event["epochs"], **facts})
        recorder.event(trial.number, event)
        display.event(trial.number, trial.params, event)

    def _refine(self, stage: Stage, spaces: list[Space]) -> list[Space]:
        """Each arm's next region; recorded, so that a reader sees where a stage looked and why."""
        sweep = self.config["sweep"]
        ranked = [t for t in self.ranked() if t.stage == stage.name and t.status in SCORED]
        regions = [
            refine(
                space,
                [t.params for t in ranked if t.arm == i],
                self.plan.arms[i].space,
                sweep["keep"],
                sweep["margin"],
            )
            for i, space in enumerate(spaces)
        ]
        texts = [{key: str(dist) for key, dist in region.items()} for region in regions]
        if stage.name not in self.ledger.regions:
            self.ledger.add({"record": "region", "stage": stage.name, "arms": texts})
        return regions

    def ranked(self) -> list[Trial]:
        """Every trial that ended, best first; those that failed or diverged come last, in order of number."""
        ended = [t for t in self.ledger.trials.values() if t.status is not None]

        def key(trial: Trial) -> tuple[bool, float, float, bool, int]:
            scored = trial.status in SCORED
            score = self.objective.score(trial.metrics if scored else {})
            return not scored, -score[0], -score[1], trial.status != "completed", trial.number

        return sorted(ended, key=key)

    def rows(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The leaderboard: a row a trial, and its columns."""
        columns = ["trial", "status", "stage", self.objective.metric, *self.plan.columns()]
        ended = self.ranked()
        waiting = [t for t in self.ledger.trials.values() if t.status is None]
        rows = [
            {
                "trial": t.number,
                "status": t.status or ("interrupted" if t.started else "waiting"),
                "stage": t.stage,
                self.objective.metric: t.metrics.get(self.objective.metric) if t.status in SCORED else None,
                **t.params,
            }
            for t in (*ended, *waiting)
        ]
        return rows, columns

    def trial_folder(self, trial: Trial) -> Path:
        return self.folder / str(trial.number)

    def stage_of(self, trial: Trial) -> Stage:
        return next(stage for stage in self.plan.stages if stage.name == trial.stage)

    def axis(self, arm: int, key: str) -> str:
        """The parameter of an arm's runs over which `key` spreads evenly on a linear axis, the only kind that MLflow's
        parallel coordinates have: its coordinate, where its scale is not linear.
        """
        name = self._short(key)
        return {"log": f"log10 {name}", "one_minus_log": f"log10 1-{name}"}.get(self._scale(arm, key), key)

    def _short(self, key: str) -> str:
        """Without its group where no other key ends the same: charts have room for some twenty letters."""
        last = key.rsplit(".", 1)[-1]
        return last if [k.rsplit(".", 1)[-1] for k in self.plan.columns()].count(last) == 1 else key

    def _scale(self, arm: int, key: str) -> str:
        return getattr(self.plan.arms[arm].space.get(key), "scale", "linear")

    def tracked(self, trial: Trial) -> TrackedRun:
        """The trial's run: only what was searched or crossed, with its coordinate where its scale is not linear, and
        the window in steps of what is the weight of an average."""
        arm = self.plan.arms[trial.arm]
        params: dict[str, Any] = {}
        for key, value in trial.params.items():
            params[key] = sortable(value)
            if (scale := self._scale(trial.arm, key)) != "linear":
                params[self.axis(trial.arm, key)] = coordinate(value, scale)
        params |= {f"window {self._short(key)}": sortable(steps) for key, steps in windows(trial.params).items()}
        tags = {"kind": "trial", "trial": str(trial.number), "stage": trial.stage, "arm": arm.describe() or "all"}
        tags |= {"sweep": self.folder.name, "folder": str(self.trial_folder(trial)), "status": "running"}
        name = f"trial {trial.number:03d}"
        name += f" {trial.stage}" if len(self.plan.stages) > 1 else ""
        for key, value in arm.crossed.items():  # a choice speaks for itself, a value needs its key
            name += f" {key.rsplit('.', 1)[-1]}={to_text(value)}" if "." in key else f" {value}"
        return TrackedRun(name, params, tags, number=trial.number, folder=self.trial_folder(trial))


def sortable(value: Any) -> Any:
    """A float without an exponent: MLflow sorts a column of parameters as text, and 9.5e-05 would come after 0.1."""
    return f"{Decimal(str(value)):f}" if isinstance(value, float) else value


def coordinate(value: float, scale: str) -> float:
    return round(math.log10(value if scale == "log" else 1 - value), 4)
