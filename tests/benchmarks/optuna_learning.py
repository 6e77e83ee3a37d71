"""The peer of `python run.py -m sweep=tpe` with halving: Optuna's TPE, with its Hyperband pruner and a Keras objective,
one trial after the other. Records each trial in MLflow, as Caviar does.

It prints the validation loss of every epoch and when that was. A user who knows how searches uniformly in the exponent
of 1 - beta_1, so it does; bounds of Hyperband are those of its first bracket in Caviar.
"""

import time
from typing import Any

import keras
import mlflow
import optuna

from tests.benchmarks import peer, recipe
from tests.benchmarks.learning import MIN_EPOCHS, TASKS

options = peer.arguments(__doc__, "--task", "--seed", "--trials")
seed = int(options.seed)
splits = TASKS[options.task].splits(seed)


class Reporting(keras.callbacks.Callback):
    """Tells Optuna of each epoch, and stops where its pruner says so."""

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        loss = float(logs["val_loss"])
        print(f"epoch with val_loss {loss!r} at {time.time():.4f}", flush=True)
        self.trial.report(loss, epoch)
        if self.trial.should_prune():
            self.model.stop_training = True


def objective(trial: optuna.Trial) -> float:
    point = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "beta_1": 1 - trial.suggest_float("one_minus_beta_1", 0.001, 0.5, log=True),
        "hidden_units": trial.suggest_int("hidden_units", 16, 256, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
    }
    keras.backend.clear_session()  # else memory and time grow from trial to trial
    keras.utils.set_random_seed(seed)
    model = recipe.compiled(splits, plain=options.plain, **point)
    history = recipe.fitted(
        model,
        splits,
        batch_size=point["batch_size"],
        epochs=options.epochs,
        plain=options.plain,
        verbose=0,
        callbacks=[Reporting(trial)],
    )
    with mlflow.start_run(run_name=f"trial {trial.number}"):
        recipe.log(trial.params, history)
    if len(history["val_loss"]) < options.epochs:
        raise optuna.TrialPruned
    return min(history["val_loss"])


recipe.use_store(options.output)
study = optuna.create_study(
    sampler=optuna.samplers.TPESampler(seed=seed),
    pruner=optuna.pruners.HyperbandPruner(min_resource=MIN_EPOCHS, max_resource=options.epochs, reduction_factor=3),
)
study.optimize(objective, n_trials=int(options.trials))
