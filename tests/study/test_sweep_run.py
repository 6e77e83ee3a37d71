"""`python run.py -m`: what a sweep leaves behind, for each strategy, and its resumption."""

import csv
import json
import shlex
import shutil

import pytest
import yaml
from mlflow.tracking import MlflowClient

from pipeline.__main__ import main
from pipeline.jsonl import read
from pipeline.search.samplers.random import draw
from pipeline.search.scales import LOG
from pipeline.search.space import Interval
from pipeline.study.reporting import write as report
from tests.conftest import TINY, here, interrupting

# Nothing is recorded, probed, compiled by XLA, or begun in a second worker: for tests of what a sweep asks and writes.
QUICK = ("tracking=none", "executor.workers=1", "executor.fuse=always", "executor.xla=never")
PLAIN = (*TINY, *QUICK)
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


def ledger(folder):
    """What it says of the sweep, but not how long that took."""
    facts = [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]
    return [fact for fact in facts if fact["record"] != "spent"]


def asked(folder):
    return [record for record in ledger(folder) if record["record"] == "asked"]


def curve(folder):
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [[event[name] for name in METRICS] for event in events if event["event"] == "epoch"]


def rows(folder):
    with (folder / "leaderboard.csv").open() as file:
        return list(csv.DictReader(file))


def sweep(tmp_path, *arguments, status=0, executor="inline"):
    result = here("-m", "sweep.name=s", "sweep.keep_models=1", f"executor={executor}", *arguments, cwd=tmp_path)
    assert result.returncode == status, result.stdout + result.stderr
    return result, tmp_path / "outputs/sweeps/s"


ARMS = (*TINY, "optimizer=adam,sgd", "sweep.max_tier=1", "sweep.n_trials=10", "model.norm_placement=none",
    "executor.workers=1", "executor.fuse=always", "executor.xla=always")  # fmt: skip


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """Two optimizers on the same five points."""
    folder = tmp_path_factory.mktemp("arms")
    return folder, *sweep(folder, *ARMS)


@pytest.mark.slow
def test_arms_are_tried_on_the_same_draws(arms):
    trials = asked(arms[2])
    assert [r["trial"] for r in trials] == list(range(10))
    assert [r["params"]["optimizer"] for r in trials] == ["adam", "sgd"] * 5
    for adam, sgd in zip(trials[::2], trials[1::2], strict=True):
        # the same u: conf has 1e-4..1e-1 for adam and 1e-3..1 for sgd, so sgd's draw is ten times adam's
        ratio = sgd["params"]["optimizer.learning_rate"] / adam["params"]["optimizer.learning_rate"]
        assert ratio == pytest.approx(10, rel=1e-4)


@pytest.mark.slow
def test_the_leaderboard_has_a_row_a_trial_best_first(arms):
    table = rows(arms[2])
    first = ["trial", "status", "stage", "val_accuracy", "optimizer", "optimizer.learning_rate"]
    assert list(table[0]) == [*first, "val_loss", "epochs", "seconds"]
    losses = [line["val_loss"] for line in map(json.loads, (arms[2] / "0/events.jsonl").open()) if "val_loss" in line]
    assert float(next(row for row in table if row["trial"] == "0")["val_loss"]) in losses
    assert {row["epochs"] for row in table} == {"2"}
    assert all(float(row["seconds"]) > 0 for row in table)
    assert sorted(int(row["trial"]) for row in table) == list(range(10))
    scores = [float(row["val_accuracy"]) for row in table]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
def test_what_a_guess_would_score_is_said_beside_the_best(arms):
    assert "(the majority class alone: 0.3333)\n" in arms[1].stdout


@pytest.mark.slow
def test_best_yaml_names_the_winner_and_its_test_result(arms):
    best = yaml.safe_load((arms[2] / "best.yaml").read_text())
    assert best["trial"] == int(rows(arms[2])[0]["trial"])
    assert 0 <= best["metrics"]["test_accuracy"] <= 1
    assert (arms[2] / best["model"]).exists()
    assert best["command"] in arms[1].stdout


