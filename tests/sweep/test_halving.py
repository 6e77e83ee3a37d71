"""Successive halving: the rungs, who goes on, and a sweep that stops the worst of its trials."""

import csv
import json

import pytest

from pipeline.objective import Objective
from pipeline.sweep.halving import losers, rungs
from pipeline.sweep.ledger import Trial
from tests.conftest import TINY, caviar


@pytest.mark.parametrize(
    ("min_epochs", "factor", "epochs", "expected"),
    [(3, 3, 27, [3, 9]), (3, 3, 28, [3, 9, 27]), (1, 2, 8, [1, 2, 4]), (5, 3, 5, []), (9, 3, 5, [])],
)
def test_rungs_grow_by_the_factor_up_to_the_last_epoch(min_epochs, factor, epochs, expected):
    assert rungs({"min_epochs": min_epochs, "factor": factor}, epochs) == expected


def test_without_halving_there_is_no_rung():
    assert rungs(None, 27) == []


def trial(number, accuracy, reached=3, status=None):
    metrics = {} if accuracy is None else {"val_accuracy": accuracy, "val_loss": 1 - accuracy}
    return Trial(number, "s", 0, {}, status=status, metrics=metrics, reached=reached)


@pytest.mark.parametrize(
    ("trials", "factor", "expected"),
    [
        ([trial(0, 0.1), trial(1, 0.5), trial(2, 0.3)], 3, [2, 0]),
        ([trial(0, 0.1), trial(1, 0.5), trial(2, 0.3), trial(3, 0.4)], 3, [2, 0]),  # a third of 4 is 2, rounded up
        ([trial(0, 0.5), trial(1, 0.5)], 2, [1]),  # of equals the earlier goes on
        ([trial(0, 0.9, status="completed"), trial(1, 0.5), trial(2, 0.3)], 3, [1, 2]),  # it holds its place
        ([trial(0, 0.1, status="completed"), trial(1, 0.5), trial(2, 0.3)], 3, [2]),  # what has ended can't stop
        ([trial(0, None, status="diverged"), trial(1, 0.5), trial(2, 0.3)], 2, [2]),
        ([trial(0, 0.1, status="pruned"), trial(1, 0.5), trial(2, 0.3)], 2, [2]),
        ([trial(0, 0.1, reached=9), trial(1, 0.5), trial(2, 0.3)], 3, [2]),  # past this rung before a resume
        ([trial(0, 0.2)], 3, []),
    ],
)
def test_the_best_of_all_go_on(trials, factor, expected):
    found = losers(trials, 3, factor, Objective())
    assert [t.number for t, _ in found] == expected
    assert all("pruned after 3 epochs: place" in reason for _, reason in found)


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("halving")
    line = ["-m", "sweep=halving", "sweep.name=h", "sweep.n_trials=9", "sweep.max_tier=1", "tracking=none", *TINY[:3]]
    line += ["sweep.halving.min_epochs=1", "sweep.stages.halving.epochs=5", "train.early_stopping=null"]
    result = caviar(*line, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "outputs/sweeps/h", result, line


def events(folder, number):
    return [json.loads(line) for line in (folder / str(number) / "events.jsonl").read_text().splitlines()]


def test_a_third_goes_on_at_each_rung_without_starting_again(halved):
    folder = halved[0]
    with (folder / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    epochs = {n: [e["epoch"] for e in events(folder, n) if e["event"] == "epoch"] for n in range(9)}
    assert sorted(map(len, epochs.values())) == [1] * 6 + [3] * 2 + [5]
    assert all(seen == list(range(1, len(seen) + 1)) for seen in epochs.values())
    assert [row["status"] for row in rows] == ["completed"] + ["pruned"] * 8
    assert all(float(row["val_accuracy"]) > 0 for row in rows)
    assert (folder / rows[0]["trial"] / "model.h5").exists()


def test_stopped_trials_were_the_worst_and_keep_curve_and_weights(halved):
    folder = halved[0]
    score = {n: Objective().score(next(e for e in events(folder, n) if e["event"] == "epoch")) for n in range(9)}
    stopped = {n for n in range(9) if sum(e["event"] == "epoch" for e in events(folder, n)) == 1}
    assert max(score[n] for n in stopped) <= min(score[n] for n in set(range(9)) - stopped)
    for n in stopped:
        last = events(folder, n)[-1]
        assert (last["event"], last["status"]) == ("ended", "pruned")
        assert (folder / str(n) / "state.h5").exists()


def test_the_same_command_again_runs_nothing(halved):
    folder, _, line = halved
    before = {n: events(folder, n) for n in range(9)}
    result = caviar(*line, cwd=folder.parents[2])
    assert result.returncode == 0, result.stderr
    assert {n: events(folder, n) for n in range(9)} == before
