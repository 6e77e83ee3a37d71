import math
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from pipeline.errors import reason_of
from pipeline.objective import Objective
from pipeline.records import EpochEnded, Grouped
from pipeline.training import checkpoint, loop
from pipeline.training.callbacks import Callback, Watch
from pipeline.training.progress import Progress

ACCURACY, LOSS = Objective(), Objective("val_loss", "minimize")


def timeless(events):
    """Without what differs from run to run."""
    return [replace(event, time=0, seconds=0, data_wait=0) for event in events]


class Scripted:
    """Goes through epochs with given (val_accuracy, val_loss); its only weight is the number of epochs done."""

    def __init__(self, script, epoch=0, stops_in=None):
        self.script, self.done, self.stops_in, self.rates = script, epoch, stops_in, []

    size, waited = 1, 0.0

    def epoch(self, rates, should_stop):
        if self.done == self.stops_in:
            return None
        self.rates.append(rates[0])
        self.done += 1
        accuracy, loss = self.script[self.done - 1]
        return [{"loss": 1.0, "accuracy": 0.5, "val_accuracy": accuracy, "val_loss": loss}]

    def weights(self, i):
        return [np.array([self.done])]

    def state(self, i):
        return {"model/0000": np.array([self.done]), "optimizer/0000": np.array([self.done])}


def train(trainer, folder, **changes):
    """A cohort of one; returns how it ended, with its progress and best weights, and its events."""
    events, outcomes = [], []
    own = {
        "rates": lambda epoch: np.float32([0.1, 0.1 / (1 + epoch)]),
        "patience": None,
        "state_path": folder / "state.h5",
        "identity": "",
        "progress": Progress(),
        "best": [],
        "emit": events.append,
        "watch": Watch(),
    }
    own = {key: changes.pop(key, value) for key, value in own.items()}
    settings = {"epochs": len(getattr(trainer, "script", [])), "objective": ACCURACY, "checkpoint_seconds": 1e9}
    member = loop.Member(0, **own)
    finished = {"finished": lambda m, outcome: outcomes.append(outcome)}
    loop.EpochLoop(trainer, [member], **{**settings, **changes, **finished}).run()
    (outcome,) = outcomes
    ended = SimpleNamespace(status=outcome.status, reason=outcome.reason, progress=member.progress, best=member.best)
    return ended, events


def accuracies(*values):
    return [(value, 1.0) for value in values]


STOPPED = "stopped early: {} epochs without a better one"


@pytest.mark.parametrize(
    ("script", "objective", "patience", "epochs", "best_epoch", "reason"),
    [
        (accuracies(0.1, 0.2, 0.3), ACCURACY, None, 3, 3, None),
        (accuracies(0.3, 0.2, 0.1), ACCURACY, None, 3, 1, None),
        (accuracies(0.1, 0.3, 0.2, 0.3), ACCURACY, None, 4, 2, None),
        ([(0.5, 1.0), (0.5, 0.8), (0.5, 0.9)], ACCURACY, None, 3, 2, None),  # ties go to the lower val_loss
        ([(0.5, 1.0), (0.9, 2.0), (0.1, 0.5)], LOSS, None, 3, 3, None),
        ([(0.5, 1.0), (0.9, 2.0), (0.1, 0.5)], Objective("val_loss", "maximize"), None, 3, 2, None),
        (accuracies(0.1, 0.3, 0.2, 0.2, 0.2, 0.9), ACCURACY, 3, 5, 2, STOPPED.format(3)),
        (accuracies(0.1, 0.3, 0.2, 0.2, 0.4, 0.2), ACCURACY, 3, 6, 5, None),
        (accuracies(0.1, 0.1, 0.9), ACCURACY, 1, 2, 1, STOPPED.format(1)),
        (accuracies(0.1, 0.2, 0.2), ACCURACY, 1, 3, 2, None),  # patience ends in the last epoch: nothing was saved
        (accuracies(0.1, 0.2, 0.3), ACCURACY, 1, 3, 3, None),
    ],
)
def test_the_best_epoch_and_early_stopping(tmp_path, script, objective, patience, epochs, best_epoch, reason):
    outcome, events = train(Scripted(script), tmp_path, objective=objective, patience=patience)
    assert (outcome.status, outcome.reason) == ("completed", reason)
    assert (outcome.progress.epoch, outcome.progress.best_epoch) == (epochs, best_epoch)
    assert outcome.best == [best_epoch]  # the weights of that epoch, not the last
    best = script[best_epoch - 1]
    assert (outcome.progress.best_metrics["val_accuracy"], outcome.progress.best_metrics["val_loss"]) == best
    assert [event.epoch for event in events] == list(range(1, epochs + 1))

    state, saved, progress = checkpoint.load(tmp_path / "state.h5")
    assert state["model/0000"] == [epochs]
    assert saved == [best_epoch]
    assert progress == outcome.progress


