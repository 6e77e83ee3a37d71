"""Cohorts of one model and width, trained in a fresh process: `python -m tests.benchmarks.mode_cells MODEL WIDTH HOW`.

HOW is `rule`, Caviar's own, or `probe`: each mode is timed for a few steps, and the one that would be the first to end
is taken. A cohort is a JSON line: batch size, trials, mode, and seconds and CPU seconds until 20 epochs are done. The
epochs after LEAST seconds are not trained but taken to be like those before; one by one, one trial is trained.
"""

import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir

from pipeline.config import Composed
from pipeline.hydra_schema import register
from pipeline.records import Conditions, TrialTask
from pipeline.training import modes
from pipeline.training.trainers import fused_trainer, obstacle, solo_trainer
from pipeline.training.trial import TrainedTrial
from tests.benchmarks.stopwatch import ROOT

BATCHES, SIZES, EPOCHS, LEAST = (16, 128), (2, 8, 32), 20, 3.0
LAYER_NORM = "model._target_=tests.benchmarks.layer_norm.layer_norm"
MODELS = {
    "mlp": "model=mlp model.hidden_units={}",
    "cnn": "model=cnn model.filters=[{}]",
    "softmax_regression": "model=softmax_regression",
    "layer_norm": f"model=softmax_regression {LAYER_NORM} +model.units={{}}",
}


def cohort(model: str, width: int, batch_size: int, size: int) -> list[TrainedTrial]:
    """Trials of different learning rates, ready to be trained."""
    words = [*MODELS[model].format(width).split(), f"train.batch_size={batch_size}", f"train.epochs={EPOCHS}"]
    words += ["device=cpu", "allowed_targets=[pipeline.,tests.]"]
    rates = np.geomspace(1e-4, 1e-2, size)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        nodes = [compose("config", [*words, f"optimizer.learning_rate={rate}"]) for rate in rates]
    models: dict[str, Any] = {}
    trials = []
    for number, node in enumerate(nodes):
        trial = TrainedTrial(TrialTask(number, Composed(node).config, {}, "/nonexistent"), lambda event: None)
        trial.build(models)
        trials.append(trial)
    return trials


def trainer_of(trials: Sequence[TrainedTrial], plan: modes.FusionPlan) -> Any:
    return solo_trainer(trials[0]) if plan.mode == "solo" else fused_trainer(list(trials), plan)


def probed(trials: Sequence[TrainedTrial]) -> modes.FusionPlan:
    """The plan that ends first, as a few steps of each tell."""
    steps = trials[0].steps * EPOCHS
    estimates: dict[str, float] = {}
    for mode in ("solo", "fused_xla", "fused"):
        plan = planned(mode)
        start, step = modes.timed(partial(trainer_of, trials, plan), trials[0])
        estimates[mode] = start + len(trials) * steps * step
        estimates[mode] += (len(trials) - 1) * start if mode == "solo" else 0
    return planned(min(estimates, key=lambda mode: estimates[mode]))


def ruled(trials: Sequence[TrainedTrial]) -> modes.FusionPlan:
    return modes.plan_fusion(trials, len(trials), obstacle(trials[0]), Conditions())


def planned(mode: str) -> modes.FusionPlan:
    return modes.FusionPlan(mode, "", resident=True, bytes_a_trial=0, memory=math.inf, most=len(SIZES))


def trained(trials: Sequence[TrainedTrial], plan: modes.FusionPlan) -> np.ndarray:
    """Seconds and CPU seconds of all epochs of all trials."""
    began = clocks()
    trainer = trainer_of(trials, plan)
    rates = np.full((trainer.size, trials[0].steps), 1e-3, np.float32)
    marks = []
    while len(marks) < EPOCHS and (len(marks) < 3 or marks[-1][0] < LEAST):
        trainer.epoch(rates)
        marks.append(clocks() - began)
    epoch = [statistics.median(column) for column in np.diff(marks, axis=0).T]
    seconds = marks[-1] + (EPOCHS - len(marks)) * np.array(epoch)
    return seconds * (len(trials) if plan.mode == "solo" else 1)


def clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def main(model: str, width: int, how: str) -> None:
    register()
    trained(cohort(model, width, 64, 1), planned("solo"))  # what a process does once is nobody's
    for batch_size, size in itertools.product(BATCHES, SIZES):
        trials = cohort(model, width, batch_size, size)
        began = clocks()
        plan = probed(trials) if how == "probe" else ruled(trials)
        choosing = clocks() - began
        seconds, cpu_seconds = choosing + trained(trials, plan)
        print(json.dumps([batch_size, size, plan.mode, seconds, cpu_seconds]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
