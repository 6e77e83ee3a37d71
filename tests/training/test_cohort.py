"""A cohort that was interrupted goes on with the bits that it would have had, though some of its trials have ended."""

from dataclasses import replace

import pytest

from pipeline.eventlog import epochs_of, events_of
from pipeline.events import Grouped, Interrupted
from pipeline.training.cohort import run_trials
from tests.workers.jobs import job, together

EPOCHS = 6
BATCH = {"train.batch_size": 16, "optimizer.learning_rate": 0.5}
# The widest ends first: without it the others would be padded to another width, and round otherwise.
TRIALS = (
    {"model.hidden_units": 7, **BATCH},
    {"model.hidden_units": 40, **BATCH, "optimizer.learning_rate": 0.0, "train.early_stopping": {"patience": 1}},
    {"model.hidden_units": 5, **BATCH},
)


def cohort(folder):
    return together(*(job(folder, n, EPOCHS, changes) for n, changes in enumerate(TRIALS)), fuse="always", xla="never")


def curves(folder):
    return {n: [epoch.metrics for epoch in epochs_of(folder / str(n))] for n in range(len(TRIALS))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run_trials(cohort(folder), lambda report: None, lambda: False)
    return curves(folder)


@pytest.mark.parametrize("starts", [1, 2], ids=["once", "twice"])
def test_an_interrupted_cohort_goes_on_to_the_bit(tmp_path, whole, starts):
    first = cohort(tmp_path)
    assert len(whole[1]) < EPOCHS - starts  # it had ended by then
    remaining = first
    for start in range(1, starts + 1):
        stop = len(whole[1]) + start  # epochs: the widest one has ended by then
        run_trials(remaining, lambda report: None, lambda stop=stop: len(epochs_of(tmp_path / "0")) >= stop)
        assert any(isinstance(event, Interrupted) for event in events_of(tmp_path / "0"))
        unended = tuple(task for task in first.trials if task.number != 1)
        remaining = replace(first, trials=unended, ended={1: first.trials[1].config})
    run_trials(remaining, lambda report: None, lambda: False)
    assert curves(tmp_path) == whole
    groups = [event.trials for event in events_of(tmp_path / "0") if isinstance(event, Grouped)]
    assert groups == [[0, 1, 2], *[[0, 1, 2]] * starts]
