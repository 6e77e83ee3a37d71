"""`python run.py -m` whose trials train as one computation: it says so, and its results are those of lone trials."""

import json

import pytest
import yaml

from tests.conftest import TINY, here

pytestmark = pytest.mark.slow
LINE = (*TINY, "sweep.max_tier=1", "sweep.n_trials=4", "sweep.keep_models=2", "tracking=none")
TRIALS = range(4)


def sweep(cwd, name, *arguments):
    result = here("-m", f"sweep.name={name}", "executor=inline", *LINE, *arguments, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, cwd / "outputs/sweeps" / name


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def curve(folder):
    metrics = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    return [[event[name] for name in metrics] for event in events(folder) if event["event"] == "epoch"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder to work in, without what this machine has measured before."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("fused_sweep")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def fused(base):
    return sweep(base, "fused", "executor.fuse=always")


@pytest.fixture(scope="module")
def alone(base):
    return sweep(base, "alone", "executor.fuse=never", "executor.workers=1")


def test_it_says_how_the_trials_train_and_why(fused):
    assert "4 trials, 0 to 3: fused with XLA, executor.fuse=always" in fused[0]


def test_every_trial_has_its_events_and_its_state(fused):
    for number in TRIALS:
        found = events(fused[1] / str(number))
        assert [event["event"] for event in found] == ["started", "grouped", "epoch", "epoch", "ended"]
        assert (found[0]["cohort"], found[-1]["status"]) == (4, "completed")
        assert (fused[1] / str(number) / "state.h5").exists()


def test_an_epochs_seconds_are_shared_out(fused):
    epochs = [event for event in events(fused[1] / "0") if event["event"] == "epoch"]
    for event in epochs:
        assert event["seconds"] == pytest.approx(event["cohort_seconds"] / 4)


def test_models_are_written_for_the_best_only(fused):
    best = [line.split(",")[0] for line in (fused[1] / "leaderboard.csv").read_text().splitlines()[1:3]]
    assert {p.parent.name for p in fused[1].glob("*/model.h5")} == set(best)


def test_each_trial_learns_what_it_learns_alone(fused, alone):
    assert "fused" not in alone[0].replace("fuse=never", "")
    for number in TRIALS:
        together, lone = curve(fused[1] / str(number)), curve(alone[1] / str(number))
        assert len(together) == 2
        for a, b in zip(together, lone, strict=True):
            assert a == pytest.approx(b, rel=1e-4)


def test_the_winner_is_the_same(fused, alone):
    one, other = (yaml.safe_load((folder / "best.yaml").read_text()) for _, folder in (fused, alone))
    assert (one["trial"], one["params"], one["best_epoch"]) == (other["trial"], other["params"], other["best_epoch"])
    assert one["metrics"] == pytest.approx(other["metrics"], rel=1e-4)


# Sweep, what of its command line has no fused form -> the reason
UNFUSED = [
    ("adamax", "optimizer._target_=keras.optimizers.Adamax", "there is no fused form of the optimizer Adamax"),
    ("amsgrad", "+optimizer.amsgrad=true", "there is no fused form of Adam with amsgrad=True"),
]


@pytest.mark.parametrize(("name", "override", "reason"), UNFUSED, ids=[name for name, *_ in UNFUSED])
def test_what_has_no_fused_form_trains_one_by_one_and_says_why(base, name, override, reason):
    printed, folder = sweep(base, name, override, "executor.fuse=always", "executor.workers=1", "sweep.n_trials=2")
    assert f"2 trials, 0 to 1: one by one, whatever executor.fuse=always says, for {reason}" in printed
    for number in range(2):
        assert events(folder / str(number))[0]["cohort"] == 1
        assert events(folder / str(number))[-1]["status"] == "completed"


LSTM = """
import keras


def reader(inputs, n_logits, *, units):
    x = keras.layers.Reshape((-1, 1))(inputs)
    x, *_ = keras.layers.LSTM(units, return_state=True)(x)
    return keras.layers.Dense(n_logits)(x)
"""


def test_a_model_that_does_not_convert_trains_one_by_one_and_says_why(tmp_path, monkeypatch):
    """A user's recurrent network, which XLA does not compile."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/reader_for_tests.py").write_text(LSTM)
    (tmp_path / "own/model").mkdir()
    yaml_text = "_target_: reader_for_tests.reader\nunits: 4\nhead: softmax\nsearch: {}\n"
    (tmp_path / "own/model/reader.yaml").write_text(yaml_text)
    monkeypatch.syspath_prepend(tmp_path / "own")
    line = "-m model=reader dataset=blobs sweep.n_trials=2 sweep.max_tier=1 train.epochs=1 tracking=none sweep.name=s"
    own = ["--config-dir", str(tmp_path / "own"), "allowed_targets=[pipeline.,keras.optimizers.,reader_for_tests.]"]
    done = here(*own, *line.split(), "executor=inline", "executor.xla=always", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 trials, 0 to 1: one by one, its graph can't be fused" in done.stdout
    logs = [events(tmp_path / f"outputs/sweeps/s/{n}") for n in range(2)]
    assert [[event["event"] for event in log] for log in logs] == [["started", "epoch", "ended"]] * 2
