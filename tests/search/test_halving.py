"""Successive halving: the rungs, who goes on, and a sweep that stops the worst of its trials."""

import collections
import csv
import json
import os
import shutil
import signal
import subprocess
from dataclasses import replace

import pytest
from mlflow.tracking import MlflowClient

from pipeline.jsonl import read
from pipeline.objective import Objective
from pipeline.records import Trial
from pipeline.schema import Halving
from pipeline.search.halving import pruned, rungs
from tests.conftest import PATIENCE, TINY, command, here, interrupting, wait_for


@pytest.mark.parametrize(
    ("min_epochs", "factor", "epochs", "expected"),
    [(3, 3, 27, [3, 9]), (3, 3, 28, [3, 9, 27]), (1, 2, 8, [1, 2, 4]), (5, 3, 5, []), (9, 3, 5, [])],
)
def test_rungs_grow_by_the_factor_up_to_the_last_epoch(min_epochs, factor, epochs, expected):
    assert rungs(Halving(min_epochs, factor), epochs) == expected


@pytest.mark.parametrize("halving", [None, Halving(None, 3)])
def test_without_min_epochs_there_is_no_rung(halving):
    assert rungs(halving, 100) == []


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
        # What was pruned here before a resume, or at a later rung, holds its place: nobody else must stop for it;
        ([trial(0, 0.1, status="pruned"), trial(1, 0.5), trial(2, 0.3)], 2, []),
        ([trial(0, 0.6, 9, "pruned"), trial(1, 0.5), trial(2, 0.3), trial(3, 0.1, status="pruned")], 2, [2]),
        # what was pruned at an earlier rung has none at this one.
        ([trial(0, 0.1, 1, "pruned"), trial(1, 0.5), trial(2, 0.3)], 2, [2]),
        ([trial(0, 0.1, reached=9), trial(1, 0.5), trial(2, 0.3)], 3, [2]),  # past this rung before a resume
        ([trial(0, 0.2)], 3, []),
    ],
)
def test_the_best_of_all_go_on(trials, factor, expected):
    found = pruned(trials, 3, factor, Objective())
    assert [t.number for t, _ in found] == expected
    assert all("pruned after 3 epochs: place" in reason for _, reason in found)


@pytest.mark.parametrize(
    ("written", "later"),
    [
        (0, [None] * 3),
        (1, [None] * 3),  # a crash: the ends of the other five are not in the ledger
        (5, [None] * 3),
        (6, [None] * 3),
        (6, [None, None, "completed"]),
        (6, [None, "pruned", "pruned"]),
        (6, ["diverged", None, "completed"]),
        (6, ["diverged", "failed", None]),
    ],
)
@pytest.mark.parametrize("accuracies", [[0.1 * n for n in range(9)], [0.5] * 9], ids=["different", "equal"])
def test_a_rung_asked_again_after_a_resume_stops_who_was_to_stop(accuracies, written, later):
    trials = [trial(n, accuracy) for n, accuracy in enumerate(accuracies)]
    first = [t for t, _ in pruned(trials, 3, 3, Objective())]
    assert len(first) == 6
    now = {t.number: t for t in trials}
    for t in first[:written]:
        now[t.number] = replace(t, status="pruned")
    for t, status in zip([t for t in trials if t not in first], later, strict=True):  # those that went on
        now[t.number] = replace(t, status=status, reached=9 if status else 3)
    again = pruned(list(now.values()), 3, 3, Objective())
    assert [t.number for t, _ in again] == [t.number for t in first[written:]]


QUICK = ("executor.workers=1", "executor.fuse=always", "executor.xla=never", "sweep.keep_models=1")  # nothing is probed
INLINE = "executor=inline"


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("halving")
    line = ["-m", "sweep=halving", "sweep.name=h", "sweep.n_trials=9", "sweep.max_tier=1", *TINY[:-1]]
    line += ["sweep.halving.min_epochs=1", "sweep.stages.halving.epochs=5", "train.early_stopping=null", *QUICK]
    result = here(*line, INLINE, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "outputs/sweeps/h", result, line


def events(folder, number):
    return [json.loads(line) for line in (folder / str(number) / "events.jsonl").read_text().splitlines()]


@pytest.mark.slow
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


@pytest.mark.slow
def test_stopped_trials_were_the_worst_and_keep_curve_and_weights(halved):
    folder = halved[0]
    score = {n: Objective().score(next(e for e in events(folder, n) if e["event"] == "epoch")) for n in range(9)}
    stopped = {n for n in range(9) if sum(e["event"] == "epoch" for e in events(folder, n)) == 1}
    assert max(score[n] for n in stopped) <= min(score[n] for n in set(range(9)) - stopped)
    for n in stopped:
        last = events(folder, n)[-1]
        assert (last["event"], last["status"]) == ("ended", "pruned")
        assert (folder / str(n) / "state.h5").exists()


@pytest.mark.slow
def test_the_same_command_again_runs_nothing(halved):
    folder, _, line = halved
    before = {n: events(folder, n) for n in range(9)}
    result = here(*line, INLINE, cwd=folder.parents[2])
    assert result.returncode == 0, result.stderr
    assert {n: events(folder, n) for n in range(9)} == before


def runs(folder):
    """Every trial's run in MLflow: its number, status and the steps of its losses."""
    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("caviar").experiment_id], "tags.kind = 'trial'")
    return sorted(
        (int(r.data.tags["trial"]), r.info.status, [m.step for m in client.get_metric_history(r.info.run_id, "loss")])
        for r in found
    )


