"""What a run with train.diagnostics=true leaves for a person: metrics in MLflow, a picture, and nothing without it."""

import json

import matplotlib.image
import pytest
from matplotlib.figure import Figure
from mlflow.tracking import MlflowClient

from pipeline.eventlog import diagnoses_of
from pipeline.records import Diagnosed, EpochEnded
from pipeline.tracking.curves import learning_curve, measure
from pipeline.tracking.diagnostics_picture import PANELS, diagnostics_picture
from tests.conftest import TINY, here
from tests.pictures import faults_of


@pytest.mark.slow
def test_a_run_records_and_draws_its_layers(tmp_path, recwarn):
    result = here(*TINY, "train.diagnostics=true", "executor=inline", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    unseen = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # Python shows a user none
    assert [str(w.message) for w in recwarn if not issubclass(w.category, unseen)] == []
    (folder,) = (tmp_path / "outputs/runs").iterdir()
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("caviar").experiment_id])
    recorded = diagnoses_of(folder)
    assert list(recorded) == [0, 1, 2]
    for layer, measures in recorded[2].items():
        for name in measures:
            history = client.get_metric_history(run.info.run_id, f"diagnostics/{layer}/{name}")
            assert [(m.step, m.value) for m in history] == list(zip(recorded, measure(recorded, layer, name)))
    assert [m.step for m in client.get_metric_history(run.info.run_id, "probe_loss")] == [0, 1, 2]
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [1, 2]
    assert "diagnostics.png" in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    measured = {name for layer in recorded[2].values() for name in layer if not name.startswith("pre_activation_")}
    assert measured == {panel[0] for panel in PANELS}  # each is drawn
    picture = matplotlib.image.imread(folder / "diagnostics.png")
    assert picture[..., :3].std() > 0.01


@pytest.mark.slow
def test_a_sweep_draws_its_winner(tmp_path):
    line = [*TINY, "optimizer.learning_rate=0.01,0.001", "sweep.max_tier=0", "train.diagnostics=true", "sweep.name=s"]
    line += ["tracking=none", "executor=inline", "executor.xla=never"]
    result = here("-m", *line, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(list((tmp_path / "outputs/sweeps/s").glob("*/diagnostics.png"))) == 1
    again = here("-m", *line, "train.diagnostics=false", cwd=tmp_path)
    assert again.returncode == 0, again.stderr  # to record less is no other sweep


@pytest.mark.parametrize(("value", "message"), [("maybe", "true or false"), ("null", "train.diagnostics")])
def test_a_mistake_is_explained(value, message, tmp_path):
    result = here(f"train.diagnostics={value}", "executor=inline", cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


def write(folder, *events):
    (folder / "events.jsonl").write_text("".join(json.dumps(event.to_json()) + "\n" for event in events))


def layers(value):
    hidden = {f"pre_activation_{name}": value for name in ("mean", "std", "p15", "p50", "p85")}
    return {
        "dense": {**hidden, "gradient_norm": value, "batch_noise": value, "dead_share": 0.0},
        "logits": {"weight_norm": 1.0},
    }


def test_a_restart_repeats_epochs_that_are_drawn_once(tmp_path):
    first = Diagnosed(0.0, 0, diagnostics=layers(1.0))
    write(tmp_path, first, first, EpochEnded(1.0, 1, {}, diagnostics=layers(None)))
    recorded = diagnoses_of(tmp_path)
    assert list(recorded) == [0, 1]
    assert measure(recorded, "dense", "gradient_norm") == pytest.approx([1.0, float("nan")], nan_ok=True)
    assert measure(recorded, "logits", "gradient_norm") == pytest.approx([float("nan")] * 2, nan_ok=True)
    assert diagnostics_picture(tmp_path, "one that diverged").exists()


@pytest.mark.parametrize(
    "recorded",
    [None, {}, {"logits": layers(1.0)["logits"]}, {f"dense_{i}": layers(1.0)["dense"] for i in range(9)}],
    ids=["nothing", "no layers", "no hidden layer", "nine"],
)  # fmt: skip
def test_whatever_there_is_is_drawn(recorded, tmp_path):
    write(tmp_path, EpochEnded(1.0, 1, {}, diagnostics=recorded))
    assert (diagnostics_picture(tmp_path, "title") is not None) == bool(recorded)


@pytest.mark.parametrize(("names", "n_layers"), [(("loss",), 0), (("loss", "accuracy"), 2), (("loss", "a", "b"), 5)])
def test_pictures_can_be_read_where_mlflow_shows_them(names, n_layers, tmp_path, monkeypatch):
    """A trial of a sweep with a long name; its layers have long ones, too."""
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, dpi: drawn.append(figure))
    every = {**layers(0.5)["dense"], **{panel[0]: 0.5 for panel in PANELS}}
    recorded = {f"pre_activation_{i}": every for i in range(n_layers)}
    metrics = {f"{split}{name}": 0.01 for name in names for split in ("", "val_")}
    write(tmp_path, *(EpochEnded(float(i), i, metrics, diagnostics=recorded or None) for i in range(1, 31)))
    title = "a sweep whose name says all that was asked, and of which of all the data, trial 1024"
    learning_curve(tmp_path, title, {name: f"{name} of the examples (nats)" for name in names})
    diagnostics_picture(tmp_path, title)
    assert len(drawn) == 1 + bool(n_layers)
    assert [faults_of(figure) for figure in drawn] == [[]] * len(drawn)
