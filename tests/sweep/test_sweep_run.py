"""`python run.py -m`: what a sweep leaves behind, for each strategy, and its resumption."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import yaml
from mlflow.tracking import MlflowClient

from pipeline.jsonl import read
from pipeline.sweep.space import Interval
from pipeline.sweep.stages import draw
from tests.conftest import ROOT, TINY, caviar, command

NO_TRACKING = (*TINY, "tracking=none")


def ledger(folder):
    return [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]


def rows(folder):
    with (folder / "leaderboard.csv").open() as file:
        return list(csv.DictReader(file))


def sweep(tmp_path, *arguments, status=0):
    result = caviar("-m", "sweep.name=s", *arguments, cwd=tmp_path)
    assert result.returncode == status, result.stdout + result.stderr
    return result, tmp_path / "outputs/sweeps/s"


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """Two optimizers on the same five points, one of them with a rate that must diverge or fail."""
    folder = tmp_path_factory.mktemp("arms")
    line = ["optimizer=adam,sgd", "sweep.max_tier=1", "sweep.n_trials=10", "model.norm_placement=none"]
    return folder, *sweep(folder, *TINY, *line)


def test_arms_are_tried_on_the_same_draws(arms):
    asked = [r for r in ledger(arms[2]) if r["record"] == "asked"]
    assert [r["trial"] for r in asked] == list(range(10))
    assert [r["params"]["optimizer"] for r in asked] == ["adam", "sgd"] * 5
    for adam, sgd in zip(asked[::2], asked[1::2], strict=True):
        # the same u: conf has 1e-4..1e-1 for adam and 1e-3..1 for sgd, so sgd's draw is ten times adam's
        ratio = sgd["params"]["optimizer.learning_rate"] / adam["params"]["optimizer.learning_rate"]
        assert ratio == pytest.approx(10, rel=1e-4)


def test_the_leaderboard_has_a_row_a_trial_best_first(arms):
    table = rows(arms[2])
    assert list(table[0]) == ["trial", "status", "stage", "val_accuracy", "optimizer", "optimizer.learning_rate"]
    assert sorted(int(row["trial"]) for row in table) == list(range(10))
    scores = [float(row["val_accuracy"]) for row in table]
    assert scores == sorted(scores, reverse=True)


def test_best_yaml_names_the_winner_and_its_test_result(arms):
    best = yaml.safe_load((arms[2] / "best.yaml").read_text())
    assert best["trial"] == int(rows(arms[2])[0]["trial"])
    assert 0 <= best["metrics"]["test_accuracy"] <= 1
    assert (arms[2] / best["model"]).exists()
    assert best["command"] in arms[1].stdout


def test_the_printed_command_trains_the_winner_again(arms):
    best = yaml.safe_load((arms[2] / "best.yaml").read_text())
    words = shlex.split(best["command"])
    assert words[:2] == ["python", "run.py"]
    result = caviar(*words[2:], "tracking=none", cwd=arms[0])
    assert result.returncode == 0, result.stderr
    run = next((arms[0] / "outputs/runs").iterdir())

    def losses(folder):
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        return [(e["loss"], e["val_loss"]) for e in events if e["event"] == "epoch"]

    alone, within = losses(run), losses(arms[2] / str(best["trial"]))
    assert len(alone) == 2
    for a, b in zip(alone, within, strict=True):
        assert a == pytest.approx(b, rel=1e-4)


def test_mlflow_nests_children_that_compare(arms):
    client = MlflowClient(f"sqlite:///{arms[0]}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    (parent,) = [r for r in runs if r.data.tags["kind"] == "sweep"]
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 10
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_val_accuracy"] == max(c.data.metrics["best_val_accuracy"] for c in children)
    assert "test_accuracy" in parent.data.metrics
    for child in children:
        assert float(child.data.params["optimizer.learning_rate"]) > 0
        assert {"trial", "stage", "arm", "status"} <= set(child.data.tags)
        assert len(client.get_metric_history(child.info.run_id, "val_loss")) == 2
    assert "http://127.0.0.1:5000/#/experiments/" in arms[1].stdout


def test_the_same_command_again_runs_nothing_and_shows_the_same(arms):
    before = ledger(arms[2])
    line = ["optimizer=adam,sgd", "sweep.max_tier=1", "sweep.n_trials=10", "model.norm_placement=none"]
    result, folder = sweep(arms[0], *TINY, *line)
    assert "10 already ended" in result.stdout
    facts = ("asked", "started", "ended", "recorded", "study")
    assert [r for r in ledger(folder) if r["record"] in facts] == [r for r in before if r["record"] in facts]
    client = MlflowClient(f"sqlite:///{arms[0]}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    assert len(runs) == 11


def test_coarse_to_fine_narrows_the_region(tmp_path):
    result, folder = sweep(
        tmp_path, *NO_TRACKING[:3], "tracking=none", "sweep=coarse_to_fine", "sweep.n_trials=9", "sweep.max_tier=1",
        "sweep.stages.coarse.epochs=1", "sweep.stages.medium.epochs=2", "sweep.stages.fine.epochs=3",
    )  # fmt: skip
    asked = [r for r in ledger(folder) if r["record"] == "asked"]
    assert [r["stage"] for r in asked] == ["coarse"] * 3 + ["medium"] * 3 + ["fine"] * 3
    assert [r["trial"] for r in asked] == list(range(9))
    regions = {r["stage"]: r["arms"][0]["optimizer.learning_rate"] for r in ledger(folder) if r["record"] == "region"}
    assert set(regions) == {"coarse", "medium"}
    for text in regions.values():
        assert text in result.stdout
    bounds = [float(n) for n in regions["coarse"].removeprefix("tag(log, interval(").rstrip(")").split(", ")]
    assert all(bounds[0] * 0.999 <= r["params"]["optimizer.learning_rate"] <= bounds[1] * 1.001 for r in asked[3:6])
    assert bounds[1] / bounds[0] < 999  # narrower than 1e-4..1e-1
    epochs = [len((folder / str(n) / "events.jsonl").read_text().splitlines()) - 2 for n in (0, 3, 6)]
    assert epochs == [1, 2, 3]


def test_a_control_searches_the_whole_space_by_each_seed_and_is_resumed(tmp_path):
    line = [
        *NO_TRACKING[:3], "tracking=none", "sweep=coarse_to_fine", "sweep.max_tier=1", "seed=0,1", "sweep.n_trials=12",
        "sweep.stages.coarse.epochs=1", "sweep.stages.medium.epochs=1", "sweep.stages.fine.epochs=1",
        "sweep.stages.fine.refine=false",
    ]  # fmt: skip
    _, folder = sweep(tmp_path, *line)
    whole = (folder / "ledger").read_bytes().splitlines(keepends=True)
    asked = [r for r in ledger(folder) if r["record"] == "asked"]
    assert [r["params"]["seed"] for r in asked] == [0, 1] * 6
    region = {r["stage"]: r["arms"] for r in ledger(folder) if r["record"] == "region"}
    assert set(region) == {"coarse"}  # nothing follows from the results of the medium stage
    rates = {(r["stage"], r["params"]["seed"]): r["params"]["optimizer.learning_rate"] for r in asked}
    assert rates["coarse", 0] != rates["coarse", 1]
    space = Interval(1e-4, 1e-1, "log")
    for r in asked[8:]:
        seed, point = r["params"]["seed"], (r["trial"] - 8) // 2
        assert r["params"]["optimizer.learning_rate"] == space.at(draw(seed, 2, point, 0, "optimizer.learning_rate"))
    begins = next(i for i, record in enumerate(whole) if b'"fine"' in record and b'"asked"' in record)
    (folder / "ledger").write_bytes(b"".join(whole[:begins]))
    sweep(tmp_path, *line)
    assert [r for r in ledger(folder) if r["record"] == "asked"] == asked


def test_grid_tries_every_combination_once(tmp_path):
    _, folder = sweep(
        tmp_path, *NO_TRACKING, "sweep=grid", "sweep.max_tier=0", "model.activation=choice(relu,tanh)",
        "optimizer.learning_rate=tag(log,interval(1e-3,1e-1))", "sweep.points=3",
    )  # fmt: skip
    table = rows(folder)
    tried = {(row["model.activation"], float(row["optimizer.learning_rate"])) for row in table}
    assert tried == {(a, r) for a in ("relu", "tanh") for r in (0.001, 0.01, 0.1)}
    assert len(table) == 6


def test_a_diverged_or_failed_trial_costs_itself_only(tmp_path):
    result, folder = sweep(
        tmp_path, *NO_TRACKING, "sweep.max_tier=0", "optimizer=sgd", "model.norm_placement=none",
        "optimizer.learning_rate=0.1,1e20", "model.activation=relu,rleu", "sweep.n_trials=4",
    )  # fmt: skip
    status = {(row["optimizer.learning_rate"], row["model.activation"]): row["status"] for row in rows(folder)}
    assert status == {
        ("0.1", "relu"): "completed",
        ("1e+20", "relu"): "diverged",
        ("0.1", "rleu"): "failed",
        ("1e+20", "rleu"): "failed",
    }
    assert "loss is" in result.stdout
    assert "Did you mean 'relu'?" in result.stdout
    assert "3 of 4 trials failed or diverged" in result.stdout
    assert rows(folder)[0]["status"] == "completed"
    assert [row["val_accuracy"] for row in rows(folder)[1:]] == ["", "", ""]


def test_a_sweep_without_a_completed_trial_fails(tmp_path):
    result, _ = sweep(tmp_path, *NO_TRACKING, "sweep.max_tier=0", "model.activation=rleu", "sweep.n_trials=1", status=1)
    assert "Did you mean 'relu'?" in result.stdout


def model_line(output):
    (line,) = [line for line in output.splitlines() if line.startswith("model:")]
    return line.removeprefix("model:").strip()


def test_after_ctrl_c_the_model_is_not_named_but_how_to_write_it(tmp_path):
    line = ["-m", "sweep.name=s", *NO_TRACKING, "sweep.n_trials=100", "executor.fuse=never", "executor.workers=1"]
    folder = tmp_path / "outputs/sweeps/s"
    process = subprocess.Popen(command(*line), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not any(record["record"] == "ended" for record in read(folder / "ledger")):
        assert process.poll() is None, "it ended before it was to be stopped"
        assert time.monotonic() < deadline, "no trial ended"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    best = yaml.safe_load((folder / "best.yaml").read_text())
    model = folder / str(best["trial"]) / "model.h5"
    assert not model.exists()
    assert "model" not in best
    words = shlex.split(model_line(output))
    assert words == ["python", "-m", "pipeline", "export", f"outputs/sweeps/s/{best['trial']}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert model.exists()


def test_a_model_that_could_not_be_written_is_not_named(tmp_path):
    line = [*NO_TRACKING, "sweep.n_trials=1", "sweep.max_tier=1"]
    before, folder = sweep(tmp_path, *line)
    assert model_line(before.stdout) == "outputs/sweeps/s/0/model.h5"
    assert yaml.safe_load((folder / "best.yaml").read_text())["model"] == "0/model.h5"
    (folder / "0/model.h5").unlink()
    (folder / "0/state.h5").write_bytes(b"damaged")
    after, _ = sweep(tmp_path, *line)
    assert "model.h5 was not written: " in after.stdout
    assert model_line(after.stdout) == "python -m pipeline export outputs/sweeps/s/0"
    assert "model" not in yaml.safe_load((folder / "best.yaml").read_text())


def test_more_trials_go_on_with_the_numbering(tmp_path):
    sweep(tmp_path, *NO_TRACKING, "sweep.n_trials=2", "executor.workers=1")
    first = [r["params"] for r in ledger(tmp_path / "outputs/sweeps/s") if r["record"] == "asked"]
    result, folder = sweep(tmp_path, *NO_TRACKING, "sweep.n_trials=4", "executor.workers=2")
    asked = [r for r in ledger(folder) if r["record"] == "asked"]
    assert [r["trial"] for r in asked] == [0, 1, 2, 3]
    assert [r["params"] for r in asked[:2]] == first
    assert "2 already ended" in result.stdout
    # the total is met: asking for less runs nothing, and loses nothing
    sweep(tmp_path, *NO_TRACKING, "sweep.n_trials=3")
    assert len(rows(folder)) == 4
    # whatever the number of workers, the same seed asks the same trials
    other = tmp_path / "other"
    other.mkdir()
    sweep(other, *NO_TRACKING, "sweep.n_trials=4", "executor.workers=1")
    assert [r for r in ledger(other / "outputs/sweeps/s") if r["record"] == "asked"] == asked


CHANGES = [
    ("optimizer.learning_rate=tag(log,interval(1e-3,1))", "optimizer/learning_rate"),
    ("seed=1", "seed: was 0, is 1"),
    ("train.epochs=3", "train.epochs: was 2, is 3"),
    ("dataset.spread=0.3", "data: was"),
    ("model.activation=tanh", "model.activation: was relu, is tanh"),
    ("sweep.metric=val_loss sweep.direction=minimize", "strategy.metric: was val_accuracy, is val_loss"),
]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    return folder, sweep(folder, *NO_TRACKING, "sweep.n_trials=1", "sweep.max_tier=1")[1]


@pytest.mark.parametrize(("change", "difference"), CHANGES, ids=[c for c, _ in CHANGES])
def test_resuming_something_else_is_refused_with_the_difference(begun, change, difference):
    before = (begun[1] / "ledger").read_bytes()
    result, folder = sweep(begun[0], *NO_TRACKING, "sweep.n_trials=1", "sweep.max_tier=1", *change.split(), status=2)
    assert difference in result.stderr
    assert len(result.stderr.strip().splitlines()) == 2
    assert (folder / "ledger").read_bytes() == before
