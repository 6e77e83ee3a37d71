"""`sweep.dry_run=true`: what a sweep would try, which trials would train together, how long and in how much memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import InputError
from pipeline.layout import counted
from pipeline.limits import seconds_of
from pipeline.records import CohortPlanned, Failure, MeasureJob, Measurement
from pipeline.schema import Config
from pipeline.search.plan import Plan, Stage, listed_arms
from pipeline.search.tiers import by_tier, tiers_text
from pipeline.study import replicates
from pipeline.study.cohorts import cohort_key, conditions, of_first_stage, width
from pipeline.study.sampling import Sampling, first_sizes
from pipeline.tracking.display import cohort_line, duration, print_line, waiting
from pipeline.tracking.pace import PlannedStage
from pipeline.workers import devices
from pipeline.workers.executor import Executor, answers

STARTUP = 5.0  # seconds for imports, MLflow and the result, whatever the sweep
WORKER = 0.9  # GiB of a process that has imported TensorFlow and compiled with XLA
SHOWN = 12  # cohorts; of more than these the rest is a line
MEASURED = 4  # kinds of cohorts: each is built and compiled, which takes as long as in the sweep itself


@dataclass(frozen=True)
class Cost:
    """Of a cohort, as a worker measured it."""

    trials: int
    start: float  # seconds before its first epoch
    epoch: float  # seconds of one trial's epoch
    memory: float  # bytes
    together: bool  # whether its trials train as one computation, or each by itself
    measured: bool = True  # or taken to lie between others that were

    def jobs(self, epochs: float, rungs: int, scale: float) -> list[float]:
        """Seconds of each piece that a worker takes. epochs: of each trial, on the average; at each of `rungs` the
        survivors are a new cohort, which compiles anew; scale: of the number of trials."""
        if self.together:
            return [self.start * (1 + rungs) + scale * self.trials * epochs * self.epoch]
        return [scale * (self.start * (1 + rungs) + epochs * self.epoch)] * self.trials


def describe(plan: Plan, make_executor: Callable[[Config, int], Executor]) -> int:
    """Prints the plan and the forecast; runs no trial and writes nothing into output_dir. Returns the exit status.

    The forecast needs a worker, which builds the models and times a few steps of a few kinds of cohorts.
    Raises InputError if one of these can't be trained; the other kinds are not tried.
    """
    config = plan.config
    first = plan.stages[plan.first_asked]
    if (different := Sampling(plan, plan.first_asked, plan.free(first)).different()) is not None:
        where = f" of stage {first.name}" if len(plan.stages) > 1 else ""
        print_line(f"the space{where} has no more than {counted(different, 'different trial')}: each is tried once")
        stages = [replace(stage, n_trials=different) if stage is first else stage for stage in plan.stages]
        plan = replace(plan, stages=stages)
    for place, stage in enumerate(plan.stages):
        anew = "" if stage.refine or not place else ", anew in the whole space"
        anew = f", of {tiers_text(stage.tiers)}{anew}" if stage.tiers else anew
        at_a_time = stage.generation if stage.generation and stage.generation < stage.n_trials else None
        asked = f", asked {at_a_time} at a time" if at_a_time else ""
        filled = f"as many trials as {config.sweep.budget} has time for,"
        n_trials = filled if stage.fills else counted(stage.n_trials, "trial")
        print_line(f"stage {stage.name}: {n_trials} of up to {counted(plan.epochs(stage), 'epoch')}{anew}{asked}")
        if (halving := config.sweep.halving) and (rungs := plan.rungs(stage)):
            print_line(
                f"  after {', '.join(map(str, rungs))} epoch{'s' * (rungs != [1])} the best 1 in {halving.factor} go on"
            )
    if (population := config.sweep.population) and plan.evolves:
        print_line(f"  every {population.every} epochs the worst {population.fraction:.0%} of an arm copy the best")
    for line, _, _ in replicates.to_come(plan):
        print_line(line)
    _print_ranges(plan)
    workers = devices.workers_of(config)
    # Trials that never fuse are shown, and measured, by what could have been their cohorts.
    cohorts = of_first_stage(plan, replace(config.executor, fuse="auto"))
    running = make_executor(config, len(cohorts))
    try:
        first_sizes(plan, running)
        with waiting("measuring a few steps of cohorts"):
            costs = _measured(cohorts, config, running)
    finally:
        running.close()
    if isinstance(costs, str):
        print_line(f"no forecast: {costs}", "red")
        return 1
    _summary(plan, config, costs, workers)
    return 0


def _print_ranges(plan: Plan) -> None:
    """The ranges by tier, in columns; of arms that have the same once."""
    blocks: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for arm in plan.arms:
        parts = by_tier(arm.space, arm.config).items()
        rows = tuple((f"tier {tier}", key, str(dist)) for tier, part in parts for key, dist in part.items())
        blocks.setdefault(rows, []).append(arm.describe())
    for rows, arms in blocks.items():
        print_line(f"{'arm' if len(arms) == 1 else f'{len(arms)} arms'} {listed_arms(arms) or 'all'}:")
        width = max((len(key) for _, key, _ in rows), default=0)
        for tier, key, dist in rows:
            print_line(f"  {tier}  {key:<{width}}  {dist}")


def _measured(cohorts: Sequence[tuple[list[int], Config]], config: Config, executor: Executor) -> list[Cost] | str:
    """The cost of every cohort. Cohorts alike are measured once, a few kinds in all, the one with the most work first;
    an epoch of another kind lies between those of its measured neighbours. The reason if one can't be measured."""
    kinds: dict[tuple[float, int, str], list[int]] = {}
    for place, (trials, widest) in enumerate(cohorts):
        kinds.setdefault((work(widest), len(trials), cohort_key(widest)), []).append(place)
    common, ordered = conditions(config), [kinds[kind] for kind in sorted(kinds, reverse=True)]
    n = min(MEASURED, len(ordered))
    chosen = sorted({round(i * (len(ordered) - 1) / max(1, n - 1)) for i in range(n)})
    first = [ordered[i][0] for i in chosen]
    results = answers(
        executor, [MeasureJob(place, cohorts[place][1], len(cohorts[place][0]), common) for place in first]
    )
    measured: dict[int, Measurement] = {}
    for place in first:
        answer = results.get(place, Failure("interrupted"))
        if isinstance(answer, Failure):
            if answer.input_error:
                raise InputError(answer.reason)
            return answer.reason
        assert isinstance(answer, Measurement)
        measured[place] = answer
    costs, printed = [], 0
    for i, places in enumerate(ordered):
        nearest = min(chosen, key=lambda other: abs(other - i))
        answer, alike = measured[ordered[nearest][0]], cohorts[ordered[nearest][0]][1]
        summary, together = answer.summary, answer.summary.mode != "solo"
        known = [(work(cohorts[place][1]), measured[place].epoch) for place in first]
        epoch = answer.epoch if i == nearest else between(work(cohorts[places[0]][1]), known)
        larger = max(1.0, held(cohorts[places[0]][1]) / held(alike))
        for place in places:
            trials = cohorts[place][0]
            at_once = min(summary.at_once, len(trials))
            memory = at_once * summary.bytes_a_trial * larger
            costs.append(Cost(len(trials), answer.start, epoch, memory, together, i == nearest))
            if i == nearest and printed < SHOWN:
                printed += 1
                fits = f"; {at_once} at once fit into memory" if together and at_once < len(trials) else ""
                print_line(cohort_line(CohortPlanned(tuple(trials), summary)) + fits)
    if printed < len(costs):
        like = f", {len(ordered) - len(chosen)} kinds of them not tried, only taken to cost as these do"
        print_line(f"  … and {len(costs) - printed} more{like if len(ordered) > len(chosen) else ''}")
    return costs


