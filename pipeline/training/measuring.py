"""What a forecast asks of a cohort before it runs."""

from functools import partial

from pipeline.errors import out_of_memory
from pipeline.records import MeasureJob, Measurement, TrialTask
from pipeline.training import modes
from pipeline.training.trainers import fused_trainer, obstacle, solo_trainer
from pipeline.training.trial import TrainedTrial


def measure(job: MeasureJob) -> Measurement:
    """What a forecast says of a cohort before it runs, by the largest of its trials; nothing is written."""
    trial = TrainedTrial(TrialTask(0, job.config, {}, "/nonexistent"), lambda event: None)
    trial.build({})
    while True:
        plan = modes.plan_fusion([trial], job.planned, obstacle(trial), job.conditions)
        at_once = 1 if plan.mode == "solo" else plan.largest(job.planned)
        n = min(at_once, modes.TIMED_TRIALS)
        make = partial(solo_trainer, trial) if plan.mode == "solo" else partial(fused_trainer, [trial] * n, plan)
        try:
            start, step = modes.timed(make, trial)
            return Measurement(plan.summary(at_once), start, trial.steps * step)
        except Exception as error:
            if plan.mode == "solo" or out_of_memory(error):
                raise
            modes.note_failure(trial, plan.mode, error)