def test_an_event_tells_the_epoch(tmp_path):
    trainer = Scripted([(0.1, 0.9), (0.2, 0.8)])
    outcome, events = train(trainer, tmp_path)
    seconds = [event.seconds for event in events]
    assert min(seconds) >= 0
    assert outcome.progress.seconds == pytest.approx(sum(seconds))
    common = {"loss": 1.0, "accuracy": 0.5}
    assert timeless(events) == [
        EpochEnded(0, 1, {**common, "val_accuracy": 0.1, "val_loss": 0.9}, pytest.approx(0.1)),
        EpochEnded(0, 2, {**common, "val_accuracy": 0.2, "val_loss": 0.8}, pytest.approx(0.05)),
    ]
    np.testing.assert_allclose(trainer.rates, [[0.1, 0.1], [0.1, 0.05]])


@pytest.mark.parametrize(("checkpoint_seconds", "saved"), [(0, [None, 1, 2]), (1e9, [None, None, None])])
def test_the_state_is_saved_by_the_clock_and_at_the_end(tmp_path, checkpoint_seconds, saved):
    seen = []

    def look(event):
        loaded = checkpoint.load(tmp_path / "state.h5")
        seen.append(loaded and loaded[2].epoch)

    train(Scripted(accuracies(0.1, 0.2, 0.3)), tmp_path, checkpoint_seconds=checkpoint_seconds, emit=look)
    assert seen == saved
    assert checkpoint.load(tmp_path / "state.h5")[2].epoch == 3


