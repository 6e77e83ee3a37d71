"""model.h5 of a trial that has none, from its state.h5."""

import json
import shutil

import numpy as np
import pytest

from tests.conftest import here


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep of three trials of different widths that writes model.h5 of its best only."""
    folder = tmp_path_factory.mktemp("export")
    line = "-m dataset=blobs train.epochs=2 sweep.n_trials=3 sweep.keep_models=1 sweep.name=s tracking=none"
    line += " executor=inline executor.xla=never"
    result = here(*line.split(), "model.hidden_units=choice(4,6,8)", "train.batch_size=128", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "outputs/sweeps/s"


@pytest.fixture
def trial(sweep, tmp_path):
    """A copy of a trial's folder without model.h5."""
    source = next(path for path in sorted(sweep.glob("[0-9]")) if not (path / "model.h5").exists())
    return shutil.copytree(source, tmp_path / source.name)


def test_it_writes_the_model_that_the_sweep_would_have(sweep, trial, run):
    done = run("export", trial)
    assert (done.status, done.out, done.err) == (0, f"{trial / 'model.h5'}\n", "")
    # the best trial's, exported by the sweep itself, comes out the same
    best = next(sweep.glob("[0-9]/model.h5")).parent
    copied = shutil.copytree(best, trial.parent / "best")
    (copied / "model.h5").unlink()
    assert run("export", copied).status == 0
    assert run("evaluate", copied / "model.h5").out == run("evaluate", best / "model.h5").out


def test_several_at_once(sweep, trial, run):
    other = shutil.copytree(trial, trial.parent / "other")
    assert run("export", trial, other).out.splitlines() == [str(trial / "model.h5"), str(other / "model.h5")]


def test_it_scores_as_the_trial_did(trial, run):
    run("export", trial)
    events = [json.loads(line) for line in (trial / "events.jsonl").read_text().splitlines()]
    result = json.loads(run("evaluate", trial / "model.h5", "blobs:validation", "--json").out)
    assert result["accuracy"] == pytest.approx(events[-1]["metrics"]["val_accuracy"])
    np.testing.assert_allclose(result["loss"], events[-1]["metrics"]["val_loss"], rtol=1e-5)


def no_config(trial):
    (trial / ".hydra/config.yaml").unlink()


def no_state(trial):
    (trial / "state.h5").unlink()


def changed(old, new):
    def change(trial):
        path = trial / ".hydra/config.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return change


def not_yaml(trial):
    (trial / ".hydra/config.yaml").write_text("a: [1\n")


def cut(trial):
    path = trial / "state.h5"
    path.write_bytes(path.read_bytes()[:3000])


BAD = {
    "no config": (no_config, "there is no trial in it"),
    "no state": (no_state, "it has no state.h5"),
    "no YAML": (not_yaml, "config.yaml can't be read"),
    "a state cut off": (cut, "state.h5"),
    "another config": (changed("dropout_rate: 0.0", "dropout_rate: 0.5"), "trained with another config or on other"),
    "other data": (changed("spread: 0.25", "spread: 0.5"), "trained with another config or on other data"),
    "a stranger's model": (
        changed("_target_: pipeline.models.mlp.mlp", "_target_: pipeline.models.layers.normalized"),
        "no file in conf/model names that",
    ),
    "a stranger's data": (
        changed("_target_: pipeline.data.sets.planar.blobs", "_target_: pipeline.data.splits.stratified"),
        "no file in conf/dataset names that",
    ),
    "a stranger's head": (
        changed("softmax: pipeline.heads.softmax.Softmax", "softmax: pipeline.heads.cost.Cost"),
        "heads.softmax=pipeline.heads.cost.Cost: the map `heads` of conf/config.yaml does not say so",
    ),
    "another target that it allows itself": (
        lambda trial: [
            changed("_target_: keras.optimizers.Adam", "_target_: os.system")(trial),
            changed("- keras.optimizers.\n", "- keras.optimizers.\n- os.\n")(trial),
        ],
        "is not allowed",
    ),
    "another target": (changed("_target_: keras.optimizers.Adam", "_target_: os.system"), "is not allowed"),
}


@pytest.mark.parametrize(("spoil", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_said_and_nothing_written(trial, run, spoil, message):
    spoil(trial)
    done = run("export", trial)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert len(done.err.splitlines()) <= 2
    assert not (trial / "model.h5").exists()


def test_an_error_without_a_message_is_named(trial, run, monkeypatch):
    def check(config):
        raise RuntimeError

    monkeypatch.setattr("pipeline.checks.check", check)
    assert run("export", trial).err == f"{trial / '.hydra/config.yaml'} can't be read: RuntimeError\n"


def test_a_sweeps_folder_is_told_from_a_trials(sweep, run):
    assert "It is a sweep's; its trials: 0, 1, 2." in run("export", sweep).err


@pytest.mark.parametrize("name", ["", "model.h5"])
def test_who_asks_for_the_missing_model_is_told_how_to_get_it(trial, run, name):
    done = run("evaluate", trial / name)
    assert done.status == 2
    assert f"python -m pipeline export {trial}" in done.err