def _summary(plan: Plan, config: Config, costs: Sequence[Cost], workers: int) -> None:
    n_first = sum(cost.trials for cost in costs)
    total, seconds, most = 0.0, STARTUP, 1
    for stage in plan.stages:
        if stage.fills:
            continue  # as much as there is time for
        rungs = plan.rungs(stage)
        mean = planned(plan, stage).left()
        total += stage.n_trials * mean
        # Later ones look elsewhere: they are taken to be made like the first generation, in their number of trials.
        jobs = [job for cost in costs for job in cost.jobs(mean, len(rungs), stage.n_trials / n_first)]
        seconds += spread(jobs, workers)
        most = max(most, min(workers, len(jobs)))
    for _, n_trials, epochs in replicates.to_come(plan):
        total += n_trials * epochs
        seconds += spread([job for cost in costs for job in cost.jobs(epochs, 0, n_trials / n_first)], workers)
    memory = sum(sorted((cost.memory for cost in costs), reverse=True)[:most]) / 2**30 + most * WORKER
    upto = "up to " if config.train.early_stopping else ""
    if not all(cost.measured for cost in costs):
        upto = "about "
    arms, busy = counted(len(plan.arms), "arm"), counted(most, "worker")
    print_line(f"{counted(round(total), 'epoch')} in all, {arms}, {busy}")
    budget = seconds_of(config.sweep.budget) if config.sweep.budget else None
    if budget and (any(stage.fills for stage in plan.stages) or seconds > budget):
        print_line(f"forecast: {duration(budget)}, which is sweep.budget, {memory:.1f} GiB")
        return
    print_line(f"forecast: {upto}{duration(seconds)}, {memory:.1f} GiB")


def work(config: Config) -> float:
    """How much an epoch of a trial takes beside others: it has a step for each batch."""
    return width(config) / config.train.batch_size


def held(config: Config) -> float:
    """How much memory a trial takes beside others: activations are of a batch."""
    return width(config) * config.train.batch_size


def between(at: float, known: Sequence[tuple[float, float]]) -> float:
    """The second number at a first one, on the lines between the pairs that are known; beyond the last it stays."""
    first, second = np.transpose(sorted(known))
    return float(np.interp(at, first, second))


def outline(plan: Plan) -> str:
    """A line that can be said at once, before the data are loaded."""
    n, arms, stages = sum(stage.n_trials for stage in plan.stages), len(plan.arms), len(plan.stages)
    epochs = round(sum(stage.n_trials * planned(plan, stage).left() for stage in plan.stages))
    text = f"sweep {name}: " if (name := plan.config.sweep.name) else "sweep: "
    if any(stage.fills for stage in plan.stages):
        return f"{text}as many trials as {plan.config.sweep.budget} has time for"
    text += (
        counted(n, "trial") + (f" of {arms} arms" if arms > 1 else "") + (f" in {stages} stages" if stages > 1 else "")
    )
    return f"{text}, about {counted(epochs, 'epoch')} in all"


def planned(plan: Plan, stage: Stage) -> PlannedStage:
    """What the plan says of a stage's epochs."""
    halving = plan.config.sweep.halving
    factor = halving.factor if halving else 1
    n_trials = 0 if stage.fills else stage.n_trials  # nobody knows
    return PlannedStage(stage.name, n_trials, plan.epochs(stage), plan.rungs(stage), factor)


def spread(seconds: Sequence[float], workers: int) -> float:
    """Seconds until all is done if each free worker takes the next, the longest first."""
    busy = [0.0] * workers
    for job in sorted(seconds, reverse=True):
        busy[busy.index(min(busy))] += job
    return max(busy)
