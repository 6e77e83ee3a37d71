"""The peer of `python run.py -m`: Optuna's random search with a Keras objective, one trial after the other.

Records each trial in MLflow as Caviar does, and keeps the best trial's model. It does less than Caviar elsewhere:
the study is in memory, so that a crash loses it; other trials' models and all training states are not saved; the
winner is not evaluated on the test split.
"""

import keras
import mlflow
import optuna

from tests.benchmarks import recipe

options = recipe.arguments(__doc__, points=True)
splits = recipe.data()
histories: list[dict[str, list[float]]] = []


def objective(trial: optuna.Trial) -> float:
    hidden_units = trial.suggest_int("hidden_units", 16, 256, log=True)
    learning_rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    batch_size = trial.suggest_categorical("batch_size", [16, 32, 64, 128])
    keras.backend.clear_session()  # else memory and time grow from trial to trial
    keras.utils.set_random_seed(recipe.SEED)
    model = recipe.compiled(
        splits, hidden_units=hidden_units, learning_rate=learning_rate, batch_size=batch_size, plain=options.plain
    )
    # Never stops here; restores the best epoch's weights.
    best_epoch = keras.callbacks.EarlyStopping("val_accuracy", patience=options.epochs, restore_best_weights=True)
    history = recipe.fitted(
        model,
        splits,
        batch_size=batch_size,
        epochs=options.epochs,
        plain=options.plain,
        callbacks=[best_epoch],
        verbose=0,
    )
    with mlflow.start_run(run_name=f"trial {trial.number}"):
        recipe.log(trial.params, history)
    score = max(history["val_accuracy"])
    if score > max((max(other["val_accuracy"]) for other in histories), default=0):
        model.save(options.output / "best.keras")
    histories.append(history)
    return score


recipe.use_store(options.output)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=recipe.SEED))
for point in options.points:
    study.enqueue_trial(point)
study.optimize(objective, n_trials=len(options.points))
print(f"best: trial {study.best_trial.number}, {study.best_value:.4f}, {study.best_params}")
recipe.write_result(options.output, histories)
