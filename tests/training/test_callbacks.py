"""What looks on while a trial trains: what it records, what it costs when it fails, and when it is asked."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.sources import load_splits
from pipeline.data.splits import Split, Splits
from pipeline.eventlog import diagnoses_of, events_of
from pipeline.records import Conditions, Diagnosed, Ended, EpochEnded, Paused, Started, TrainJob
from pipeline.schema import Target
from pipeline.training import checkpoint
from pipeline.training.callbacks import Callback, Observation, together
from pipeline.training.cohort import run_trials
from tests.workers.jobs import config, task

SOLO = Conditions(fuse="never")
FUSED = Conditions(fuse="always", xla="never")
HOOKS = ("at_start", "before_epoch", "after_epoch", "at_end")


class Norm(Callback):
    """Records the norm of all weights, times `scale`."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def after_epoch(self, moment):
        norm = self.scale * float(np.sqrt(sum(np.sum(np.square(w, dtype=float)) for w in moment.weights())))
        return Observation({"norm": norm}, {"all of it": {"norm": norm}})


class Beginning(Callback):
    """Records a measure of a layer before the first epoch."""

    def at_start(self, moment):
        return Observation(layers={"first": {"epoch": float(moment.epoch)}})


class Fails(Callback):
    """Raises in one hook of one trial."""

    def __init__(self, hook, number, epoch=0):
        self.hook, self.number, self.epoch = hook, number, epoch

    def _at(self, hook, moment):
        if (hook, moment.number) == (self.hook, self.number) and moment.epoch >= self.epoch:
            raise ValueError(f"{hook} failed\nand this line is for developers")

    def at_start(self, moment):
        self._at("at_start", moment)

    def before_epoch(self, moment):
        self._at("before_epoch", moment)

    def after_epoch(self, moment):
        self._at("after_epoch", moment)

    def at_end(self, moment, status):
        self._at("at_end", moment)


class Diary(Callback):
    """Notes what it is asked."""

    entries: list[tuple] = []  # noqa: RUF012

    def __init__(self, name="diary"):
        self.name = name

    def at_start(self, moment):
        self.entries.append((self.name, moment.number, "at_start", moment.epoch, sorted(moment.metrics)))

    def before_epoch(self, moment):
        self.entries.append((self.name, moment.number, "before_epoch", moment.epoch, sorted(moment.metrics)))

    def after_epoch(self, moment):
        self.entries.append((self.name, moment.number, "after_epoch", moment.epoch, sorted(moment.metrics)))

    def at_end(self, moment, status):
        self.entries.append((self.name, moment.number, f"at_end {status}", moment.epoch, sorted(moment.metrics)))


@pytest.fixture
def diary():
    Diary.entries.clear()
    return Diary.entries


def named(kind, **arguments):
    return Target(f"{__name__}.{kind.__name__}", arguments)


def trained(folder, callbacks=(), *, conditions=SOLO, n=1, seed=0, until=None, changes=None):
    """The events of `n` trials, of different seeds from `seed` on, as in their logs."""
    configs = [config({"train.epochs": 3, "seed": seed + i, **(changes or {})}) for i in range(n)]
    configs = [replace(c, train=replace(c.train, callbacks=list(callbacks))) for c in configs]
    tasks = tuple(task(folder, number, c) for number, c in enumerate(configs))
    run_trials(TrainJob(0, tasks, until=until, conditions=conditions), lambda report: None, lambda: False)
    return [list(events_of(folder / str(number))) for number in range(n)]


def epochs(events):
    return [event for event in events if isinstance(event, EpochEnded)]


def numbers(events):
    """What training came to, without times."""
    return [(event.epoch, event.metrics) for event in epochs(events)]


@pytest.mark.parametrize(("conditions", "n"), [(SOLO, 1), (FUSED, 3)], ids=["alone", "fused"])
def test_a_metric_that_a_callback_records_is_in_the_log(conditions, n, tmp_path):
    for number, events in enumerate(trained(tmp_path, [named(Norm, scale=2.0)], conditions=conditions, n=n)):
        assert next(e for e in events if isinstance(e, Started)).cohort == n
        norms = {e.epoch: e.metrics["norm"] for e in epochs(events)}
        assert list(norms) == [1, 2, 3]
        _, best, progress = checkpoint.load(tmp_path / f"{number}/state.h5")
        norm = np.sqrt(sum(np.sum(np.square(w, dtype=float)) for w in best))
        assert norms[progress.best_epoch] == pytest.approx(2 * norm)
        assert "norm" not in events[-1].metrics  # it is no result of training
        layers = diagnoses_of(tmp_path / str(number))
        assert {epoch: layers[epoch]["all of it"]["norm"] for epoch in layers} == norms


def test_what_is_seen_of_a_trial_in_a_cohort_is_what_is_seen_of_it_alone(tmp_path):
    for seed, events in enumerate(trained(tmp_path / "fused", [named(Norm)], conditions=FUSED, n=3)):
        (alone,) = trained(tmp_path / f"alone {seed}", [named(Norm)], seed=seed)
        for a, b in zip(epochs(events), epochs(alone), strict=True):
            assert a.metrics["norm"] == pytest.approx(b.metrics["norm"], rel=1e-4)


