"""The peer of `python run.py -m`: Hydra's own sweeper with its joblib launcher, a job a trial, in two processes.

A job is a number that picks its configuration, since Hydra sweeps over lists and not over ranges. joblib keeps its
two processes from job to job, so that TensorFlow is imported twice and not once a trial; this process never needs it.
Each job records itself in MLflow as Caviar does and leaves its metrics in a file; they are ranked at the end. It does
less than Caviar elsewhere: no model is saved, and nothing is evaluated on the test split.
"""

import json
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from tests.benchmarks import peer
from tests.benchmarks.sweeps import JOBS, SWEEPS


@hydra.main(version_base="1.3", config_path=None)
def train(config: DictConfig) -> None:
    import mlflow

    from tests.benchmarks import recipe

    output, point = Path(config.output), peer.read_points(config.points)[config.trial]
    recipe.use_store(output)
    model = SWEEPS[config.contest].model
    _, history = recipe.trained(point, model=model, epochs=config.epochs, plain=config.plain)
    with mlflow.start_run(run_name=f"trial {config.trial}"):
        recipe.log(point, history)
    (output / f"trial-{config.trial}.json").write_text(json.dumps(history))
    peer.finished(config.trial)


if __name__ == "__main__":
    options = peer.arguments(__doc__, "--contest", "--points")
    points = peer.read_points(options.points)
    launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={JOBS}", f"hydra.sweep.dir={options.output}/multirun"]
    sys.argv[1:] = ["-m", *launcher, *(f"+{key}={value}" for key, value in vars(options).items())]
    sys.argv.append(f"+trial=range(0,{len(points)})")
    train()
    histories = [json.loads((options.output / f"trial-{trial}.json").read_text()) for trial in range(len(points))]
    scores = [max(history["val_accuracy"]) for history in histories]
    for trial in sorted(range(len(points)), key=lambda trial: -scores[trial])[:10]:
        print(f"trial {trial}: {scores[trial]:.4f}, {points[trial]}")
    peer.write_result(options.output, histories)
