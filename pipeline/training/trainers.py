"""From trials to the trainer that trains them, each as far as its state.h5 goes."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import keras
import numpy as np

from pipeline.data.input_pipeline import evaluation_batches, evaluation_steps, training_batches
from pipeline.limits import MULTI_DEVICE
from pipeline.records import Conditions, FormerCohort, TrialTask
from pipeline.targets import call
from pipeline.training import distributed
from pipeline.training.distributed import DistributedTrainer
from pipeline.training.fused import updates
from pipeline.training.fused.trainer import FusedTrainer
from pipeline.training.loop import Trainer
from pipeline.training.modes import FusionPlan, plan_fusion
from pipeline.training.solo import SoloTrainer
from pipeline.training.trial import TrainedTrial, build_model


def obstacle(trial: TrainedTrial) -> str | None:
    """Why a trial can't be part of a fused cohort; None if it can, as far as can be seen before trying."""
    if trial.config.device.name in MULTI_DEVICE:
        return f"device={trial.config.device.name} trains each on several devices at once"
    if trial.config.device.precision == "mixed_float16":
        return "mixed_float16 scales the loss of each model by itself; mixed_bfloat16 fuses"
    if any(getattr(v, "constraint", None) is not None for v in trial.model.trainable_variables):
        return "a layer constrains its weights"
    return updates.obstacle(trial.optimizer)


def fused_trainer(trials: list[TrainedTrial], plan: FusionPlan, at_least: int = 0) -> FusedTrainer:
    """The trainer of a cohort, each trial as far as its state.h5 goes; the first one again in places left over."""
    filled = [*trials, *[trials[0]] * (at_least - len(trials))]
    trainer = FusedTrainer(
        [trial.model for trial in filled],
        [trial.optimizer for trial in filled],
        [trial.splits for trial in filled],
        seeds=[trial.config.seed for trial in filled],
        batch_size=trials[0].config.train.batch_size,
        label_smoothing=[trial.config.train.label_smoothing for trial in filled],
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


@dataclass
class OneOfCohort:
    """The trainer of a cohort as that of one of its trials. The others train along at its learning rates, for their
    numbers change nothing of it, and nothing of them is kept."""

    cohort: FusedTrainer
    place: int  # of the trial
    size: int = 1
    waited: float = 0.0

    def epoch(self, rates: np.ndarray, should_stop: Callable[[], bool]) -> list[dict[str, float]] | None:
        results = self.cohort.epoch(np.repeat(rates, self.cohort.size, axis=0), should_stop)
        self.waited = self.cohort.waited
        return results and [results[self.place]]

    def weights(self, i: int) -> list[np.ndarray]:
        return self.cohort.weights(self.place)

    def state(self, i: int) -> dict[str, np.ndarray]:
        return self.cohort.state(self.place)

    def keep(self, indices: list[int]) -> None:
        """The one trial goes on."""


def repeated_trainer(
    trial: TrainedTrial, cohort: FormerCohort, models: dict[str, keras.Model], conditions: Conditions
) -> Trainer:
    """The trainer of one trial in a cohort as it was: the same graph, and so the same rounding."""
    if cohort.mode == "solo":
        return solo_trainer(trial)
    trials = [
        TrainedTrial(TrialTask(place, config, {}, "/nonexistent"), lambda event: None)
        for place, config in enumerate(cohort.configs)
    ]
    for other in trials:
        other.build(models)
        other.progress = trial.progress
    trials[cohort.place] = trial
    plan = replace(plan_fusion(trials, len(trials), None, conditions), mode=cohort.mode)
    return OneOfCohort(fused_trainer(trials, plan, cohort.places), cohort.place)


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
