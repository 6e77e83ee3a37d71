"""What `sweep.dry_run=true` says: how a sweep's cost adds up, and that the forecast is made without running a trial."""

import pytest

from pipeline.sweep.forecast import Cost, mean_epochs, spread
from pipeline.sweep.halving import rungs
from tests.conftest import caviar

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
    (27, {"min_epochs": 3, "factor": 3}, 3 + 6 / 3 + 18 / 9),
    (3, {"min_epochs": 3, "factor": 3}, 3.0),
    (8, {"min_epochs": 1, "factor": 2}, 1 + 1 / 2 + 2 / 4 + 4 / 8),
]


@pytest.mark.parametrize(("epochs", "halving", "expected"), MEAN)
def test_halving_spares_most_epochs(epochs, halving, expected):
    factor = halving["factor"] if halving else 1
    assert mean_epochs(epochs, rungs(halving, epochs), factor) == pytest.approx(expected)


def test_a_cohort_compiles_once():
    assert Cost(trials=10, start=2.0, epoch=0.01, memory=0).seconds(20) == pytest.approx(4.0)


def dry(folder, *arguments):
    result = caviar("-m", "sweep.dry_run=true", "dataset=blobs", *arguments, cwd=folder)
    return result, result.stdout.splitlines()


def test_many_cohorts_are_not_all_listed(tmp_path):
    batches = "train.batch_size=choice(" + ",".join(str(n) for n in range(50, 65)) + ")"
    result, lines = dry(
        tmp_path,
        "sweep=grid",
        "sweep.n_trials=30",
        "sweep.points=2",
        "sweep.max_tier=1",
        batches,
        "executor.fuse=never",
    )
    assert result.returncode == 0, result.stderr
    assert sum("one by one" in line for line in lines) == 12
    assert "  … and 3 more" in lines


def test_it_says_how_many_fit_into_memory(tmp_path):
    result, lines = dry(
        tmp_path, "sweep.n_trials=20", "sweep.max_tier=1", "executor.cohort_size=8", "executor.workers=1"
    )
    assert result.returncode == 0, result.stderr
    assert [line.split(":")[0] for line in lines if "MiB of" in line] == [
        "  7 trials, 0 to 6",
        "  7 trials, 7 to 13",
        "  6 trials, 14 to 19",
    ]


def test_what_keeps_every_trial_from_training_is_found(tmp_path):
    result, lines = dry(tmp_path, "sweep.n_trials=2", "model.activation=rellu")
    assert result.returncode == 1
    assert lines[-1].startswith("no forecast: ")
    assert "rellu" in lines[-1]
    assert not (tmp_path / "outputs").exists()
