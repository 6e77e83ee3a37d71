"""A population of real trainings: copies are exact, and one that was interrupted goes on with the same bits."""

import time
from dataclasses import replace
from itertools import pairwise

import keras
import numpy as np
import pytest

from pipeline.eventlog import epochs_of, events_of, exploits_of
from pipeline.events import Ended, EpochEnded, Interrupted, Paused
from pipeline.records import Trial
from pipeline.search.exploration import evolution
from pipeline.search.scales import LOG, ONE_MINUS_LOG
from pipeline.search.space import Choice, Interval
from pipeline.study.lineage import recorded, schedule
from pipeline.training.checkpoint import load
from pipeline.training.cohort import run_trials
from pipeline.training.fused.trainer import FusedTrainer
from tests.conftest import head
from tests.workers.jobs import job, together

EPOCHS = 7
RATE, MOMENTUM, DROPOUT = "optimizer.learning_rate", "optimizer.momentum", "model.dropout_rate"
SPACE = {
    RATE: Interval(0.01, 1.0, LOG),
    MOMENTUM: Interval(0.0, 0.99, ONE_MINUS_LOG),
    DROPOUT: Interval(0.0, 0.5),
    "train.label_smoothing": Interval(0.0, 0.2),
    "optimizer.nesterov": Choice((False, True)),
    "optimizer.weight_decay": Choice((None, 1e-4)),
    "schedule.warmup_epochs": Interval(0.0, 2.0),
}
# What is 0, or null, would leave out a part of the graph.
TRIALS = (
    {RATE: 0.01, MOMENTUM: 0.0, DROPOUT: 0.0, "optimizer.weight_decay": None},
    {RATE: 0.05, MOMENTUM: 0.5, DROPOUT: 0.2, "optimizer.weight_decay": None},
    {RATE: 0.5, MOMENTUM: 0.9, DROPOUT: 0.5, "optimizer.weight_decay": None},
    {RATE: 0.02, MOMENTUM: 0.0, DROPOUT: 0.0, "optimizer.weight_decay": 1e-4},
)
ALIKE = {"train.label_smoothing": 0.0, "optimizer.nesterov": False, "schedule.warmup_epochs": 0.0}
SETTINGS = {"every": 2, "fraction": 0.25, "step": 0.1, "resample": 0.3}


def population(folder, space=SPACE, trials=TRIALS, **changes):
    folder.mkdir(exist_ok=True)
    common = {"sweep.population": SETTINGS, "train.batch_size": 16, **changes}
    all_params = [{**ALIKE, **params} for params in trials]
    jobs = [job(folder, n, EPOCHS, {**common, **params}) for n, params in enumerate(all_params)]
    together_ = together(*jobs, xla="never")
    asked = [Trial(n, "s", 0, {key: params[key] for key in space}) for n, params in enumerate(all_params)]
    return replace(together_, export=False, evolution=evolution(together_.trials[0].config, space, asked))


def run(own, stop=lambda: False):
    run_trials(own, lambda report: None, stop)


def result(folder):
    folders = [folder / str(i) for i in range(len(TRIALS))]
    curves = [[(e.metrics, e.learning_rate, e.hyperparameters) for e in epochs_of(own)] for own in folders]
    exploits = [[(e.epoch, e.source, e.params) for e in exploits_of(own)] for own in folders]
    return curves, exploits


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run(population(folder))
    return folder, *result(folder)


def test_the_worst_copy_the_best_and_train_with_what_they_are_given(whole):
    folder, curves, exploits = whole
    ends = [list(events_of(folder / str(i)))[-1] for i in range(len(TRIALS))]
    assert [(end.status, end.epochs) for end in ends] == [("completed", EPOCHS)] * len(TRIALS), ends
    assert [own[0] for own in exploits] == [(0, i, {**ALIKE, **params}) for i, params in enumerate(TRIALS)]
    assert sorted(epoch for own in exploits for epoch, *_ in own[1:]) == [2, 4, 6]  # one each time
    for own, curve in zip(exploits, curves, strict=True):
        for (epoch, _, params), (until, *_) in pairwise([*own, (EPOCHS, None, None)]):
            for _, rate, hyperparameters in curve[epoch:until]:
                assert hyperparameters == params
                assert rate <= np.float32(params[RATE])  # less while it warms up
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2", "3"]  # the file of all is gone
    assert sorted(path.name for path in (folder / "0").iterdir()) == ["events.jsonl", "state.h5"]


def test_an_interrupted_population_goes_on_to_the_bit(tmp_path, whole):
    """Before anybody has copied, right after, and before the last epoch."""
    for stop in (1, 2, 6):
        run(population(tmp_path), lambda stop=stop: len(epochs_of(tmp_path / "3")) >= stop)
        assert isinstance(list(events_of(tmp_path / "0"))[-1], Interrupted)
    run(population(tmp_path))
    assert result(tmp_path) == whole[1:]


