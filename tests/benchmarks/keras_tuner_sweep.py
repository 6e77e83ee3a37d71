"""The peer of `python run.py -m`: Keras Tuner's RandomSearch, with the bookkeeping that it always does.

That is a JSON file a trial and the weights of the best epoch, written as it trains, so that a search can be resumed.
Each trial is also recorded in MLflow as Caviar does, from `HyperModel.fit`, which is where its manual puts what one
adds to training. It ends with its own table of the best trials; it saves no whole model and reads no test split.
"""

from typing import Any

import keras
import keras_tuner
import mlflow

from pipeline.search.scales import LOG
from pipeline.search.space import Choice, Distribution
from tests.benchmarks import peer, recipe
from tests.benchmarks.sweeps import SWEEPS

options = peer.arguments(__doc__, "--contest", "--points")
contest, points = SWEEPS[options.contest], peer.read_points(options.points)
histories: list[peer.History] = []


def suggested(hp: keras_tuner.HyperParameters, name: str, values: Distribution) -> Any:
    if isinstance(values, Choice):
        return hp.Choice(name, list(values.values))
    suggest = hp.Int if values.integer else hp.Float
    return suggest(name, values.low, values.high, sampling="log" if values.scale == LOG else "linear")


class Searched(keras_tuner.HyperModel):
    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:  # the tuner has cleared the session
        keras.utils.set_random_seed(recipe.SEED)
        point = {name: suggested(hp, name, values) for name, values in contest.parameters().items()}
        return recipe.compiled(recipe.data(), plain=options.plain, model=contest.model, **point)

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, **settings: Any) -> dict[str, float]:
        settings["batch_size"] = hp.values.get("batch_size", recipe.BATCH_SIZE)
        history = recipe.fitted(model, recipe.data(), plain=options.plain, **settings)
        with mlflow.start_run(run_name=f"trial {len(histories)}"):
            recipe.log(hp.values, history)
        peer.finished(len(histories))
        histories.append(history)
        return {"val_accuracy": max(history["val_accuracy"])}


class GivenPoints(keras_tuner.oracles.RandomSearchOracle):
    """Random search, but for the numbers drawn: the same as in the other contenders."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        return {"status": keras_tuner.engine.trial.TrialStatus.RUNNING, "values": points[int(trial_id)]}


class Tuner(keras_tuner.Tuner):
    def _configure_tensorboard_dir(self, *args: Any, **kwargs: Any) -> None:
        """Without a TensorBoard callback it does nothing but import tensorboard, which need not be installed."""


recipe.use_store(options.output)
tuner = Tuner(
    GivenPoints(objective=keras_tuner.Objective("val_accuracy", "max"), max_trials=len(points)),
    Searched(),
    directory=options.output,
    project_name="tuner",
)
tuner.search(epochs=options.epochs, verbose=0)
tuner.results_summary(10)
peer.write_result(options.output, histories)
