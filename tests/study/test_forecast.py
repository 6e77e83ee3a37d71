"""What `sweep.dry_run=true` says: how a sweep's cost adds up, and that the forecast is made without running a trial."""

import re
from types import SimpleNamespace

import pytest

from pipeline.records import CohortSummary, Done, Failure, Measurement, Message
from pipeline.schema import Halving
from pipeline.search.halving import rungs
from pipeline.study.forecast import MEASURED, Cost, between, describe, held, spread, work
from pipeline.tracking.pace import PlannedStage
from tests.conftest import here
from tests.study.stubbed import plan_of

# seconds of each job, workers -> seconds until all are done
SPREAD = [
    ([3.0], 1, 3.0),
    ([3.0], 4, 3.0),
    ([3.0, 2.0, 1.0], 1, 6.0),
    ([1.0, 2.0, 3.0], 2, 3.0),
    ([2.0, 2.0, 2.0], 2, 4.0),
    ([1.0, 1.0, 1.0, 9.0], 2, 9.0),
]


@pytest.mark.parametrize(("seconds", "workers", "expected"), SPREAD)
def test_the_longest_goes_first_to_a_free_worker(seconds, workers, expected):
    assert spread(seconds, workers) == expected


# epochs, halving -> epochs of a trial on the average
MEAN = [
    (20, None, 20.0),
    (27, Halving(3, 3), 3 + 6 / 3 + 18 / 9),
    (3, Halving(3, 3), 3.0),
    (8, Halving(1, 2), 1 + 1 / 2 + 2 / 4 + 4 / 8),
]


@pytest.mark.parametrize(("epochs", "halving", "expected"), MEAN)
def test_halving_spares_most_epochs(epochs, halving, expected):
    factor = halving.factor if halving else 1
    assert PlannedStage("s", 1, epochs, rungs(halving, epochs), factor).left() == pytest.approx(expected)


# trains together, epochs, rungs, scale of the number of trials -> seconds of each job; 10 trials
JOBS = [
    (True, 20, 0, 1.0, [2.0 + 10 * 20 * 0.01]),  # compiles once
    (True, 20, 2, 1.0, [3 * 2.0 + 10 * 20 * 0.01]),  # and anew at each rung
    (True, 20, 0, 0.5, [2.0 + 5 * 20 * 0.01]),
    (False, 20, 0, 1.0, [2.0 + 20 * 0.01] * 10),  # each by itself, for any worker
    (False, 20, 0, 0.5, [0.5 * (2.0 + 20 * 0.01)] * 10),
]


@pytest.mark.parametrize(("together", "epochs", "n_rungs", "scale", "seconds"), JOBS)
def test_what_a_cohort_costs(together, epochs, n_rungs, scale, seconds):
    cost = Cost(trials=10, start=2.0, epoch=0.01, memory=0, together=together)
    assert cost.jobs(epochs, n_rungs, scale) == pytest.approx(seconds)


# work of a kind -> seconds of its epoch, where kinds were measured at 1, 4 and 8
BETWEEN = [(1, 10.0), (2, 20.0), (4, 40.0), (6, 42.0), (8, 44.0), (0.5, 10.0), (9, 44.0)]


@pytest.mark.parametrize(("at", "seconds"), BETWEEN)
def test_a_kind_not_measured_lies_between_those_that_were(at, seconds):
    assert between(at, [(8, 44.0), (4, 40.0), (1, 10.0)]) == pytest.approx(seconds)


# batch sizes, width of the layer -> the kind with the most work an epoch, and the one with the most in memory
@pytest.mark.parametrize(
    ("kinds", "most_work", "most_held"),
    [
        ([(4, 8), (256, 8), (512, 8), (1000, 8), (1024, 8)], (4, 8), (1024, 8)),
        ([(32, 8), (32, 16)], (32, 16), (32, 16)),
        ([(64, 8), (32, 64), (256, 16)], (32, 64), (256, 16)),
    ],
)
def test_which_kind_costs_the_most(kinds, most_work, most_held):
    def config(kind):
        model = SimpleNamespace(arguments={"units": kind[1]}, widths=("units",))
        return SimpleNamespace(train=SimpleNamespace(batch_size=kind[0]), model=model)

    assert max(kinds, key=lambda kind: work(config(kind))) == most_work
    assert max(kinds, key=lambda kind: held(config(kind))) == most_held


class Measuring:
    """A worker to which an epoch of a trial takes a second."""

    def run(self, jobs, receive):
        for job in jobs:
            summary = CohortSummary("fused", "alike", job.planned, 2**20, 2**30)
            receive(Message(job.number, Done(Measurement(summary, start=1.0, epoch=1.0))))

    def close(self):
        pass


WHOLE = "anew in the whole space"