def test_one_that_pauses_for_want_of_time_has_what_is_best_of_each_so_far(tmp_path, whole, monkeypatch):
    """What is saved of a trial by itself is not gone on from."""
    now, late = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: now() + late[0])

    def send(report):
        if isinstance(event := getattr(report, "event", None), EpochEnded) and event.epoch == 3:
            late[0] = 2e6

    own = population(tmp_path)
    run_trials(replace(own, deadline=now() + 1e6), send, lambda: False)
    for i in range(len(TRIALS)):
        last = list(events_of(tmp_path / str(i)))[-1]
        assert (type(last), last.epochs) == (Paused, 3)
        assert load(tmp_path / str(i) / "state.h5")[2].best_epoch == last.best_epoch
    run(own)
    assert result(tmp_path) == whole[1:]


def test_whose_end_was_told_is_not_trained_again_and_keeps_its_place(tmp_path, whole):
    """A kill between the ends of two trials: of one the parent knows, the others are handed out again."""

    class Killed(BaseException):
        pass

    def send(report):
        if isinstance(getattr(report, "event", None), Ended):
            raise Killed

    own = population(tmp_path)
    with pytest.raises(Killed):
        run_trials(own, send, lambda: False)
    assert (tmp_path / "population-0.h5").exists()
    run(replace(own, trials=own.trials[1:], ended={0: own.trials[0].config}))
    assert result(tmp_path) == whole[1:]
    assert all(isinstance(list(events_of(tmp_path / str(i)))[-1], Ended) for i in range(len(TRIALS)))


def test_the_lineage_of_a_trial_is_a_schedule(whole):
    folder, _, exploits = whole
    for number in range(len(TRIALS)):
        periods = schedule(folder, number, EPOCHS)
        assert periods[0].from_epoch == 1
        assert periods[-1].trial == number
        assert periods[0].params == {**ALIKE, **TRIALS[periods[0].trial]}
        for before, after in pairwise(periods):
            copied = {(epoch, source) for epoch, source, _ in exploits[after.trial]}
            assert (after.from_epoch - 1, before.trial) in copied
    copied = recorded(folder, range(len(TRIALS)), own=2)
    assert list(copied.params) == [-1, -2, 0, -4]  # the trial itself, and the places of the others
    assert [len(copied.copies(epoch, {}, {})) for epoch in range(1, 8)] == [0, 1, 0, 1, 0, 1, 0]


ADAMAX = {"_target_": "keras.optimizers.Adamax", "learning_rate": 0.1}
AVERAGED = {"_target_": "keras.optimizers.SGD", "learning_rate": 0.1, "ema_momentum": 0.9}
RATES = {RATE: SPACE[RATE]}
# space, changes of the config -> why not
REFUSED = {
    "a width": (
        {"model.hidden_units": Interval(2, 8, integer=True)},
        {},
        "model.hidden_units is no number that a layer uses",
    ),
    "no number of the optimizer's update": (
        {"optimizer.ema_momentum": Interval(0.5, 0.9)},
        {"optimizer": AVERAGED},
        "optimizer.ema_momentum can't change",
    ),
    "an optimizer without a fused form": (RATES, {"optimizer": ADAMAX}, "no fused form of the optimizer Adamax"),
    "precision": (RATES, {"device.precision": "mixed_float16"}, "a population is one computation"),
}


@pytest.mark.parametrize(("space", "changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_can_t_be_a_population_says_why(tmp_path, space, changes, message):
    common = {"sweep.population": SETTINGS, **changes}
    values = [{key: dist.at((n + 0.5) / 2) for key, dist in space.items()} for n in range(2)]
    own = together(*(job(tmp_path, n, EPOCHS, {**common, **params}) for n, params in enumerate(values)))
    asked = [Trial(n, "s", 0, params) for n, params in enumerate(values)]
    run(replace(own, evolution=evolution(own.trials[0].config, space, asked)))
    for number in range(2):
        end = list(events_of(tmp_path / str(number)))[-1]
        assert (end.status, end.input_error) == ("failed", True)
        assert message in end.reason


@pytest.fixture
def trainer(make_model, splits):
    """Three trials that have trained for an epoch, each at another rate."""
    optimizers = [keras.optimizers.Adam(0.1) for _ in range(3)]
    models = [make_model(splits, dropout_rate=0.3)] * 3
    settings = {"seeds": [0] * 3, "batch_size": 16, "label_smoothing": [0.0] * 3, "head": head(), "xla": False}
    return FusedTrainer(models, optimizers, [splits] * 3, **settings)


def test_a_copy_is_exact_and_goes_on_as_its_source_does(trainer, steps):
    """Weights, running averages, seeds of random layers, both slots and the steps done."""
    rates = np.repeat(np.float32([[0.1], [0.01], [0.001]]), steps, axis=1)
    trainer.epoch(rates)
    before = [trainer.state(i) for i in range(3)]
    trainer.copy([0, 2, 2])
    after = [trainer.state(i) for i in range(3)]
    for now, source in zip(after, (0, 2, 2), strict=True):
        assert now.keys() == before[source].keys()
        assert all(np.array_equal(now[name], before[source][name]) for name in now)
    assert any(not np.array_equal(after[1][name], before[1][name]) for name in after[1])
    own, source = trainer.epoch(np.float32(rates[[0, 2, 2]]))[1:]
    assert own == source
    whole = trainer.whole()
    trainer.epoch(rates)
    trainer.set_whole(whole)
    assert all(np.array_equal(a, b) for a, b in zip(trainer.whole(), whole, strict=True))
    with pytest.raises(ValueError, match="another population"):
        trainer.set_whole(whole[:-1])
