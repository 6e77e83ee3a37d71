"""A worker stays warm for hundreds of trials: what one leaves behind must not add up, or be taken for another's."""

import gc
import json
import math
import shutil

import keras
import pytest

from pipeline.data.sources import load_splits
from pipeline.errors import InputError
from pipeline.records import CohortPlanned, Ended, EpochEnded, Interrupted, Started
from pipeline.training.cohort import run_trials
from pipeline.training.trial import TrainedTrial, build_model
from tests.workers.jobs import collector, config, job, together


def trained(folder, number, changes=None):
    events = []
    run_trials(job(folder, number, 2, changes), collector(events), lambda: False)
    assert events[-1].status == "completed", events[-1]
    return events


@pytest.mark.slow
def test_a_trial_leaves_no_graph_behind(tmp_path):
    def graphs():
        gc.collect()
        return sum(type(item).__name__ == "FuncGraph" for item in gc.get_objects())

    trained(tmp_path, 0)
    before = graphs()
    for number in range(1, 4):
        trained(tmp_path, number)
    # The last one's may still be held until the next clear_session().
    assert graphs() <= before + 2


def test_another_trials_state_is_not_taken_for_this_ones(tmp_path):
    trained(tmp_path, 0)
    (tmp_path / "1").mkdir()
    shutil.copy(tmp_path / "0/state.h5", tmp_path / "1/state.h5")

    slower = {"optimizer.learning_rate": 1e-6}
    events = trained(tmp_path, 1, slower)
    assert [type(event) for event in events] == [Started, EpochEnded, EpochEnded, Ended]
    # its own state, though, is gone on from: all epochs are done
    again = trained(tmp_path, 1, slower)
    assert [type(event) for event in again] == [Started, Ended]
    assert again[0].resumed_after == 2
    assert json.loads((tmp_path / "1/events.jsonl").read_text().splitlines()[0])["resumed_after"] == 0


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ended")
    trained(folder, 0)
    return folder


RANGE = {"tier": 3, "range": "choice(1, 2)"}


@pytest.mark.parametrize(
    ("key", "value", "epoch"),
    [
        # what might be tried beside it, and how often its state is saved, change nothing of how it trains
        ("dataset.search", {"spread": RANGE}, 2),
        ("model.search", {"hidden_units": RANGE}, 2),
        ("optimizer.search", {"learning_rate": RANGE}, 2),
        ("schedule.search", {"warmup_epochs": RANGE}, 2),
        ("train.search", {"batch_size": RANGE}, 2),
        ("train.checkpoint_seconds", 1, 2),
        ("seed", 1, 0),
        ("dataset.spread", 0.3, 0),
        ("model.hidden_units", 5, 0),
        ("optimizer.learning_rate", 0.2, 0),
        ("schedule._target_", "pipeline.training.schedules.cosine", 0),
        ("train.batch_size", 16, 0),
        ("train.epochs", 3, 0),
        ("train.label_smoothing", 0.1, 0),
        ("train.early_stopping", {"patience": 9}, 0),
        ("device.precision", "mixed_bfloat16", 0),
        ("sweep.metric", "val_loss", 0),
    ],
)
def test_a_state_is_a_trials_as_long_as_it_trains_the_same(ended, key, value, epoch):
    (task,) = job(ended, 0, 2, {key: value}).trials
    trial = TrainedTrial(task, lambda event: None)
    trial.build({})
    assert trial.progress.epoch == epoch


def _two(inputs, n):
    return keras.layers.Dense(n)(keras.layers.Concatenate()([inputs, keras.Input((2,))]))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (_two, "follows from an input of its own; a model has one input, the one that it is given."),
        (lambda inputs, n: [keras.layers.Dense(n)(inputs)] * 2, "returns list; a model is one tensor, its output."),
        (lambda inputs, n: None, "returns NoneType; a model is one tensor"),
        (lambda inputs, n: keras.Model(inputs, keras.layers.Dense(n)(inputs)), "returns Functional; a model is one"),
    ],
    ids=["two inputs", "several outputs", "nothing", "a whole model"],
)
def test_what_is_no_model_of_one_input_and_one_output_is_refused(model, message, monkeypatch):
    of = config({"model": {"_target_": "math.nothing", "head": "softmax"}})
    monkeypatch.setattr(math, "nothing", model, raising=False)  # a module of the user's
    with pytest.raises(InputError, match=message):
        build_model(of, load_splits(of))


@pytest.mark.parametrize(("fuse", "asks"), [("always", 4), ("never", 3)])
def test_nothing_is_planned_or_begun_once_it_is_asked_to_stop(fuse, asks, tmp_path):
    """asks: how often it asks before it says how the trials train."""
    for calls in range(asks + 1):
        trials = together(*(job(tmp_path / str(calls), number) for number in range(2)), fuse=fuse, xla="never")
        reports, answers = [], iter([False] * calls)
        run_trials(trials, reports.append, lambda answers=answers: next(answers, True))
        if calls < asks:
            assert [type(report.event) for report in reports] == [Interrupted] * 2
        else:
            assert isinstance(reports[0], CohortPlanned)