@pytest.mark.parametrize(
    ("lines", "said", "unsaid"),
    [
        # of a generation of 16 the stage has two
        (
            ["sweep.sampler._target_=optuna.samplers.NSGAIISampler", "sweep.n_trials=2"],
            [
                "stage random: 2 trials of up to 20 epochs",
                "  2 trials, 0 to 1: fused",
                "40 epochs in all, 1 arm, 1 worker",
            ],
            "at a time",
        ),
        (["sweep=tpe", "sweep.n_trials=20"], ["stage tpe: 20 trials of up to 20 epochs, asked 16 at a time"], WHOLE),
        (
            ["sweep.n_trials=1", "train.epochs=1"],
            ["stage random: 1 trial of up to 1 epoch", "1 epoch in all, 1 arm"],
            "1 epochs",
        ),
        (
            ["sweep.n_trials=2", "train.epochs=1000000"],
            ["2 trials of up to 1,000,000 epochs", "2,000,000 epochs in all"],
            WHOLE,
        ),
        (
            ["sweep=hyperband"],
            ["stage bracket_3: 27 trials of up to 27 epochs\n", f"4 trials of up to 27 epochs, {WHOLE}"],
            f"27 trials of up to 27 epochs, {WHOLE}",
        ),
    ],
)
def test_the_plan_in_words(lines, said, unsaid, capsys):
    batch = ["train.batch_size=32", "model.hidden_units=8", "executor.workers=1"]
    assert describe(plan_of(*batch, *lines), lambda config, n: Measuring()) == 0
    out = capsys.readouterr().out
    assert [text for text in said if text not in out] == []
    assert unsaid not in out


def dry(folder, *arguments):
    result = here("-m", "sweep.dry_run=true", "dataset=blobs", "executor=inline", *arguments, cwd=folder)
    return result, result.stdout.splitlines()[1:]  # without `composing the sweep`


@pytest.mark.slow
def test_many_cohorts_are_not_all_listed(tmp_path):
    batches = "train.batch_size=choice(" + ",".join(str(n) for n in range(200, 50, -10)) + ")"
    result, lines = dry(
        tmp_path,
        "sweep=grid",
        "sweep.n_trials=30",
        "sweep.points=2",
        "sweep.max_tier=1",
        "model=softmax_regression",
        batches,
        "executor.fuse=never",
    )
    assert result.returncode == 0, result.stderr
    assert sum("one by one" in line for line in lines) == MEASURED
    assert "  … and 11 more, 11 kinds of them not tried, only taken to cost as these do" in lines
    assert lines[-1].startswith("forecast: about ")
    assert any(line.startswith("600 epochs in all, 1 arm,") for line in lines)  # of all 30 trials


def test_trials_that_do_not_exist_are_not_counted(tmp_path):
    line = ["model=softmax_regression", "sweep.max_tier=0", "optimizer.learning_rate=choice(0.1,0.2)"]
    result, lines = dry(tmp_path, *line, "sweep.n_trials=500")
    assert result.returncode == 0, result.stderr
    assert lines[:2] == [
        "the space has no more than 2 different trials: each is tried once",
        "stage random: 2 trials of up to 20 epochs",
    ]
    assert "40 epochs in all, 1 arm, 1 worker" in lines


def test_a_small_space_of_the_first_stage_limits_no_other(tmp_path, monkeypatch, capsys):
    class Nobody:
        """No worker can be had: what is measured is no part of this."""

        def run(self, jobs, receive):
            for job in jobs:
                receive(Message(job.number, Done(Failure("nobody is there"))))

        def close(self):
            pass

    line = ["sweep=tiered", "sweep.n_trials=36", "optimizer.learning_rate=choice(0.1,0.01)"]
    assert describe(plan_of(*line), lambda config, n: Nobody()) == 1
    said = capsys.readouterr().out
    assert "the space of stage tier1 has no more than 2 different trials: each is tried once" in said
    assert [int(n) for n in re.findall(r"^stage \w+: (\d+) trials", said, re.MULTILINE)] == [2, 12, 12]


def test_a_searched_key_of_the_data_divides_the_cohorts_and_so_does_their_size(tmp_path):
    line = ["sweep=grid", "sweep.max_tier=1", "sweep.points=10", "dataset.spread=choice(0.1,0.3)"]
    result, lines = dry(tmp_path, *line, "sweep.n_trials=20", "executor.cohort_size=8", "executor.workers=1")
    assert result.returncode == 0, result.stderr
    # Ten trials of each data set in two halves; of one data set it would be 7, 7 and 6.
    assert [line.split(",")[0] for line in lines if "MiB of" in line] == ["  5 trials"] * 4


def test_what_keeps_every_trial_from_training_is_said_as_ever(tmp_path):
    result, _ = dry(tmp_path, "sweep.n_trials=2", "model.activation=rellu")
    assert result.returncode == 2
    assert result.stderr.startswith("model.activation=rellu is not known.")
    assert "Did you mean 'relu'?" in result.stderr
    assert not (tmp_path / "outputs").exists()
