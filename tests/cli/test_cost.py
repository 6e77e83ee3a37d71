"""A model whose output is its cost, from its command to the commands that use it."""

import json

import pytest
from mlflow.tracking import MlflowClient

from tests.cli.conftest import wrong
from tests.conftest import here

SHORT = ("experiment=quadratic", "optimizer=sgd", "optimizer.learning_rate=0.45", "train.epochs=3")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cost")
    result = here(*SHORT, "executor=inline", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout, next((folder / "outputs/runs").iterdir())


@pytest.fixture
def cost_model(trained):
    return trained[2] / "model.h5"


def test_the_terminal_has_losses_only(trained):
    lines = trained[1].splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("epoch"))
    assert lines[header].split() == ["epoch", "loss", "val_loss", "learning_rate", "data_wait", "left"]
    for i, line in enumerate(lines[header + 1 : header + 4], start=1):
        assert line.split()[0] == str(i)
        assert len(line) - len(line.split("  ")[-1]) == len(lines[header]) - len("left")  # columns under headings
    assert "accuracy" not in trained[1]
    assert trained[1].count("val_loss") == 2  # in the heading and the result, not twice there


def test_mlflow_has_losses_only(trained):
    folder = trained[0]
    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    (stored,) = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    names = {"loss", "val_loss", "test_loss", "best_loss", "best_val_loss", "best_epoch"}
    names |= {"learning_rate", "seconds", "data_wait"}
    assert set(stored.data.metrics) == names
    assert "learning_curve.png" in {artifact.path for artifact in client.list_artifacts(stored.info.run_id)}


def test_predict_says_the_cost(run, cost_model, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("0,1,0\n0,0,7\n")
    done = run("predict", cost_model, rows)
    w = float(done.out.split()[2])
    assert done.status == 0
    assert w == pytest.approx(5, abs=0.1)
    assert done.out.splitlines()[1] == "1: cost 7.0000"
    found = json.loads(run("predict", cost_model, rows, "--json").out)["predictions"]
    assert [row["example"] for row in found] == [0, 1]
    assert found[0]["cost"] == pytest.approx(w, abs=1e-4)


def test_predict_numbers_a_part_as_it_is_numbered_there(run, cost_model):
    lines = run("predict", cost_model, "quadratic:train[8:10]").out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["8", "9"]


def test_there_are_no_probabilities_to_write(run, cost_model, tmp_path):
    wrong(run("predict", cost_model, "quadratic:test", "--proba", tmp_path / "p.npy"), "is a cost, not probabilities")
    assert not (tmp_path / "p.npy").exists()


def test_evaluate_says_the_loss(run, cost_model):
    done = run("evaluate", cost_model)
    assert done.status == 0
    assert done.out.startswith("quadratic:test: loss 0.0")
    found = json.loads(run("evaluate", cost_model, "quadratic:train", "--json").out)
    assert (found["n"], set(found)) == (10, {"model", "input", "loss", "n"})
    assert 0 <= found["loss"] < 0.1


def test_other_inputs_do_not_fit(run, cost_model):
    wrong(run("evaluate", cost_model, "blobs:test"), "does not fit this model")


def test_inspect_shows_the_weight(run, cost_model):
    done = run("inspect", cost_model)
    assert done.status == 0
    assert "kernel 1 x 1" in done.out
    assert "1 parameter" in done.out


def test_a_sweep_of_learning_rates_fuses_and_reports_the_loss(tmp_path):
    line = ["-m", *SHORT[:2], "train.epochs=30", "sweep.points=4", "sweep.name=s", "executor=inline"]
    result = here(*line, "executor.fuse=always", "tracking=none", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "4 trials, 0 to 3: fused with XLA, executor.fuse=always" in result.stdout
    assert "test: loss 0.0000 on 1 example\n" in result.stdout
    assert "accuracy" not in result.stdout
    assert "figure: not drawn, it compares values of optimizer, and this sweep has one" in result.stdout