@pytest.mark.slow
def test_the_report_says_what_the_leaderboard_and_best_yaml_say(arms):
    best = yaml.safe_load((arms[2] / "best.yaml").read_text())
    page = (arms[2] / "report.html").read_text()
    (record,) = json.loads(page.split('id="data">')[1].split("</script>")[0])["sweeps"]
    trials, winner = record["trials"], record["winner"]
    shown = {name: list(map(str, column)) for name, column in zip(record["metrics"], trials["metrics"])}
    shown["trial"] = list(map(str, trials["number"]))
    for name in ("trial", "val_accuracy", "val_loss"):
        assert [row[name] for row in rows(arms[2])] == shown[name]
    assert (winner["command"], winner["nearly"]) == (best["command"], best["overrides"])
    assert {f"test_{k}": v for k, v in winner["test"]["metrics"].items()}.items() <= best["metrics"].items()
    assert record["data"]["data"] in arms[1].stdout
    assert record["versions"].keys() >= {"tensorflow", "keras"}
    client = MlflowClient(f"sqlite:///{arms[0]}/outputs/mlflow.db")
    (parent,) = client.search_runs(["1"], "tags.kind = 'sweep'")
    assert "report.html" in [artifact.path for artifact in client.list_artifacts(parent.info.run_id)]


@pytest.mark.slow
def test_the_printed_command_trains_the_winner_again(arms):
    best = yaml.safe_load((arms[2] / "best.yaml").read_text())
    words = shlex.split(best["command"])
    assert words[:2] == ["python", "run.py"]
    result = here(*words[2:], "tracking=none", "executor=inline", cwd=arms[0])
    assert result.returncode == 0, result.stderr
    run = next((arms[0] / "outputs/runs").iterdir())
    alone, within = curve(run), curve(arms[2] / str(best["trial"]))
    assert len(alone) == 2
    for a, b in zip(alone, within, strict=True):  # which was in a computation with four others
        assert a == pytest.approx(b, rel=0, abs=1e-5)


