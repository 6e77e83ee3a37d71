"""A job of trials: which of them train together, in which mode, and what is said about it."""

from collections.abc import Callable, Iterator
from typing import Any

import keras

from pipeline.data.input_pipeline import evaluation_batches, steps_per_epoch, training_batches
from pipeline.targets import call
from pipeline.training import modes, stacking, updates
from pipeline.training.fused import FusedTrainer
from pipeline.training.loop import Interrupted, Member, Outcome, Trainer, train
from pipeline.training.solo import SoloTrainer
from pipeline.training.trial import Trial, build_model, export, out_of_memory

Job = dict[str, Any]  # trials: number, config, record and folder of each; planned, until, export, fuse: see run_trials

PROBED_TRIALS = 16  # a step's cost a trial hardly falls beyond
EVALUATION_BATCH = 1024  # large, for it needs no gradients; bounded, for its activations are in memory at once


def run_trials(job: Job, send: Callable[[dict[str, Any]], None], should_stop: Callable[[], bool]) -> None:
    """Trains the job's trials and writes their folders; every event goes to events.jsonl and then to `send`, with
    its trial's number.

    A trial's last event is `ended` with status completed, diverged or failed, `paused` once it has `until` epochs,
    or `interrupted`. Nothing is raised.

    job: `until`: pause after this epoch; `export`: write model.h5 of each; `planned`: how many trials the cohort had
    when it was planned, which decides its mode: a resumed one goes on as it began; `halved`: its number of trials may
    be what a worker died of; `fuse`, `xla`: auto | always | never; `memory`: bytes that a cohort may take.
    """

    def sender(number: int) -> Callable[[dict[str, Any]], None]:
        return lambda event: send({"trial": number, "event": event})

    trials = [Trial(one, sender(one["number"])) for one in job["trials"]]
    open_trials = {trial.number: trial for trial in trials}
    models: dict[str, keras.Model] = {}
    ready = []
    for trial in trials:
        try:
            trial.build(models)
            ready.append(trial)
        except Exception as error:
            trial.failed(error)
            del open_trials[trial.number]

    def finished(member: Member, outcome: Outcome) -> None:
        trial = open_trials.pop(member.number)
        try:
            if job.get("export") and member.best:
                export({"config": trial.config, "record": trial.record, "folder": str(trial.folder)})
            trial.ended(member, outcome)
        except OSError as error:
            trial.failed(error)

    try:
        for group in _groups(ready):
            _train_group(group, job, send, finished, open_trials, should_stop)
    except Interrupted:
        for trial in open_trials.values():
            trial.emit({"event": "interrupted"})
    finally:
        for trial in trials:
            trial.close()


def _groups(trials: list[Trial]) -> Iterator[list[Trial]]:
    """Trials that can be one computation: of one structure, optimizer, size and shape of data, at the same epoch."""
    groups: dict[Any, list[Trial]] = {}
    keys: dict[int, str] = {}
    for trial in trials:
        keys.setdefault(id(trial.model), stacking.structure(trial.model, pad=True).key())
        train, data = trial.config["train"], trial.splits
        settings = (train["batch_size"], train["epochs"], trial.config["device"]["precision"], trial.objective())
        shapes = (data.train.inputs.shape, data.validation.inputs.shape, data.n_classes)
        key = (keys[id(trial.model)], type(trial.optimizer), obstacle(trial), settings, shapes, trial.progress.epoch)
        groups.setdefault(key, []).append(trial)
    yield from groups.values()


def obstacle(trial: Trial) -> str | None:
    """Why a trial can't be part of a fused cohort; None if it can, as far as can be seen before trying."""
    if trial.config["device"]["precision"] == "mixed_float16":
        return "mixed_float16 scales the loss of each model by itself; mixed_bfloat16 fuses"
    if any(getattr(v, "constraint", None) is not None for v in trial.model.trainable_variables):
        return "a layer constrains its weights"
    return updates.obstacle(trial.optimizer)


def _train_group(
    trials: list[Trial],
    job: Job,
    send: Callable[[dict[str, Any]], None],
    finished: Callable[[Member, Outcome], None],
    open_trials: dict[int, Trial],
    should_stop: Callable[[], bool],
) -> None:
    """Trains trials of one group: fused, in as many cohorts as memory asks for, or one after the other."""
    share = len(trials) / len(job["trials"])
    planned = max(len(trials), round(share * job.get("planned", len(job["trials"]))))
    choice = modes.choose(trials, planned, obstacle(trials[0]), job)
    if choice.mode != "solo":
        size = choice.largest(len(trials))
        for start in range(0, len(trials), size):
            part = trials[start : start + size]
            # A product of another number of trials may round otherwise: one that goes on does so among as many.
            before = 0 if job.get("halved") else min(planned, max(trial.progress.cohort for trial in part))
            _train_fused(part, before, choice, job, send, finished, open_trials, should_stop)
        return
    if planned > 1:
        send({"cohort": {"trials": [trial.number for trial in trials], **choice.told(1)}})
    for trial in trials:
        try:
            _run(solo_trainer(trial), [trial], job, finished, should_stop)
        except Interrupted:
            raise
        except Exception as error:
            open_trials.pop(trial.number).failed(error)


