"""The peer of `python run.py -m`: Optuna's random search with a Keras objective, one trial after the other.

Records each trial in MLflow as Caviar does, and keeps the best trial's model. It does less than Caviar elsewhere:
the study is in memory, so that a crash loses it; other trials' models and all training states are not saved; the
winner is not evaluated on the test split.
"""

from typing import Any

import mlflow
import optuna

from pipeline.search.scales import LOG
from pipeline.search.space import Choice, Distribution
from tests.benchmarks import peer, recipe
from tests.benchmarks.sweeps import SWEEPS

options = peer.arguments(__doc__, "--contest", "--points")
contest, points = SWEEPS[options.contest], peer.read_points(options.points)
histories: list[peer.History] = []


def suggested(trial: optuna.Trial, name: str, values: Distribution) -> Any:
    if isinstance(values, Choice):
        return trial.suggest_categorical(name, values.values)
    suggest: Any = trial.suggest_int if values.integer else trial.suggest_float
    return suggest(name, values.low, values.high, log=values.scale == LOG)  # uniform in 1 - value is Caviar's own


def objective(trial: optuna.Trial) -> float:
    point = {name: suggested(trial, name, values) for name, values in contest.parameters().items()}
    model, history = recipe.trained(point, model=contest.model, epochs=options.epochs, plain=options.plain)
    with mlflow.start_run(run_name=f"trial {trial.number}"):
        recipe.log(trial.params, history)
    score = max(history["val_accuracy"])
    if score > max((max(other["val_accuracy"]) for other in histories), default=0):
        model.save(options.output / "best.keras")
    histories.append(history)
    peer.finished(trial.number)
    return score


recipe.use_store(options.output)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=recipe.SEED))
for point in points:
    study.enqueue_trial(point)
study.optimize(objective, n_trials=len(points))
print(f"best: trial {study.best_trial.number}, {study.best_value:.4f}, {study.best_params}")
peer.write_result(options.output, histories)