@pytest.mark.slow
def test_mlflow_nests_children_that_compare(arms):
    client = MlflowClient(f"sqlite:///{arms[0]}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    (parent,) = [r for r in runs if r.data.tags["kind"] == "sweep"]
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 10
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_val_accuracy"] == max(c.data.metrics["best_val_accuracy"] for c in children)
    assert "test_accuracy" in parent.data.metrics
    assert parent.data.tags["optimizer"] in ("adam", "sgd")  # the winner's, by the files that were chosen
    for child in children:
        assert float(child.data.params["optimizer.learning_rate"]) > 0
        assert {"trial", "stage", "arm", "status"} <= set(child.data.tags)
        assert len(client.get_metric_history(child.info.run_id, "val_loss")) == 2
    assert "http://127.0.0.1:5000/#/experiments/" in arms[1].stdout


@pytest.mark.slow
def test_the_same_command_again_runs_nothing_and_shows_the_same(arms):
    before = ledger(arms[2])
    result, folder = sweep(arms[0], *ARMS)
    assert "10 already ended" in result.stdout
    facts = ("asked", "started", "ended", "recorded", "study")
    assert [r for r in ledger(folder) if r["record"] in facts] == [r for r in before if r["record"] in facts]
    client = MlflowClient(f"sqlite:///{arms[0]}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    assert len(runs) == 11
    (parent,) = [r for r in runs if r.data.tags["kind"] == "sweep"]
    assert {len(client.get_metric_history(parent.info.run_id, name)) for name in parent.data.metrics} == {1}
    assert {line for line in result.stdout.splitlines() if line.startswith("test: ")} <= set(
        arms[1].stdout.splitlines()
    )


@pytest.mark.slow
def test_coarse_to_fine_narrows_the_region_and_a_control_searches_the_whole_space_by_each_seed(tmp_path):
    line = [
        *TINY[:-1], *QUICK, "sweep=coarse_to_fine", "sweep.max_tier=1", "seed=0,1", "sweep.n_trials=12",
        "sweep.halving=null", "sweep.stop_seeds=null",
        "sweep.stages.coarse.epochs=1", "sweep.stages.medium.epochs=2", "sweep.stages.fine.epochs=3",
        "sweep.stages.fine.refine=false",
    ]  # fmt: skip
    result, folder = sweep(tmp_path, *line)
    whole = (folder / "ledger").read_bytes().splitlines(keepends=True)
    trials = asked(folder)
    assert [r["stage"] for r in trials] == ["coarse"] * 4 + ["medium"] * 4 + ["fine"] * 4
    assert [r["trial"] for r in trials] == list(range(12))
    assert [r["params"]["seed"] for r in trials] == [0, 1] * 6
    assert [len(curve(folder / str(n))) for n in range(12)] == [1] * 4 + [2] * 4 + [3] * 4
    region = {r["stage"]: r["arms"] for r in ledger(folder) if r["record"] == "region"}
    assert set(region) == {"coarse"}  # nothing follows from the results of the medium stage
    for seed in (0, 1):
        text = region["coarse"][seed]["optimizer.learning_rate"]
        assert text in result.stdout
        low, high = (float(n) for n in text.removeprefix("tag(log, interval(").rstrip(")").split(", "))
        medium = [r["params"]["optimizer.learning_rate"] for r in trials[4 + seed : 8 : 2]]
        assert len(medium) == 2
        assert all(low * 0.999 <= rate <= high * 1.001 for rate in medium)
        assert high / low < 999  # narrower than 1e-4..1e-1
    rates = {(r["stage"], r["params"]["seed"]): r["params"]["optimizer.learning_rate"] for r in trials}
    assert rates["coarse", 0] != rates["coarse", 1]
    space = Interval(1e-4, 1e-1, LOG)
    for r in trials[8:]:
        seed, point = r["params"]["seed"], (r["trial"] - 8) // 2
        assert r["params"]["optimizer.learning_rate"] == space.at(draw(seed, 2, point, 0, "optimizer.learning_rate"))
    begins = next(i for i, record in enumerate(whole) if b'"fine"' in record and b'"asked"' in record)
    (folder / "ledger").write_bytes(b"".join(whole[:begins]))
    sweep(tmp_path, *line)
    assert asked(folder) == trials


def test_grid_tries_every_combination_once_and_a_diverged_or_failed_trial_costs_itself_only(tmp_path):
    result, folder = sweep(
        tmp_path, *PLAIN, "sweep=grid", "sweep.max_tier=0", "optimizer=sgd", "model.norm_placement=none",
        "model.activation=choice(relu,rleu)", "optimizer.learning_rate=tag(log,interval(1e-2,1e20))", "sweep.points=3",
    )  # fmt: skip
    table = rows(folder)
    assert len(table) == 6
    status = {(row["model.activation"], float(row["optimizer.learning_rate"])): row["status"] for row in table}
    assert status == {
        ("relu", 1e-2): "completed",
        ("relu", 1e9): "diverged",
        ("relu", 1e20): "diverged",
        ("rleu", 1e-2): "failed",
        ("rleu", 1e9): "failed",
        ("rleu", 1e20): "failed",
    }
    assert "loss is" in result.stdout
    assert "Did you mean 'relu'?" in result.stdout
    assert "5 of 6 trials failed or diverged" in result.stdout
    assert table[0]["status"] == "completed"
    assert [row["val_accuracy"] for row in table[1:]] == [""] * 5


def test_a_sweep_without_a_completed_trial_fails(tmp_path):
    result, _ = sweep(tmp_path, *PLAIN, "sweep.max_tier=0", "model.activation=rleu", "sweep.n_trials=1", status=1)
    assert "Did you mean 'relu'?" in result.stdout


def model_line(output):
    (line,) = [line for line in output.splitlines() if line.startswith("model:")]
    return line.removeprefix("model:").strip()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A sweep that Ctrl-C ended after its first trial: where it was started, its folder and its output."""
    base = tmp_path_factory.mktemp("stopped")
    line = [*PLAIN, "sweep.n_trials=100", "sweep.max_tier=1", "executor.fuse=never"]
    path = base / "outputs/sweeps/s/ledger"
    with interrupting(lambda: any(record["record"] == "ended" for record in read(path))):
        result, folder = sweep(base, *line, status=130)
    return base, folder, result.stdout


@pytest.mark.slow
def test_after_ctrl_c_the_model_is_not_named_but_how_to_write_it(stopped, monkeypatch):
    base, folder, output = stopped
    best = yaml.safe_load((folder / "best.yaml").read_text())
    model = folder / str(best["trial"]) / "model.h5"
    assert not model.exists()
    assert "model" not in best
    assert f"report:   outputs/sweeps/s/{report.NAME}\n" in output  # also of what there is so far
    assert (folder / report.NAME).exists()
    words = shlex.split(model_line(output))
    assert words == ["python", "-m", "pipeline", "export", f"outputs/sweeps/s/{best['trial']}"]
    monkeypatch.chdir(base)
    assert main(words[3:]) == 0
    assert model.exists()


BEGUN = (*PLAIN, "sweep.n_trials=2", "sweep.max_tier=1")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    return folder, *sweep(folder, *BEGUN)


@pytest.fixture(scope="module")
def grown(begun, tmp_path_factory):
    """The same sweep with two trials more, by two workers."""
    folder = tmp_path_factory.mktemp("grown")
    shutil.copytree(begun[0], folder, dirs_exist_ok=True)
    more = "sweep.n_trials=4", "executor.workers=2", "executor.fuse=never"
    return folder, *sweep(folder, *BEGUN, *more, executor="local")


@pytest.mark.slow
def test_more_trials_go_on_with_the_numbering(begun, grown, stopped):
    trials = asked(grown[2])
    assert [r["trial"] for r in trials] == [0, 1, 2, 3]
    assert trials[:2] == asked(begun[2])
    assert "2 already ended" in grown[1].stdout
    # whatever the number of workers and of trials, the same seed asks the same
    assert len(asked(stopped[1])) == 100
    assert asked(stopped[1])[:4] == trials


@pytest.mark.slow
def test_the_total_is_met_and_a_model_that_could_not_be_written_is_not_named(begun, grown, tmp_path):
    best = yaml.safe_load((grown[2] / "best.yaml").read_text())
    assert model_line(grown[1].stdout) == f"outputs/sweeps/s/{best['trial']}/model.h5"
    assert best["model"] == f"{best['trial']}/model.h5"
    shutil.copytree(grown[0], tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "outputs/sweeps/s"
    (folder / best["model"]).unlink()
    (folder / str(best["trial"]) / "state.h5").write_bytes(b"damaged")
    after, _ = sweep(tmp_path, *BEGUN, "sweep.n_trials=3")  # asking for less runs nothing, and loses nothing
    assert ledger(folder) == ledger(grown[2])
    assert rows(folder) == rows(grown[2])
    assert "model.h5 was not written: " in after.stdout
    assert model_line(after.stdout) == f"python -m pipeline export outputs/sweeps/s/{best['trial']}"
    assert "model" not in yaml.safe_load((folder / "best.yaml").read_text())


# What is changed at once -> each difference; none of them brings another's with it.
CHANGES = [
    (
        ("optimizer.learning_rate=tag(log,interval(1e-3,1))", "seed=1", "train.epochs=3"),
        ("optimizer/learning_rate", "seed: was 0, is 1", "train.epochs: was 2, is 3"),
    ),
    (
        ("dataset.spread=0.3", "model.activation=tanh", "sweep.metric=val_loss", "sweep.direction=minimize"),
        ("data: was", "model.activation: was relu, is tanh", "strategy.metric: was val_accuracy, is val_loss"),
    ),
]


@pytest.mark.parametrize(("changes", "differences"), CHANGES, ids=["search", "task"])
def test_resuming_something_else_is_refused_with_the_difference(begun, changes, differences):
    before = (begun[2] / "ledger").read_bytes()
    result, folder = sweep(begun[0], *BEGUN, *changes, status=2)
    assert [difference for difference in differences if difference not in result.stderr] == []
    assert len(result.stderr.strip().splitlines()) == 2
    assert (folder / "ledger").read_bytes() == before
