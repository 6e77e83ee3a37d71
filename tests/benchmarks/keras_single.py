"""The peer of `python run.py`: a script that trains one model with `fit` and keeps what Caviar keeps.

In MLflow: parameters, every epoch's metrics, a learning curve, the config, and the best epoch's model as HDF5. It does
less than Caviar elsewhere: no training state to resume from, no events on disk, no check of its input.
"""

from typing import Any

import keras
import mlflow
from matplotlib.figure import Figure

from tests.benchmarks import recipe

options = recipe.arguments(__doc__, points=False)
params: dict[str, Any] = {"hidden_units": 64, "learning_rate": 1e-3, "batch_size": 32}
splits = recipe.data()
recipe.use_store(options.output)
keras.utils.set_random_seed(recipe.SEED)
model = recipe.compiled(splits, **params, plain=options.plain)
# Never stops here; restores the best epoch's weights.
best_epoch = keras.callbacks.EarlyStopping("val_accuracy", patience=options.epochs, restore_best_weights=True)
history = recipe.fitted(
    model,
    splits,
    batch_size=params["batch_size"],
    epochs=options.epochs,
    plain=options.plain,
    callbacks=[best_epoch],
    verbose=2,
)
figure = Figure(figsize=(9, 3.6), layout="constrained")
epochs = range(1, options.epochs + 1)
for axis, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
    axis.plot(epochs, history[name], label="training", marker=".")
    axis.plot(epochs, history[f"val_{name}"], label="validation", marker=".")
    axis.set(xlabel="epoch", ylabel=name)
    axis.grid(alpha=0.3)
    axis.legend()
model.save(options.output / "model.h5")
with mlflow.start_run():
    recipe.log(params, history)
    mlflow.log_figure(figure, "learning_curve.png")
    mlflow.log_dict({**params, "epochs": options.epochs, "seed": recipe.SEED}, "config.yaml")
    mlflow.log_artifact(str(options.output / "model.h5"))
recipe.write_result(options.output, [history])