@pytest.mark.slow
def test_mlflow_has_one_run_a_trial_with_every_epoch_once(halved):
    folder = halved[0]
    epochs = {n: [e["epoch"] for e in events(folder, n) if e["event"] == "epoch"] for n in range(9)}
    assert runs(folder.parents[2]) == [(n, "FINISHED", epochs[n]) for n in range(9)]


def ends(folder):
    """How many trials stopped at which rung, and how many not."""
    ended = [r for r in read(folder / "ledger") if r["record"] == "ended"]
    return collections.Counter((r["status"], (r["reason"] or "").partition(":")[0]) for r in ended)


@pytest.mark.slow
def test_a_crash_between_two_ends_at_a_rung_loses_neither_a_trial_nor_its_run(halved, tmp_path):
    undisturbed, _, line = halved
    before = undisturbed.parents[2]
    shutil.copytree(before, tmp_path, dirs_exist_ok=True)
    ledger = tmp_path / "outputs/sweeps/h/ledger"
    lines = ledger.read_text().splitlines(keepends=True)
    first = next(i for i, text in enumerate(lines) if "pruned after 3 epochs" in text)
    # The sweep's own run is in the ledger before any trial's is in MLflow, though perhaps not before this line.
    parent = [text for text in lines[first + 1 :] if '"tracking"' in text]
    ledger.write_text("".join(lines[: first + 1] + parent))
    result = here(*line, INLINE, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ends(ledger.parent) == ends(undisturbed)
    assert runs(tmp_path) == runs(before)


@pytest.mark.slow
def test_a_sweep_stopped_between_rungs_and_resumed_stops_as_many_as_an_undisturbed_one(halved, tmp_path):
    undisturbed, _, line = halved
    folder = tmp_path / "outputs/sweeps/h"
    with interrupting(lambda: ends(folder)["pruned", "pruned after 1 epoch"] > 0):
        stopped = here(*line, INLINE, cwd=tmp_path)
    assert stopped.returncode == 130, stopped.stdout + stopped.stderr
    assert sorted(status for _, status, _ in runs(tmp_path)) == ["FINISHED"] * 6 + ["KILLED"] * 3
    process = subprocess.Popen(
        command(*line), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: ends(folder)["pruned", "pruned after 3 epochs"] > 0, process)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(PATIENCE) == -signal.SIGKILL
    result = here(*line, INLINE, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ends(folder) == ends(undisturbed)
    stored = [(status, len(steps)) for _, status, steps in runs(tmp_path)]
    assert sorted(stored) == [("FINISHED", n) for n in [1] * 6 + [3] * 2 + [5]]


STAGES = ("coarse", "medium", "fine")


@pytest.mark.slow
def test_coarse_to_fine_halves_each_stage_and_refines_around_those_that_went_on(tmp_path):
    line = "-m sweep=coarse_to_fine sweep.name=s sweep.n_trials=12 sweep.max_tier=1 tracking=none"
    halving = [
        "sweep.halving.min_epochs=1",
        "sweep.halving.factor=2",
        "train.early_stopping=null",
        "sweep.stop_seeds=null",
    ]
    epochs = [f"sweep.stages.{stage}.epochs={n}" for stage, n in zip(STAGES, (3, 4, 5), strict=True)]
    result = here(*line.split(), *TINY[:-1], *halving, *epochs, *QUICK, INLINE, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    folder = tmp_path / "outputs/sweeps/s"
    rows = list(csv.DictReader((folder / "leaderboard.csv").open()))
    completed = {stage: sum(r["stage"] == stage and r["status"] == "completed" for r in rows) for stage in STAGES}
    # Of 4 trials a stage: halved at 1 and 2 epochs of 3 and of 4, and then at 4 of 5.
    assert completed == {"coarse": 1, "medium": 1, "fine": 1}
    assert sum(r["status"] == "pruned" for r in rows) == 9
    records = [json.loads(record) for record in (folder / "ledger").read_text().splitlines()]
    asked = {r["trial"]: r for r in records if r["record"] == "asked"}
    assert [r["stage"] for r in asked.values()] == ["coarse"] * 4 + ["medium"] * 4 + ["fine"] * 4
    trained = {n: sum(e["event"] == "epoch" for e in events(folder, n)) for n in range(12)}
    assert [sorted(trained[n] for n in range(i, i + 4)) for i in (0, 4, 8)] == [
        [1, 1, 2, 3],
        [1, 1, 2, 4],
        [1, 1, 2, 5],
    ]
    regions = {r["stage"]: r["arms"][0]["optimizer.learning_rate"] for r in records if r["record"] == "region"}
    assert list(regions) == ["coarse", "medium"]
    rate = {n: r["params"]["optimizer.learning_rate"] for n, r in asked.items()}
    for first, text in zip((0, 4), regions.values(), strict=True):
        low, high = (float(n) for n in text.removeprefix("tag(log, interval(").rstrip(")").split(", "))
        survivor = max(range(first, first + 4), key=trained.__getitem__)
        assert all(low * 0.999 <= rate[n] <= high * 1.001 for n in (survivor, *range(first + 4, first + 8)))


def test_halving_is_off_unless_min_epochs_says_when(tmp_path):
    line = "-m sweep=coarse_to_fine sweep.dry_run=true dataset=blobs sweep.n_trials=3 sweep.max_tier=1"
    result = here(*line.split(), *QUICK, INLINE, "sweep.halving.min_epochs=null", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "go on" not in result.stdout