@pytest.mark.parametrize("name", ["val_accuracy", "val_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_a_metric_that_is_not_finite_ends_the_trial_as_diverged(tmp_path, name, value, epoch):
    script = accuracies(0.2, 0.3, 0.1, 0.4, 0.5)
    script[epoch - 1] = (value, 1.0) if name == "val_accuracy" else (0.99, value)
    outcome, events = train(Scripted(script), tmp_path, checkpoint_seconds=0)
    assert (outcome.status, outcome.reason) == ("diverged", f"{name} is {value} in epoch {epoch}")
    assert [event.epoch for event in events] == list(range(1, epoch + 1))
    assert events[-1].metrics[name] == value or math.isnan(value)
    # What counts and what is on disk is the last finite epoch.
    assert outcome.progress.epoch == epoch - 1
    best_epoch = {1: 0, 2: 1, 4: 2}[epoch]
    assert (outcome.progress.best_epoch, outcome.best) == (best_epoch, [best_epoch] if best_epoch else [])
    loaded = checkpoint.load(tmp_path / "state.h5")
    if epoch == 1:
        assert loaded is None
    else:
        assert (loaded[0]["model/0000"], loaded[1], loaded[2].epoch) == ([epoch - 1], [best_epoch], epoch - 1)


def test_a_loss_that_explodes_keeps_the_last_finite_state(tmp_path, make_model, make_trainer, splits, steps):
    trainer = make_trainer(make_model(splits), keras.optimizers.SGD(0.1), splits)
    outcome, events = train(
        trainer,
        tmp_path,
        epochs=5,
        rates=lambda epoch: np.full(steps, 0.1 if epoch < 2 else 1e30, np.float32),
        checkpoint_seconds=0,
    )
    assert outcome.status == "diverged"
    assert outcome.progress.epoch == len(events) - 1 == 2
    assert not all(np.isfinite(weight).all() for weight in trainer.weights())  # what diverged is the model itself
    state, best, progress = checkpoint.load(tmp_path / "state.h5")
    assert progress.epoch == 2
    assert all(np.isfinite(array).all() for array in [*state.values(), *best, *outcome.best])
    assert len(outcome.best) == len(trainer.weights())


SCRIPT = accuracies(0.1, 0.4, 0.3, 0.2, 0.5)


@pytest.mark.parametrize("done", range(len(SCRIPT)))
def test_a_request_to_stop_saves_the_state_and_resuming_equals_not_stopping(tmp_path, done):
    whole, whole_events = train(Scripted(SCRIPT), tmp_path)
    requests, events = iter([False] * done + [True]), []
    with pytest.raises(loop.StopRequested):
        train(Scripted(SCRIPT), tmp_path, should_stop=lambda: next(requests), emit=events.append)
    state, best, progress = checkpoint.load(tmp_path / "state.h5")
    assert (state["model/0000"], progress.epoch, len(events)) == ([done], done, done)

    resumed = Scripted(SCRIPT, epoch=int(state["model/0000"][0]))
    outcome, more = train(resumed, tmp_path, progress=progress, best=best)
    assert (outcome.status, outcome.reason, outcome.best) == ("completed", None, whole.best)
    assert outcome.progress.best_metrics == whole.progress.best_metrics
    assert (outcome.progress.epoch, outcome.progress.best_epoch) == (5, 5)
    assert timeless([*events, *more]) == timeless(whole_events)


@pytest.mark.parametrize(("checkpoint_seconds", "saved"), [(0, 2), (1e9, None)])
def test_a_stop_in_mid_epoch_leaves_the_last_checkpoint(tmp_path, checkpoint_seconds, saved):
    with pytest.raises(loop.StopRequested):
        train(Scripted(SCRIPT, stops_in=2), tmp_path, checkpoint_seconds=checkpoint_seconds)
    loaded = checkpoint.load(tmp_path / "state.h5")
    assert (loaded and loaded[2].epoch) == saved


@pytest.mark.parametrize(
    ("progress", "patience", "reason"),
    [(Progress(5, 2, {"val_accuracy": 0.4, "val_loss": 1.0}), None, None),
     (Progress(4, 2, {"val_accuracy": 0.4, "val_loss": 1.0}), 2, STOPPED.format(2))],
)  # fmt: skip
def test_what_was_over_stays_over(tmp_path, progress, patience, reason):
    trainer = Scripted(SCRIPT, epoch=progress.epoch)
    outcome, events = train(trainer, tmp_path, progress=progress, best=[np.array([2])], patience=patience)
    assert (outcome.status, outcome.reason, outcome.best, events) == ("completed", reason, [2], [])


def test_a_real_model_interrupted_and_resumed_equals_uninterrupted(tmp_path, make_model, make_trainer, splits, rates):
    def fresh(start_epoch=0, seed=0):
        model = make_model(splits, seed=seed, dropout_rate=0.3)
        return make_trainer(model, keras.optimizers.Adam(0.01), splits, start_epoch=start_epoch)

    settings = {"epochs": 4, "rates": lambda epoch: rates(0.01)}
    (tmp_path / "whole").mkdir()
    whole, whole_events = train(fresh(), tmp_path / "whole", **settings)
    requests, events = iter([False, False, True]), []
    with pytest.raises(loop.StopRequested):
        train(fresh(), tmp_path, **settings, should_stop=lambda: next(requests), emit=events.append)
    state, best, progress = checkpoint.load(tmp_path / "state.h5")
    trainer = fresh(start_epoch=progress.epoch, seed=1)
    trainer.restore(0, state)
    outcome, more = train(trainer, tmp_path, **settings, progress=progress, best=best)
    assert timeless([*events, *more]) == timeless(whole_events)
    assert outcome.progress.best_epoch == whole.progress.best_epoch
    for one, other in zip(outcome.best, whole.best, strict=True):
        np.testing.assert_array_equal(one, other)


class Witness(Callback):
    """Notes each epoch and val_accuracy that it is asked at, and at the end also the weights."""

    def __init__(self):
        self.moments = []

    def before_epoch(self, moment):
        self.moments.append(("before", moment.epoch, moment.metrics.get("val_accuracy")))

    def after_epoch(self, moment):
        self.moments.append(("after", moment.epoch, moment.metrics["val_accuracy"]))

    def at_end(self, moment, status):
        self.moments.append((status, moment.epoch, moment.metrics["val_accuracy"], moment.weights()))


WHOLE = [("before", 0, None), ("after", 1, 0.1), ("before", 1, 0.1), ("after", 2, 0.3), ("before", 2, 0.3)]
WHOLE += [("after", 3, 0.2)]  # the second epoch is the best one


@pytest.mark.parametrize(
    ("values", "moments"),
    [
        ([0.1, 0.3, 0.2], [*WHOLE, ("completed", 3, 0.2, [2])]),
        ([0.1, 0.3, 0.2, math.inf], [*WHOLE, ("before", 3, 0.2), ("after", 4, math.inf), ("diverged", 3, 0.2, [2])]),
    ],
    ids=["completed", "diverged"],
)
def test_callbacks_are_asked_at_each_epoch_once_with_its_own_metrics(tmp_path, values, moments):
    witness = Witness()
    watch = Watch([witness], lambda epoch, metrics, weights: SimpleNamespace(**locals()))
    train(Scripted(accuracies(*values)), tmp_path, watch=watch)
    assert witness.moments == moments


class Pair(Scripted):
    """Two trials that score alike."""

    size = 2

    def epoch(self, rates, should_stop):
        return super().epoch(rates, should_stop) * 2


@pytest.mark.parametrize("checkpoint_seconds", [0, 1e9], ids=["at a checkpoint", "at its end"])
def test_a_trial_that_cannot_be_saved_fails_alone(tmp_path, checkpoint_seconds):
    outcomes = {}
    (tmp_path / "0").write_text("a file where its folder should be")
    (tmp_path / "1").mkdir()
    members = [
        loop.Member(
            n, lambda epoch: np.float32([0.1]), None, tmp_path / f"{n}/state.h5", "", lambda e: None, Progress()
        )
        for n in range(2)
    ]
    loop.EpochLoop(
        Pair(accuracies(0.1, 0.2)),
        members,
        epochs=2,
        objective=ACCURACY,
        checkpoint_seconds=checkpoint_seconds,
        finished=lambda member, outcome: outcomes.update({member.number: outcome}),
    ).run()
    assert (outcomes[0].status, outcomes[1].status) == ("failed", "completed")
    assert "Not a directory" in reason_of(outcomes[0].error)[0]
    assert checkpoint.load(tmp_path / "1/state.h5")[2].epoch == 2


# running, size, epochs left, seconds of the quickest and of the first epoch -> whether to go on without the others
COMPACTING = [
    (4, 8, 100, 0.1, 2.0, True),
    (7, 8, 100, 0.1, 2.0, False),
    (4, 8, 10, 0.1, 2.0, False),
    (1, 8, 100, 0.1, 2.0, True),
    (4, 8, 2, 0.1, 0.1, False),  # a probe had compiled it: the first epoch tells nothing
    (4, 8, 30, 0.1, 0.1, True),
]


@pytest.mark.parametrize(("running", "size", "left", "quickest", "first", "worth"), COMPACTING)
def test_a_cohort_is_compacted_where_that_saves_time(running, size, left, quickest, first, worth):
    assert loop.worth_compacting(running, size, left, quickest, first) is worth


@pytest.mark.parametrize(("size", "kept"), [(4, [0]), (8, [])], ids=["its own size", "filled up"])
def test_places_that_were_filled_up_stay_filled(tmp_path, size, kept):
    """Four trials, three of which end early: the last one goes on alone, unless only four of eight places were taken
    when it was resumed, for another size would round otherwise."""
    keeping, told = [], []

    class Cohort(Scripted):
        def epoch(self, rates, should_stop):
            return super().epoch(rates, should_stop) * size

        def keep(self, indices):
            keeping.extend(indices)
            self.size = len(indices)

    trainer = Cohort(accuracies(0.5, 0.4, 0.3, 0.2))
    trainer.size = size
    members = [
        loop.Member(
            n,
            lambda epoch: np.float32([0.1]),
            None if n == 0 else 1,
            tmp_path / f"{n}.h5",
            "",
            told.append,
            Progress(),
        )
        for n in range(4 if size == 4 else 1)
    ]
    loop.EpochLoop(
        trainer,
        members,
        epochs=4,
        objective=ACCURACY,
        checkpoint_seconds=1e9,
        finished=lambda member, outcome: None,
        compacts=lambda running, size, *rest: running < size,
    ).run()
    assert keeping == kept
    groups = [(e.epoch, e.trials) for e in told if isinstance(e, Grouped)]
    assert groups == [(2, kept)] * len(kept)  # who repeats it needs to know
