"""A study from its plan to its last trial: asks trials stage by stage, hands them out, says how they end, refines."""

import itertools
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pipeline import records
from pipeline.checks import check
from pipeline.eventlog import append_event, epochs_of
from pipeline.objective import Objective
from pipeline.records import SCORED, Ended, EpochEnded, Message, TrainJob, Trial, TrialTask
from pipeline.search.halving import pruned
from pipeline.search.plan import Plan, Stage
from pipeline.search.refine import refine
from pipeline.search.space import Space
from pipeline.study import folders
from pipeline.study.cohorts import cohorts, conditions
from pipeline.study.interruption import Stop
from pipeline.study.ledger import Ledger
from pipeline.study.ranking import ranked
from pipeline.study.sampling import Sampling
from pipeline.tracking.subscriber import Occurrence, StageBegan, Subscriber
from pipeline.workers import devices
from pipeline.workers.executor import Executor


class Study:
    """Runs what is missing of a plan in `folder`; the ledger there says what is done, and hears of everything first."""

    def __init__(self, plan: Plan, folder: Path, ledger: Ledger) -> None:
        self.plan, self.folder, self.ledger = plan, folder, ledger
        self.config = plan.config
        self.objective = Objective(self.config.sweep.metric, self.config.sweep.direction)
        self.subscribers: list[Subscriber] = [ledger]
        self.refusal: str | None = None  # why the config of a trial by itself can't be trained

    def run(self, executor: Executor, stop: Stop) -> None:
        """Runs every stage; returns early when `stop` is requested."""
        stages, spaces = self.plan.stages, self.plan.spaces
        for index, stage in enumerate(stages):
            sampling = Sampling(self.plan, index, spaces)
            for generation in sampling.generations(self.ledger, self.objective, self._epochs_of):
                if stop.requested:
                    return
                numbers = [trial.number for trial in generation]
                if not self.plan.single:
                    self._tell(None, self._beginning(stage, spaces, generation))
                for before, rung in itertools.pairwise((0, *self.plan.rungs(stage), None)):
                    executor.run(self._jobs(numbers, before or 0, rung), partial(self._receive, stop))
                    if stop.requested:
                        return
                    if rung is not None:
                        self._prune(numbers, rung)
            if index + 1 < len(stages):
                spaces = self._refine(stage, spaces) if stages[index + 1].refine else self.plan.spaces

    def _epochs_of(self, trial: Trial) -> list[EpochEnded]:
        return epochs_of(self.trial_folder(trial))

    def _beginning(self, stage: Stage, spaces: list[Space], generation: list[Trial]) -> StageBegan:
        total, ended = len(generation), sum(trial.status is not None for trial in generation)
        title = f"stage {stage.name}: {total} trials of up to {self.plan.epochs(stage)} epochs"
        title += f", {ended} already ended" if ended else ""
        if self.ledger.of_stage(stage.name)[0].number < generation[0].number:
            return StageBegan(title, total, ended)  # a later generation looks where the first one did
        regions: dict[str, list[str]] = {}
        for arm, space in zip(self.plan.arms, spaces, strict=True):
            region = ", ".join(f"{key} {dist}" for key, dist in space.items()) or "nothing to search"
            regions.setdefault(region, []).append(arm.describe())
        for region, arms in regions.items():  # twenty arms that look in one place are a line, not twenty
            listed = arms if len(arms) < 4 else [*arms[:2], "…", arms[-1]]
            title += f"\n  {' | '.join(listed) + ': ' if any(arms) else ''}{region}"
        return StageBegan(title, total, ended)

    def _prune(self, numbers: Sequence[int], rung: int) -> None:
        """Ends the trials that do not go on past a rung; their curves and weights stay."""
        halving = self.config.sweep.halving
        assert halving is not None  # or there would be no rung
        for trial, reason in pruned(self._trials(numbers), rung, halving.factor, self.objective):
            event = Ended(time.time(), "pruned", reason, rung, trial.best_epoch, trial.metrics)
            append_event(self.trial_folder(trial), event)
            self._tell(trial, event)

    def _jobs(self, numbers: Sequence[int], before: int, rung: int | None) -> Iterator[TrainJob]:
        """A job a cohort, of those of its trials that have not ended, nor come to the rung.

        Survivors of the rung before, at epoch `before`, form new cohorts, so that few of them do not go on in many.
        Those that have since ended, or paused, keep their places: who is resumed trains among whom he did.
        """
        trials = [t for t in self._trials(numbers) if t.reached >= before]
        trials = [t for t in trials if not (t.status == "pruned" and t.reached == before)]
        tasks = [self.task(trial) for trial in trials]
        for task in tasks:
            check(task.config)
        workers, common = devices.workers_of(self.config), conditions(self.config)
        for cohort in cohorts([task.config for task in tasks], workers, self.config.executor):
            now = {place: self.ledger.trials[trials[place].number] for place in cohort}
            missing = [p for p, trial in now.items() if trial.status is None and not (rung and trial.reached >= rung)]
            if not missing:
                continue
            self._hand_out([trials[place] for place in missing])
            yield TrainJob(
                trials[missing[0]].number,
                tuple(tasks[place] for place in missing),
                planned=len(cohort),
                ended={trials[place].number: tasks[place].config for place in cohort if place not in missing},
                until=rung,
                export=self.plan.single,
                conditions=common,
                repeat=self.plan.repeat,
            )

    def _hand_out(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            folders.write_config(self.trial_folder(trial), self.plan.composed(trial), self.plan.overrides(trial))
        self.ledger.hand_out(trial.number for trial in trials)
        for trial in trials:
            self._tell(trial, records.HandedOut(time.time()))

    def task(self, trial: Trial) -> TrialTask:
        """What a worker needs of a trial, for its training and for what is done after it."""
        composed = self.plan.composed(trial)
        return TrialTask(trial.number, composed.config, composed.record, str(self.trial_folder(trial).absolute()))

    def _receive(self, stop: Stop, message: Message) -> None:
        match message.report:
            case records.CohortPlanned(trials=numbers) as cohort:
                if not self.plan.single and not stop.requested:
                    self._tell(self.ledger.trials[numbers[0]], cohort)
            case records.TrialEvent(number, event, logged):
                trial = self.ledger.trials[number]
                if not logged:
                    append_event(self.trial_folder(trial), event)
                # what was trained is kept, whatever came then
                if self.plan.single and isinstance(event, Ended) and event.input_error and not self._epochs_of(trial):
                    self.refusal = event.reason  # nobody else is told of a trial that never was
                    self.ledger.on(trial, event)
                else:
                    self._tell(trial, event)

    def _tell(self, trial: Trial | None, event: Occurrence) -> None:
        for subscriber in self.subscribers:
            subscriber.on(None if trial is None else self.ledger.trials[trial.number], event)

    def _refine(self, stage: Stage, spaces: list[Space]) -> list[Space]:
        """Each arm's next region."""
        sweep = self.config.sweep
        assert sweep.keep is not None and sweep.margin is not None  # make_plan has seen to it
        ranked = [t for t in self.ranked() if t.stage == stage.name and t.status in SCORED]
        regions = [
            refine(space, [t.params for t in ranked if t.arm == i], self.plan.arms[i].space, sweep.keep, sweep.margin)
            for i, space in enumerate(spaces)
        ]
        self.ledger.note_region(stage.name, [{key: str(dist) for key, dist in region.items()} for region in regions])
        return regions

    def ranked(self) -> list[Trial]:
        """Every trial that ended, best first; those that failed or diverged come last, in order of number."""
        return ranked(self.ledger.trials.values(), self.objective)

    def _trials(self, numbers: Sequence[int]) -> list[Trial]:
        return [self.ledger.trials[number] for number in numbers]

    def trial_folder(self, trial: Trial) -> Path:
        return self.folder if self.plan.single else self.folder / str(trial.number)
