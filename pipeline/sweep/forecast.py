"""`sweep.dry_run=true`: what a sweep would try, which trials would train together, how long and in how much memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import config as configs
from pipeline.launch import devices
from pipeline.launch.executors import Executor, Message
from pipeline.sweep.cohorts import cohort_key, of_first_stage, width
from pipeline.sweep.halving import rungs
from pipeline.sweep.plan import Plan
from pipeline.tracking.display import cohort_line, duration, say

STARTUP = 5.0  # seconds for imports, MLflow and the result, whatever the sweep
WORKER = 0.9  # GiB of a process that has imported TensorFlow and compiled with XLA
SHOWN = 12  # cohorts; of more than these the rest is a line


@dataclass(frozen=True)
class Cost:
    """Of a cohort, as a worker measured it. start: seconds before its first epoch; epoch: of one trial's epoch."""

    trials: int
    start: float
    epoch: float
    memory: float

    def seconds(self, epochs: float) -> float:
        """epochs: of each trial, on the average."""
        return self.start + self.trials * epochs * self.epoch


def describe(plan: Plan, make_executor: Callable[[dict[str, Any], int], Executor]) -> int:
    """Prints the plan and the forecast; runs no trial and writes nothing into output_dir. Returns the exit status.

    The forecast needs a worker, which builds the models and, the first time, times a few steps of each kind.
    """
    config = configs.plain(plan.arms[0].config)
    halving = config["sweep"]["halving"]
    for stage in plan.stages:
        epochs = stage.epochs or config["train"]["epochs"]
        say(f"stage {stage.name}: {stage.n_trials} trials of up to {epochs} epochs")
        if at := rungs(halving, epochs):
            say(f"  after {', '.join(map(str, at))} epochs the best 1 in {halving['factor']} go on")
    for arm in plan.arms:
        say(f"arm {arm.describe() or 'all'}:")
        for key, dist in arm.space.items():
            say(f"  {key}  {dist}")
    executor = config["executor"]
    workers = executor["workers"] or devices.cores()
    cohorts = of_first_stage(plan, workers, executor["cohort_size"])
    running = make_executor(config, len(cohorts))
    try:
        costs = _measured(cohorts, config, workers, running)
    finally:
        running.close()
    if isinstance(costs, str):
        say(f"no forecast: {costs}", "red")
        return 1
    _summary(plan, config, costs, min(workers, len(cohorts)))
    return 0


def _measured(
    cohorts: Sequence[tuple[list[int], dict[str, Any]]], config: dict[str, Any], workers: int, executor: Executor
) -> list[Cost] | str:
    """The cost of every cohort, said as it comes; cohorts alike are measured once. The reason if one can't be."""
    kinds: dict[tuple[str, int, float], list[int]] = {}
    for place, (trials, widest) in enumerate(cohorts):
        kinds.setdefault((cohort_key(widest), len(trials), width(widest)), []).append(place)
    settings = {key: config["executor"][key] for key in ("fuse", "xla", "cohort_size")}
    settings["memory"] = devices.memory(config["device"]["name"], workers)
    jobs = [
        {"kind": "measure", "number": places[0], "config": cohorts[places[0]][1], "planned": n, **settings}
        for (_, n, _), places in kinds.items()
    ]
    answers: dict[int, dict[str, Any]] = {}
    executor.run(jobs, lambda message: _receive(message, answers))
    costs: list[Cost] = []
    said = 0
    for places in kinds.values():
        answer = answers.get(places[0], {"error": "interrupted"})
        if "error" in answer:
            return str(answer["error"])
        for place in places:
            trials = cohorts[place][0]
            parts = math.ceil(len(trials) / answer["at_once"])
            start = answer["start"] * (len(trials) if answer["mode"] == "solo" else 1)
            costs.append(Cost(len(trials), start, answer["epoch"], answer["at_once"] * answer["bytes_a_trial"]))
            said += 1
            if said <= SHOWN:
                line = cohort_line({**answer, "trials": trials})
                say(
                    line
                    + (
                        f"; {parts} times {answer['at_once']} trials fit into memory"
                        if parts > 1 and answer["mode"] != "solo"
                        else ""
                    )
                )
    if said > SHOWN:
        say(f"  … and {said - SHOWN} more")
    return costs


def _receive(message: Message, answers: dict[int, dict[str, Any]]) -> None:
    if "done" in message:
        answers[message["job"]] = message["done"]


def _summary(plan: Plan, config: dict[str, Any], costs: Sequence[Cost], workers: int) -> None:
    halving = config["sweep"]["halving"]
    n_first = sum(cost.trials for cost in costs)
    total, seconds = 0.0, STARTUP
    for stage in plan.stages:
        epochs = stage.epochs or config["train"]["epochs"]
        mean = mean_epochs(epochs, rungs(halving, epochs), halving["factor"] if halving else 1)
        n_trials = n_first if stage.n_trials is None else stage.n_trials
        total += n_trials * mean
        # A later stage looks elsewhere: it is taken to be made like the first one, in its own number of trials.
        scaled = [Cost(1, cost.start, cost.epoch * cost.trials * n_trials / n_first, cost.memory) for cost in costs]
        seconds += spread([cost.seconds(mean) for cost in scaled], workers)
    memory = sum(sorted((cost.memory for cost in costs), reverse=True)[:workers]) / 2**30 + workers * WORKER
    upto = "up to " if config["train"]["early_stopping"] else ""
    say(f"{round(total)} epochs in all, {len(plan.arms)} arms, {workers} workers")
    say(f"forecast: {upto}{duration(seconds)}, {memory:.1f} GiB")


def mean_epochs(epochs: int, at: Sequence[int], factor: int) -> float:
    """How many epochs a trial trains on the average if at each rung 1 in `factor` goes on."""
    mean, before, share = 0.0, 0, 1.0
    for rung in (*at, epochs):
        mean += share * (rung - before)
        before, share = rung, share / factor
    return mean


def spread(seconds: Sequence[float], workers: int) -> float:
    """Seconds until all is done if each free worker takes the next, the longest first."""
    busy = [0.0] * workers
    for one in sorted(seconds, reverse=True):
        busy[busy.index(min(busy))] += one
    return max(busy)