def _train_fused(
    trials: list[Trial],
    at_least: int,
    choice: modes.Choice,
    job: Job,
    send: Callable[[dict[str, Any]], None],
    finished: Callable[[Member, Outcome], None],
    open_trials: dict[int, Trial],
    should_stop: Callable[[], bool],
) -> None:
    """One cohort, filled up to `at_least` places. Out of memory, its halves are tried; for any other error its trials
    train alone, where the error belongs to the trial that has it."""
    numbers = [trial.number for trial in trials]
    try:
        trainer = fused_trainer(trials, choice, at_least)
        send({"cohort": {"trials": numbers, **choice.told(len(trials))}})
        _run(trainer, trials, job, finished, should_stop)
    except Interrupted:
        raise
    except Exception as error:
        left = [trial for trial in trials if trial.number in open_trials]
        for trial in left:
            trial.build({})  # from its last state.h5
        if out_of_memory(error) and len(left) > 1:
            half = len(left) // 2
            for part in (left[:half], left[half:]):
                _train_fused(part, 0, choice, job, send, finished, open_trials, should_stop)
            return
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        choice.note_obstacle(f"its graph can't be fused ({type(error).__name__}: {reason[:160]})")
        for trial in left:
            _train_group([trial], {**job, "planned": 1, "fuse": "never"}, send, finished, open_trials, should_stop)


def _run(
    trainer: Trainer,
    trials: list[Trial],
    job: Job,
    finished: Callable[[Member, Outcome], None],
    should_stop: Callable[[], bool],
) -> None:
    config = trials[0].config
    for trial in trials:
        trial.started(cohort=len(trials))
    train(
        trainer,
        [trial.member() for trial in trials],
        epochs=config["train"]["epochs"],
        until=job.get("until"),
        objective=trials[0].objective(),
        checkpoint_seconds=config["train"]["checkpoint_seconds"],
        finished=finished,
        should_stop=should_stop,
    )


def fused_trainer(trials: list[Trial], choice: modes.Choice, at_least: int = 0) -> FusedTrainer:
    """The trainer of a cohort, each trial as far as its state.h5 goes; the first one again in places left over."""
    filled = [*trials, *[trials[0]] * (at_least - len(trials))]
    trainer = FusedTrainer(
        [trial.model for trial in filled],
        [trial.optimizer for trial in filled],
        [trial.splits for trial in filled],
        seeds=[trial.config["seed"] for trial in filled],
        batch_size=trials[0].config["train"]["batch_size"],
        label_smoothing=[trial.config["train"]["label_smoothing"] for trial in filled],
        epoch=trials[0].progress.epoch,
        resident=choice.resident,
        xla=choice.mode == "fused_xla",
    )
    for i, trial in enumerate(trials):
        if trial.state is not None:
            trainer.restore(i, trial.state)
    return trainer


def solo_trainer(trial: Trial) -> SoloTrainer:
    """The trainer of one trial by itself, as far as its state.h5 goes."""
    config, splits = trial.config, trial.splits
    model = build_model(config, splits)  # its own: training changes it
    optimizer = call("optimizer", config["optimizer"])
    if config["device"]["precision"] == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    batch_size = config["train"]["batch_size"]
    trainer = SoloTrainer(
        model,
        optimizer,
        batches=training_batches(
            splits.train, batch_size=batch_size, seed=config["seed"], start_epoch=trial.progress.epoch
        ),
        validation=evaluation_batches(splits.validation, batch_size=EVALUATION_BATCH),
        validation_steps=steps_per_epoch(len(splits.validation), EVALUATION_BATCH),
        label_smoothing=config["train"]["label_smoothing"],
    )
    if trial.state is not None:
        trainer.restore(0, trial.state)
    return trainer


def measure(job: Job) -> dict[str, Any]:
    """What a plan says of a cohort before it runs: what is told of its mode, the seconds before its first epoch, and
    of a trial's epoch. job: `config` of the largest trial, `planned` and what run_trials reads; nothing is written but
    the measurements."""
    nowhere = {"number": 0, "config": job["config"], "record": {}, "folder": "/nonexistent"}
    models: dict[str, keras.Model] = {}
    probed = [Trial(nowhere, lambda event: None) for _ in range(min(job["planned"], PROBED_TRIALS))]
    for trial in probed:
        trial.build(models)
    choice = modes.choose(probed, job["planned"], obstacle(probed[0]), job)
    measured = modes.measured(probed, choice)
    at_once = 1 if choice.mode == "solo" else choice.largest(job["planned"])
    return {**choice.told(at_once), "start": measured["start"], "epoch": probed[0].steps * measured["step"]}