def test_what_is_measured_before_training_is_epoch_0(tmp_path):
    (events,) = trained(tmp_path, [named(Beginning)])
    assert [type(event) for event in events] == [Started, Diagnosed, *[EpochEnded] * 3, Ended]
    assert diagnoses_of(tmp_path / "0") == {0: {"first": {"epoch": 0.0}}}


@pytest.mark.parametrize(("conditions", "n"), [(SOLO, 1), (FUSED, 3)], ids=["alone", "fused"])
def test_training_is_the_same_to_the_bit_with_callbacks(conditions, n, tmp_path):
    plain = trained(tmp_path / "without", conditions=conditions, n=n)
    watched = trained(tmp_path / "with", [named(Diary)], conditions=conditions, n=n)
    assert [numbers(events) for events in plain] == [numbers(events) for events in watched]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_callback_that_raises_costs_its_trial_only(hook, tmp_path):
    plain = trained(tmp_path / "without", conditions=FUSED, n=3)
    events = trained(tmp_path / "with", [named(Fails, hook=hook, number=1)], conditions=FUSED, n=3)
    *_, end = events[1]
    assert (end.status, end.reason) == ("failed", f"ValueError: {hook} failed")
    assert not end.input_error
    assert sum(isinstance(event, Ended) for event in events[1]) == 1
    assert f"{hook} failed" in (tmp_path / "with/1/traceback.txt").read_text()
    done = {"at_start": 0, "before_epoch": 0, "after_epoch": 1, "at_end": 3}[hook]
    assert numbers(events[1]) == numbers(plain[1])[:done]
    for number in (0, 2):
        assert events[number][-1].status == "completed"
        assert numbers(events[number]) == numbers(plain[number])
        assert events[number][-1].metrics == plain[number][-1].metrics


def test_one_that_raises_later_costs_the_epochs_that_follow(tmp_path):
    (events,) = trained(tmp_path, [named(Fails, hook="before_epoch", number=0, epoch=2)])
    assert [type(event) for event in events] == [Started, EpochEnded, EpochEnded, Ended]
    assert events[-1].reason == "ValueError: before_epoch failed"


METRICS = ["accuracy", "loss", "val_accuracy", "val_loss"]


def test_hooks_are_asked_in_order(diary, tmp_path):
    trained(tmp_path, [named(Diary, name="first"), named(Diary, name="second")])
    asked = [("at_start", 0, [])]
    for epoch in (1, 2, 3):
        asked += [("before_epoch", epoch - 1, METRICS if epoch > 1 else []), ("after_epoch", epoch, METRICS)]
    asked.append(("at_end completed", 3, METRICS))
    assert diary == [(name, 0, *entry) for entry in asked for name in ("first", "second")]


def test_each_trial_of_a_cohort_has_callbacks_of_its_own(diary, tmp_path):
    trained(tmp_path, [named(Diary)], conditions=FUSED, n=2)
    for number in (0, 1):
        hooks = [hook for _, of, hook, *_ in diary if of == number]
        assert hooks == ["at_start", *["before_epoch", "after_epoch"] * 3, "at_end completed"]


def test_a_trial_that_goes_on_has_no_second_start(diary, tmp_path):
    (events,) = trained(tmp_path, [named(Diary)], until=1)
    assert isinstance(events[-1], Paused)
    assert [hook for _, _, hook, *_ in diary] == ["at_start", "before_epoch", "after_epoch"]  # it has not ended
    diary.clear()
    trained(tmp_path, [named(Diary)])
    assert [hook for _, _, hook, *_ in diary] == [*["before_epoch", "after_epoch"] * 2, "at_end completed"]
    assert diary[0][3:] == (1, METRICS)  # of the epoch before it was paused


def test_one_that_diverges_ends_as_diverged(diary, tmp_path):
    (events,) = trained(tmp_path, [named(Diary)], changes={"optimizer.learning_rate": 1e30})
    assert events[-1].status == "diverged"
    assert [hook for _, _, hook, *_ in diary][-1] == "at_end diverged"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target("pipeline.schema.Augment"), "train.callbacks: Augment is no pipeline.training.callbacks.Callback."),
        (Target(f"{__name__}.Nrom"), "Did you mean 'Norm'?"),
        (Target(f"{__name__}.Norm", {"scael": 1}), "Did you mean 'scale'?"),
    ],
)
def test_what_is_no_callback_fails_its_trial_with_a_line(target, reason, tmp_path):
    (events,) = trained(tmp_path, [target])
    assert [type(event) for event in events] == [Ended]
    assert (events[0].status, events[0].input_error) == ("failed", True)
    assert reason in events[0].reason
    assert "\n" not in events[0].reason


