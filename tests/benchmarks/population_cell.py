"""A population in a fresh process: `python -m tests.benchmarks.population_cell FOLDER TRIALS [KEY=VALUE...]`.

It prints, as JSON, after how many epochs trials copy each other, how many have, the seconds of each epoch, and those of
each time between two epochs in which they copied and were given other hyperparameters.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.config import Composed
from pipeline.eventlog import epochs_of, exploits_of
from pipeline.hydra_schema import register
from pipeline.records import Conditions, TrainJob
from pipeline.search.exploration import evolution
from pipeline.search.planning import make_plan
from pipeline.study.ledger import Ledger
from pipeline.study.sampling import Sampling
from pipeline.study.study import Study
from pipeline.training.cohort import run_trials
from pipeline.training.population.loop import PopulationLoop
from tests.benchmarks.stopwatch import ROOT


def job(folder: Path, n_trials: int, words: list[str]) -> TrainJob:
    """All trials of a population, as a study hands them out."""
    lines = ["sweep=population", f"sweep.n_trials={n_trials}", f"output_dir={folder}", "device=cpu", *words]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        overrides = OverridesParser.create().parse_overrides(lines)
        plan = make_plan(overrides, lambda own: Composed(compose("config", own)), lambda override: [])
    trials = [replace(trial, number=i) for i, trial in enumerate(Sampling(plan, 0, plan.spaces).first())]
    study = Study(plan, folder, Ledger(folder, what="it", file=None))
    tasks = tuple(study.task(trial) for trial in trials)
    for task in tasks:
        Path(task.folder).mkdir()
    population = evolution(plan.config, plan.spaces[0], trials)
    return TrainJob(0, tasks, len(tasks), conditions=Conditions(), evolution=population)


def main(folder: Path, n_trials: int, words: list[str]) -> None:
    register()
    folder.mkdir(parents=True, exist_ok=True)
    seconds: list[float] = []
    copy = PopulationLoop._copy

    def timed(loop: PopulationLoop, epoch: int) -> None:
        loop.trainer._trials.state.step.numpy()  # nothing of the epoch is still to be computed
        before, began = [m.hyperparameters for m in loop.members], time.perf_counter()
        copy(loop, epoch)
        loop.trainer._trials.state.step.numpy()
        if before != [m.hyperparameters for m in loop.members]:
            seconds.append(time.perf_counter() - began)

    PopulationLoop._copy = timed  # type: ignore[method-assign]
    own = job(folder, n_trials, words)
    run_trials(own, lambda report: None, lambda: False)
    epochs = [epoch.cohort_seconds for epoch in epochs_of(folder / "0")]
    copies = sum(len(exploits_of(path)) - 1 for path in folder.glob("[0-9]*"))
    every = own.trials[0].config.sweep.population.every  # type: ignore[union-attr]
    print(json.dumps({"epochs": epochs, "copying": seconds, "copies": copies, "every": every}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]), sys.argv[3:])
