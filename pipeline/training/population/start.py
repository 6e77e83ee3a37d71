"""From the trials of a population to the loop that trains them, as far as their file goes."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import InputError, out_of_memory
from pipeline.evolution import Evolution
from pipeline.records import CohortPlanned, Conditions, Grouped, Report
from pipeline.schema import Config
from pipeline.training import checkpoint, modes
from pipeline.training.deadline import Deadline
from pipeline.training.fused.trainer import FusedTrainer
from pipeline.training.loop import Member, Outcome
from pipeline.training.population.loop import PopulationLoop
from pipeline.training.population.numbers import Numbers
from pipeline.training.progress import Progress
from pipeline.training.trainers import obstacle
from pipeline.training.trial import TrainedTrial, identity


def train_population(
    trials: Sequence[TrainedTrial],
    configs: Mapping[int, Config],
    evolution: Evolution,
    conditions: Conditions,
    *,
    repeated: bool,
    deadline: Deadline,
    send: Callable[[Report], None],
    finished: Callable[[Member, Outcome], None],
    go_on: Callable[[], None],
    should_stop: Callable[[], bool],
) -> None:
    """Trains those of a population that have not ended, built with its nominal values, to their end.

    configs: of all its members, by number, a place each. repeated: whether the others train, too, and leave nothing
    anywhere; otherwise they have ended. go_on: raises StopRequested if nothing more is to be begun.
    Raises InputError for trials that can't be one computation, StopRequested with their state saved.
    """
    first, folder = trials[0], trials[0].folder
    _refuse(obstacle(first))
    path = folder / "population.h5" if repeated else folder.parent / f"population-{min(configs)}.h5"
    identities = [identity(config, first.splits) for config in configs.values()]
    own = hashlib.sha256("".join(identities).encode()).hexdigest()
    saved = checkpoint.load_population(path, own)
    for trial in trials:
        # Not as far as its own state.h5 goes, but all as far as their file does.
        trial.progress, trial.best = saved.progress[trial.number] if saved else Progress(), []
        trial.progress.members = list(configs)
    numbers, config = Numbers(first, evolution), first.config
    trainer, plan, seconds = _compiled(first, numbers, conditions, go_on)
    send(CohortPlanned(tuple(configs), plan.summary(len(configs))))
    members = [trial.member() for trial in trials]
    for member in members:
        member.patience = None
    silent = [number for number in configs if number not in {m.number for m in members}] if repeated else []
    members += [_silent(number) for number in silent]
    for trial in trials:
        trial.started(len(configs), first.warning)
        if not repeated:
            trial.emit(Grouped(time.time(), trial.progress.epoch, list(configs), plan.mode))
    loop = PopulationLoop(
        trainer,
        members,
        [list(configs).index(member.number) for member in members],
        epochs=config.train.epochs,
        objective=first.objective(),
        checkpoint_seconds=config.train.checkpoint_seconds,
        finished=lambda member, outcome: None if member.number in silent else finished(member, outcome),
        deadline=deadline,
        should_stop=should_stop,
        compacts=lambda *_: False,  # whoever failed keeps its place
        compiling=seconds,
        evolution=evolution,
        configs=configs,
        numbers=numbers,
        steps=first.steps,
        path=path,
        identity=own,
        saved=saved,
        silent=frozenset(silent),
    )
    loop.run()
    if loop.done:
        path.unlink(missing_ok=True)


def _silent(number: int) -> Member:
    """A member of whose training nobody is told."""
    return Member(number, _no_rates, None, Path(), "", lambda event: None, Progress())


def _no_rates(epoch: int) -> np.ndarray:
    raise AssertionError("a population gives its members their learning rates")


def _refuse(reason: str | None) -> None:
    if reason:
        raise InputError(f"a population is one computation, and these trials can't be one: {reason}.")


def _compiled(
    trial: TrainedTrial, numbers: Numbers, conditions: Conditions, go_on: Callable[[], None]
) -> tuple[FusedTrainer, modes.FusionPlan, float]:
    """The trainer of as many trials like this one as there are numbers, in the first mode in which its graph compiles,
    and the seconds that took."""
    size = len(numbers.label_smoothing)
    while True:
        plan = modes.plan_fusion([trial], size, obstacle(trial), conditions)
        _refuse(plan.reason if plan.mode == "solo" else None)
        if plan.largest(size) < size:
            needed, there = (n / 2**30 for n in (size * plan.bytes_a_trial, plan.memory))
            raise InputError(
                f"the {size} trials of a population train at once, in {needed:.1f} GiB; there are {there:.1f} GiB."
            )
        go_on()
        began = time.perf_counter()
        try:
            trainer = _trainer(trial, numbers, plan)
            trainer.rehearse(np.zeros((size, trial.steps), np.float32), 0)
        except Exception as error:
            if out_of_memory(error) or isinstance(error, OSError | InputError):
                raise
            modes.note_failure(trial, plan.mode, error)
            continue
        return trainer, plan, time.perf_counter() - began


def _trainer(trial: TrainedTrial, numbers: Numbers, plan: modes.FusionPlan) -> FusedTrainer:
    size, config = len(numbers.label_smoothing), trial.config
    trainer = FusedTrainer(
        [trial.model] * size,
        [trial.optimizer] * size,
        [trial.splits] * size,
        seeds=[config.seed] * size,
        batch_size=config.train.batch_size,
        label_smoothing=numbers.label_smoothing.tolist(),
        head=trial.head,
        epoch=trial.progress.epoch,
        resident=plan.resident,
        xla=plan.mode == "fused_xla",
        augment=trial.augment,
        layer_numbers=numbers.layers,
    )
    trainer.set_numbers(numbers.layers, numbers.optimizer, numbers.label_smoothing)
    return trainer