def test_observations_of_one_epoch_are_put_together():
    a, b = Observation({"x": 1.0}, {"l": {"p": 1.0}}), Observation({"y": 2.0, "x": 3.0}, {"l": {"q": 2.0}, "m": {}})
    assert together([a, None, b]) == Observation({"x": 3.0, "y": 2.0}, {"l": {"p": 1.0, "q": 2.0}, "m": {}})
    assert together([]) == Observation()


class Looks(Callback):
    """Notes the parts of the data that it is given."""

    parts: list[Split] = []  # noqa: RUF012

    def after_epoch(self, moment):
        self.parts += [value for value in vars(moment).values() if isinstance(value, Split | Splits)]


def test_a_callback_is_not_given_the_test_split(tmp_path):
    trained(tmp_path, [named(Looks)], until=1)
    splits = load_splits(config())
    assert Looks.parts == [splits.train, splits.validation]


class Claims(Callback):
    """Records a metric by a name, in one hook; or writes into those that it is given."""

    def __init__(self, name=None, hook="after_epoch"):
        self.name, self.hook = name, hook

    def at_start(self, moment):
        return Observation({self.name: 77.0}) if self.hook == "at_start" else None

    def after_epoch(self, moment):
        if self.name is None:
            moment.metrics["val_loss"] = 77.0
        return Observation({self.name: 77.0}) if self.hook == "after_epoch" else None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name": "val_loss"}, "the runner itself records val_loss"),
        ({"name": "epoch"}, "the runner itself records epoch"),
        ({"name": "metrics"}, "the runner itself records metrics"),
        ({"name": "learning_rate"}, "the runner itself records learning_rate"),
        ({"name": "norm", "hook": "at_start"}, "norm is a metric of no epoch"),
        ({"name": None}, "does not support item assignment"),
    ],
)
def test_no_callback_writes_over_the_record_of_the_runner(arguments, reason, tmp_path):
    (events,) = trained(tmp_path, [named(Claims, **arguments)])
    assert (events[-1].status, reason in events[-1].reason) == ("failed", True)
    assert all(event.metrics["val_loss"] < 77 for event in epochs(events))


class Returns(Callback):
    """Returns what `make` names, in one hook."""

    MADE = {  # noqa: RUF012
        "numpy": lambda: Observation({"norm": np.float32(0.5)}, {0: {"count": np.int64(3), "none": None}}),
        "dict": lambda: {"norm": 0.5},
        "text": lambda: Observation({"norm": "much"}),
        "array": lambda: Observation(layers={"first": {"norm": np.zeros(2)}}),
        "name": lambda: Observation({"mine=x": 1.0}),
        "long name": lambda: Observation({"x" * 201: 1.0}),
        "name of a measure": lambda: Observation(layers={"a=b": {"mine=x": 1.0}}),
    }

    def __init__(self, make, hook="after_epoch", number=0):
        self.make, self.hook, self.number = self.MADE[make], hook, number

    def _at(self, hook, moment):
        return self.make() if (hook, moment.number) == (self.hook, self.number) else None

    def at_start(self, moment):
        return self._at("at_start", moment)

    def after_epoch(self, moment):
        return self._at("after_epoch", moment)


def test_numbers_of_other_libraries_are_recorded_as_numbers(tmp_path):
    events = trained(tmp_path, [named(Returns, make="numpy")], conditions=FUSED, n=3)
    assert [e.metrics["norm"] for e in epochs(events[0])] == [0.5] * 3
    assert epochs(events[0])[0].diagnostics == {"0": {"count": 3.0, "none": None}}
    for each in events:
        (started,) = [event for event in each if isinstance(event, Started)]  # no second time, by itself
        assert (started.cohort, each[-1].status) == (3, "completed")


NAMES = "a name is letters, digits and '_' (at most 200)."  # which the tracking store takes


@pytest.mark.parametrize(
    ("make", "hook", "complaint"),
    [
        ("dict", "after_epoch", " returned a dict; wanted is an Observation, or None."),
        ("dict", "at_start", " returned a dict; wanted is an Observation, or None."),
        ("text", "after_epoch", ": norm is of type str, which is no number."),
        ("array", "after_epoch", ": norm is of type ndarray, which is no number."),
        ("array", "at_start", ": norm is of type ndarray, which is no number."),
        ("name", "after_epoch", f": 'mine=x': {NAMES}"),
        ("long name", "after_epoch", f": '{'x' * 201}': {NAMES}"),
        ("name of a measure", "at_start", f": 'mine=x': {NAMES}"),
    ],
)
def test_what_cannot_be_recorded_costs_its_trial_only_and_names_the_callback(make, hook, complaint, tmp_path):
    events = trained(tmp_path, [named(Returns, make=make, hook=hook, number=1)], conditions=FUSED, n=3)
    assert events[1][-1].reason == f"train.callbacks: {__name__}.Returns{complaint}"
    assert [each[-1].status for each in events] == ["completed", "failed", "completed"]
    assert [e.cohort for each in events for e in each if isinstance(e, Started)] == [3, 3, 3]
