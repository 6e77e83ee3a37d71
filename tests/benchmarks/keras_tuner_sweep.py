"""The peer of `python run.py -m`: Keras Tuner's RandomSearch, with the bookkeeping that it always does.

That is a JSON file a trial and the weights of the best epoch, written as it trains, so that a search can be resumed.
Each trial is also recorded in MLflow as Caviar does, from `HyperModel.fit`, which is where its manual puts what one
adds to training. It ends with its own table of the best trials; it saves no whole model and reads no test split.
"""

from typing import Any

import keras
import keras_tuner
import mlflow

from tests.benchmarks import recipe

options = recipe.arguments(__doc__, points=True)
splits = recipe.data()
histories: list[dict[str, list[float]]] = []


class Mlp(keras_tuner.HyperModel):
    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:  # the tuner has cleared the session
        keras.utils.set_random_seed(recipe.SEED)
        return recipe.compiled(
            splits,
            hidden_units=hp.Int("hidden_units", 16, 256, sampling="log"),
            learning_rate=hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"),
            batch_size=hp.Choice("batch_size", [16, 32, 64, 128]),
            plain=options.plain,
        )

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, **settings: Any) -> dict[str, float]:
        history = recipe.fitted(model, splits, batch_size=hp.get("batch_size"), plain=options.plain, **settings)
        with mlflow.start_run(run_name=f"trial {len(histories)}"):
            recipe.log(hp.values, history)
        histories.append(history)
        return {"val_accuracy": max(history["val_accuracy"])}


class GivenPoints(keras_tuner.oracles.RandomSearchOracle):
    """Random search, but for the numbers drawn: the same as in the other contenders."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        return {"status": keras_tuner.engine.trial.TrialStatus.RUNNING, "values": options.points[int(trial_id)]}


class Tuner(keras_tuner.Tuner):
    def _configure_tensorboard_dir(self, *args: Any, **kwargs: Any) -> None:
        """Without a TensorBoard callback it does nothing but import tensorboard, which need not be installed."""


recipe.use_store(options.output)
tuner = Tuner(
    GivenPoints(objective=keras_tuner.Objective("val_accuracy", "max"), max_trials=len(options.points)),
    Mlp(),
    directory=options.output,
    project_name="tuner",
)
tuner.search(epochs=options.epochs, verbose=0)
tuner.results_summary(10)
recipe.write_result(options.output, histories)
