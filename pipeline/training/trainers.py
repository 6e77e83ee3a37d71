"""From trials to the trainer that trains them, each as far as its state.h5 goes."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import keras

from pipeline.data.input_pipeline import evaluation_batches, evaluation_steps, training_batches
from pipeline.limits import MULTI_DEVICE
from pipeline.records import Conditions, FormerCohort, TrialTask
from pipeline.schema import Config
from pipeline.targets import call
from pipeline.training import distributed
from pipeline.training.distributed import DistributedTrainer
from pipeline.training.fused import updates
from pipeline.training.fused.trainer import FusedTrainer
from pipeline.training.loop import Trainer
from pipeline.training.modes import FusionPlan, plan_fusion
from pipeline.training.progress import Progress
from pipeline.training.solo import SoloTrainer
from pipeline.training.trial import TrainedTrial, build_model

OTHERS = -1  # the number of trials that train along, of whom nobody asks which they are


def obstacle(trial: TrainedTrial) -> str | None:
    """Why a trial can't be part of a fused cohort; None if it can, as far as can be seen before trying."""
    if trial.config.device.name in MULTI_DEVICE:
        return f"device={trial.config.device.name} trains each on several devices at once"
    if trial.config.device.precision == "mixed_float16":
        return "mixed_float16 scales the loss of each model by itself; mixed_bfloat16 fuses"
    if any(getattr(v, "constraint", None) is not None for v in trial.model.trainable_variables):
        return "a layer constrains its weights"
    return updates.obstacle(trial.optimizer)


def fused_trainer(trials: Sequence[TrainedTrial], plan: FusionPlan) -> FusedTrainer:
    """The trainer of a cohort, a trial a place, each as far as its state.h5 goes."""
    trainer = FusedTrainer(
        [trial.model for trial in trials],
        [trial.optimizer for trial in trials],
        [trial.splits for trial in trials],
        seeds=[trial.config.seed for trial in trials],
        batch_size=trials[0].config.train.batch_size,
        label_smoothing=[trial.config.train.label_smoothing for trial in trials],
        head=trials[0].head,
        epoch=trials[0].progress.epoch,
        resident=plan.resident,
        xla=plan.mode == "fused_xla",
        augment=trials[0].augment,
    )
    for i, trial in enumerate(trials):
        if trial.state is not None:
            trainer.restore(i, trial.state)
    return trainer


def repeated_trainer(
    trial: TrainedTrial, cohort: FormerCohort, models: dict[str, keras.Model], conditions: Conditions
) -> tuple[Trainer, list[TrainedTrial]]:
    """The trainer of one trial in a cohort as it was: the same graph, and so the same rounding. And the trial of each
    place."""
    if cohort.mode == "solo":
        return solo_trainer(trial), [trial]
    trials = [along(OTHERS, config, trial.progress, models) for config in cohort.configs]
    trials[cohort.place] = trial
    plan = replace(plan_fusion(trials, len(trials), None, conditions), mode=cohort.mode)
    return fused_trainer(trials, plan), trials


def along(number: int, config: Config, progress: Progress, models: dict[str, keras.Model]) -> TrainedTrial:
    """A trial that only trains along in a cohort that has come as far as `progress`: it leaves nothing anywhere."""
    config = replace(config, train=replace(config.train, callbacks=[]))
    trial = TrainedTrial(TrialTask(number, config, {}, "/nonexistent"), lambda event: None)
    trial.build(models)
    trial.progress = progress
    return trial


def solo_trainer(trial: TrainedTrial) -> SoloTrainer:
    """The trainer of one trial by itself, on one device or several, as far as its state.h5 goes."""
    config, splits = trial.config, trial.splits
    strategy = distributed.make_strategy(config.device.name)
    model = build_model(config, splits, strategy)  # its own: training changes it
    with strategy.scope() if strategy else contextlib.nullcontext():
        optimizer = call("optimizer", config.optimizer)
        if config.device.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    kind = partial(DistributedTrainer, strategy=strategy) if strategy else SoloTrainer
    batch_size = config.train.batch_size
    trainer = kind(
        model,
        optimizer,
        batches=training_batches(
            splits.train,
            batch_size=batch_size,
            seed=config.seed,
            start_epoch=trial.progress.epoch,
            augment=trial.augment,
        ),
        validation=evaluation_batches(splits.validation),
        validation_steps=evaluation_steps(splits.validation),
        label_smoothing=config.train.label_smoothing,
        head=trial.head,
    )
    if trial.state is not None:
        trainer.restore(0, trial.state)
    return trainer
