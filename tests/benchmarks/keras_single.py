"""The peer of `python run.py`: a script that trains one model with `fit` and keeps what Caviar keeps.

In MLflow: parameters, every epoch's metrics, a learning curve, the config, and the best epoch's model as HDF5. It does
less than Caviar elsewhere: no training state to resume from, no events on disk, no check of its input.
"""

from typing import Any

import mlflow
from matplotlib.figure import Figure

from tests.benchmarks import peer, recipe

options = peer.arguments(__doc__)
params: dict[str, Any] = {"hidden_units": 64, "learning_rate": 1e-3, "batch_size": 32}
recipe.use_store(options.output)
model, history = recipe.trained(params, model="mlp", epochs=options.epochs, plain=options.plain)
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
peer.write_result(options.output, [history])
